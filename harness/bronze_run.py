"""Writes made-up messages to Bronze as the embedded job does: `python -m harness.bronze_run FOLDER LAKE`, no Kafka.

Each batch begins where the table says that the last one ended, as after any start of the job.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from harness.ingested import TOPIC, messages, sale
from harness.silver_run import settings_of
from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.engines.bronze_writer import BronzeWriter
from ventes.engines.job import Job
from ventes.engines.kafka_reader import Batch
from ventes.lake import positions
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

BATCH = 20


def run(settings: Settings, upto: int) -> None:
    """Fill Bronze up to the offset `upto`; every tenth message is rubbish."""
    tables = OpenTables(settings)
    job = Job(settings, logging.getLogger("ventes.bronze"), Reporter(settings.state, "bronze"), Stopper())
    with WriterLock(lock_path(settings, "bronze")) as lock, connect() as database:
        bronze = tables.ensure(tables.declared.bronze)
        writer = BronzeWriter(job, bronze, database, lock.require)
        while (first := positions.of_bronze(bronze).get((TOPIC, 0), -1) + 1) <= upto:
            last = min(first + BATCH - 1, upto)
            values = [b"{" if number % 10 == 0 else sale(number) for number in range(first, last + 1)]
            assert writer.store(Batch(messages(values, first, 0), {0: last}, upto - last), TOPIC)


if __name__ == "__main__":
    run(settings_of(Path(sys.argv[1]), sys.argv[2]), 99)
