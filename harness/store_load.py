"""Both embedded jobs over a lake on a store, in this process, without Kafka: sales at a rate, at the jobs' own pace.

`python -m harness.store_load FOLDER LAKE RATE SECONDS` prints what was done as JSON. Every fiftieth message is rubbish.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.ingested import TOPIC, messages, sale
from harness.silver_run import settings_of
from ventes.check import lag
from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.deltalog.log import TableReplaced
from ventes.engines.bronze_writer import BronzeWriter
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.job import Job, while_the_store_answers
from ventes.engines.kafka_reader import Batch
from ventes.engines.silver_loop import SilverLoop
from ventes.lake import positions
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper


class Source:
    """A topic whose end rises with time. Its message at each offset is always the same."""

    def __init__(self, rate: float, seconds: float) -> None:
        self._rate, self._began = rate, time.monotonic()
        self.last = int(rate * seconds) - 1

    def batch(self, first: int, most: int = 50_000) -> Batch | None:
        end = min(self.last, int(self._rate * (time.monotonic() - self._began)), first + most - 1)
        if end < first:
            return None
        values = [b"{" if number % 50 == 0 else sale(number) for number in range(first, end + 1)]
        return Batch(messages(values, first, 0), {0: end}, 0)


def _job(settings: Settings, name: str, stopper: Stopper) -> Job:
    return Job(settings, logging.getLogger(f"ventes.{name}"), Reporter(settings.state, name), stopper)


class Bronze:
    """The Bronze job with a Source instead of Kafka."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self.stopper = Stopper()
        self.batches = 0
        self._job = _job(settings, "bronze", self.stopper)
        self._source = source

    def run(self) -> None:
        while True:
            try:
                while_the_store_answers(self._job, self._body)
                return
            except TableReplaced:  # the process would end, and the supervisor start another
                continue

    def _body(self, job: Job) -> None:
        tables = OpenTables(job.settings)
        with WriterLock(lock_path(job.settings, "bronze"), job.wait_for) as lock, connect() as database:
            bronze = tables.ensure(tables.declared.bronze)
            writer = BronzeWriter(job, bronze, database, lock.require)
            (maintenance,) = tables.maintenance([tables.declared.bronze])
            while not job.stopper.stopping:
                first = positions.of_bronze(bronze).get((TOPIC, 0), -1) + 1
                if first > self._source.last:
                    break
                began = time.monotonic()
                if (batch := self._source.batch(first)) is not None and writer.store(batch, TOPIC):
                    self.batches += 1
                    maintenance.run_due()
                    job.go_on()
                job.stopper.wait(max(0.02, job.settings.store.pace_seconds - (time.monotonic() - began)))
            maintenance.close()


class _Patient(Stopper):
    """Stops by itself after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = time.monotonic() + seconds
        self.timed_out = False

    def wait(self, seconds: float) -> bool:
        self.timed_out = time.monotonic() > self._until
        if self.timed_out:
            faulthandler.dump_traceback()  # what each thread waits for
            self.stop()
        return super().wait(seconds)


def run(
    settings: Settings,
    rate: float,
    seconds: float,
    patience: float = 600.0,
    on_lot: Callable[[int], None] = lambda lot: None,
) -> dict[str, Any]:
    """Send sales for so long and run both jobs until all are in Silver; returns counts of what was done.

    `on_lot` is told the last lot, a few times per second.
    """
    source = Source(rate, seconds)
    bronze = Bronze(settings, source)
    thread = threading.Thread(target=bronze.run, name="bronze")
    thread.start()
    stopper = _Patient(patience)
    job = _job(settings, "silver", stopper)
    lots: list[int] = []

    def body(job: Job) -> int:
        tables = OpenTables(settings)
        loop = SilverLoop(
            job,
            EmbeddedSilver(settings, tables, waits=job.wait_for),
            tables,
            max_rows=settings.embedded.max_rows_per_batch,
            pace_seconds=settings.store.pace_seconds,
            rollup_seconds=settings.store.rollup_seconds,
        )
        return loop.run()

    def ends() -> None:
        while not stopper.stopping:
            record = job.reporter.record
            if record.batch:
                lots.append(record.batch)
                on_lot(record.batch)
            # by the tables: a lot whose answer was lost is not in the job's own count
            if not thread.is_alive() and lag.of_silver(settings, time.time()).messages == 0:
                stopper.stop()
            time.sleep(0.2)

    watcher = threading.Thread(target=ends, name="ends", daemon=True)
    watcher.start()
    while_the_store_answers(job, body)
    bronze.stopper.stop()
    thread.join()
    return {
        "sales": source.last + 1,
        "batches": bronze.batches,
        "lots": max(lots, default=0),
        "timed_out": stopper.timed_out,
    }


if __name__ == "__main__":
    print(json.dumps(run(settings_of(Path(sys.argv[1]), sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))))
