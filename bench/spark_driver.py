"""What Spark's driver does for each sale of the large lots of Silver, and how many a second that allows at most.

    python bench/spark_driver.py [--lots 10] [--rows 400000]

Silver's loop runs over a Bronze of `lots` × `rows` sales with random ids. The tasks' functions are called in this
process instead of by Spark, each with its arguments and its result pickled, and their time is taken off: what stays is
the CPU time of the driver's main thread. Other threads work beside the tasks. Spark's scheduling, in the JVM, is not
counted.

Printed: µs of CPU per sale of each step, and 1 / their sum: the rate at which a driver with one core has no time left,
however many machines run the tasks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from harness.in_process_tasks import LargeLotsInProcess  # noqa: E402
from harness.messages import raw_table  # noqa: E402
from harness.pipeline import sales  # noqa: E402
from harness.silver_run import loop_of, settings_of  # noqa: E402
from ventes.config import Settings  # noqa: E402
from ventes.contract import tables as contract  # noqa: E402
from ventes.deltalog import commit, data_files  # noqa: E402
from ventes.deltalog.database import connect  # noqa: E402
from ventes.deltalog.log import Log  # noqa: E402
from ventes.judging.judge_batch import judge_batch  # noqa: E402
from ventes.lake import tables  # noqa: E402
from ventes.lake.open_tables import OpenTables  # noqa: E402

CORES = 8
FILE_ROWS = 50_000


class Steps:
    """CPU seconds of each step, without those of steps within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.thread_time()
        self._within.append(0.0)
        yield
        took = time.thread_time() - began
        self.seconds[name] = self.seconds.get(name, 0.0) + took - self._within.pop()
        self._within[-1] += took

    def around(self, owner: Any, method: str, name: str) -> None:
        """Measure a method of an object as a step."""
        whole = getattr(owner, method)

        def measured(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return whole(*args, **kwargs)

        setattr(owner, method, measured)


TASKS = "tasks"


def engine(settings: Settings, opened: OpenTables, steps: Steps) -> LargeLotsInProcess:
    made = LargeLotsInProcess(settings, opened, partial(steps, TASKS), CORES)
    for owner, method, name in (
        (made, "take", "the rest of a lot"),
        (made.known_ids, "files", "index of ids"),
        (made.known_ids, "find_in_memory", "index of ids"),
        (made.known_ids, "add_keys", "index of ids"),
        (made.lots, "_keys", "getting the keys"),
        (made.lots, "_commit", "commits"),
    ):
        steps.around(owner, method, name)
    return made


def fill(settings: Settings, lots: int, rows: int) -> None:
    """Bronze with files of FILE_ROWS sales each, whose ids are random."""
    bronze = contract.of(settings).bronze
    tables.ensure(settings, bronze)
    log = Log.open(settings.bronze)
    now = datetime.now(timezone.utc)
    with connect() as con:
        judged = judge_batch(con, raw_table(list(sales(FILE_ROWS)), now), settings, now)
    rng = np.random.default_rng(0)
    files = []
    for first in range(0, lots * rows, FILE_ROWS):
        for name, values in (
            ("offset", np.arange(first, first + FILE_ROWS)),
            ("vente_id", rng.integers(1, 2**53, FILE_ROWS)),
        ):
            judged = judged.set_column(judged.schema.get_field_index(name), name, pa.array(values))
        files += data_files.write(settings.bronze, bronze, judged)
    commit.append_files(log, files, {"bench": 1})


def main() -> None:
    parser = argparse.ArgumentParser(description="The work of Spark's driver for each sale of a large lot.")
    parser.add_argument("--lots", type=int, default=10)
    parser.add_argument("--rows", type=int, default=400_000, help="sales of a lot")
    args = parser.parse_args()
    steps = Steps()
    with tempfile.TemporaryDirectory(prefix="ventes-bench-driver-") as folder:
        settings = settings_of(Path(folder))
        fill(settings, args.lots, args.rows)
        loop = loop_of(settings, partial(engine, steps=steps), max_rows=args.rows, max_bytes=args.rows * 1_000)
        with steps("roll-ups and the loop"):
            assert loop.run() == 0
        assert tables.snapshot(settings, contract.of(settings).clean).rows == args.lots * args.rows
    sold = args.lots * args.rows
    own = {name: seconds / sold * 1e6 for name, seconds in steps.seconds.items() if name != TASKS}
    for name, micros in sorted(own.items(), key=lambda step: -step[1]):
        print(f"{name:24} {micros:7.3f} µs a sale")
    total = sum(own.values())
    print(f"{'the driver':24} {total:7.3f} µs a sale: {1e6 / total:,.0f} sales/s at most")
    print(f"{'tasks':24} {steps.seconds[TASKS] / sold * 1e6:7.3f} µs a sale, on any number of cores")


if __name__ == "__main__":
    main()
