"""What the drivers of the Spark jobs do themselves, per sale, and what that allows on larger clusters.

    python bench/serial_part.py [--small 50000] [--large 400000] [--machines 1 10 100] [--cores 8]

Both jobs run on a real cluster (harness/spark_cluster.py): their executors are other processes, so the CPU time of a
driver (Python and its JVM) and that of its executors (JVMs and Python workers) are apart. Two backlogs of different
size are processed in one batch each; the difference per sale leaves out what a batch costs whatever its size. CPU time
instead of wall time, because other work on the machine then matters less.

The rates for more machines are a model, not a measurement: of a batch of N sales the driver's part is done on one
core, the executors' part on all cores of the job (Amdahl's law), and each job has half of the cores:

    sales per second = 1 / (driver + executors / cores)

It leaves out the network, the store of the tables, the fixed cost of a batch, and that a driver's part can use more
than one core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import psutil  # noqa: E402

from harness.pipeline import Pipeline, sales  # noqa: E402
from harness.spark_cluster import SparkCluster  # noqa: E402

JOBS = ("bronze", "silver")
TRIGGER_SECONDS = 30.0
"""Longer than sending a backlog takes, so that a batch gets all of it."""


@dataclass(frozen=True)
class Used:
    """CPU seconds of a job so far, and its batches."""

    python: float
    jvm: float
    executors: float
    batch: int

    def __sub__(self, other: Used) -> Used:
        return Used(
            self.python - other.python,
            self.jvm - other.jvm,
            self.executors - other.executors,
            self.batch - other.batch,
        )


def cpu(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds of processes and of their ended children."""
    found = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found += times.user + times.system + times.children_user + times.children_system
    return found


def used(cluster: SparkCluster, p: Pipeline, job: str) -> Used:
    driver = psutil.Process(p.jobs[job].pid)
    jvm = p.jvm(job)
    assert jvm is not None
    record = p.heartbeat(job)
    executors = cluster.executors(f"ventes-{job}")
    whole = [one for executor in executors for one in (executor, *executor.children(recursive=True))]
    return Used(cpu([driver]), cpu([jvm]), cpu(whole), (record.batch or 0) if record is not None else 0)


def backlog(cluster: SparkCluster, p: Pipeline, count: int) -> dict[str, Used]:
    """Process `count` sales, and wait until the roll-ups have them: what each job used for it."""
    before = {job: used(cluster, p, job) for job in JOBS}
    began = time.monotonic()
    p.send(sales(count, first_id=p.sent + 1))
    sent = time.monotonic() - began
    p.catch_up(3600)
    spent = {job: used(cluster, p, job) - before[job] for job in JOBS}
    print(f"{count:,} sales, sent in {sent:.0f} s, done after {time.monotonic() - began:.0f} s")
    for job, one in spent.items():
        print(
            f"  {job:7} {one.batch} batches: driver {one.python:.2f} s in Python, {one.jvm:.2f} s in its JVM; "
            f"executors {one.executors:.2f} s"
        )
    return spent


def per_sale(small: Used, large: Used, more: int) -> dict[str, float]:
    """Microseconds per sale, of driver and executors; `more`: sales that the large backlog had more."""
    extra = large - small
    return {
        "driver_python": 1e6 * extra.python / more,
        "driver_jvm": 1e6 * extra.jvm / more,
        "executors": 1e6 * extra.executors / more,
    }


def rate(micros: dict[str, float], cores: float) -> float | None:
    """Sales per second of a job with so many cores for its executors; None if the measurement shows no cost.

    A difference of two backlogs below zero is noise (Java's compilers), and counts as zero.
    """
    cost = max(0.0, micros["driver_python"] + micros["driver_jvm"]) + micros["executors"] / cores
    return 1e6 / cost if cost else None


def shown(value: float | None) -> str:
    return "no cost seen" if value is None else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=400_000)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--cores", type=int, default=8, help="of each machine, in the model")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of backlogs; the median counts")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ventes-serial-"))
    # the file of a Pipeline has short intervals; the environment goes before it
    os.environ |= {f"VENTES_SPARK__{job.upper()}_TRIGGER_SECONDS": str(TRIGGER_SECONDS) for job in JOBS}
    extra = f"max_rows_per_batch = {args.large}\n"
    with (
        SparkCluster(folder / "cluster", memory="3g") as cluster,
        Pipeline(folder / "pipeline", engine="spark", extra=extra + cluster.settings) as p,
    ):
        for job in reversed(JOBS):
            p.start(job)
        p.send(sales(100))
        p.catch_up(600)  # both JVMs run
        backlog(cluster, p, args.large)  # the JVMs compile what the jobs run
        pairs = [(backlog(cluster, p, args.small), backlog(cluster, p, args.large)) for _ in range(args.rounds)]
    more = args.large - args.small
    print(f"\nµs of CPU per sale, median of {args.rounds}; a model of sales per second (Amdahl)")
    found = {}
    for job in JOBS:
        each = [per_sale(small[job], large[job], more) for small, large in pairs]
        micros = {part: sorted(one[part] for one in each)[len(each) // 2] for part in each[0]}
        rates = {n: rate(micros, max(1, n * args.cores / 2)) for n in args.machines}
        limit = rate({**micros, "executors": 0.0}, 1)
        found[job] = {"micros": micros, "each": each, "rates": rates, "limit": limit}
        print(f"  {job:7} " + ", ".join(f"{part} {value:.2f}" for part, value in micros.items()))
        for n, value in rates.items():
            print(f"          {n} machines of {args.cores} cores: {shown(value)}")
        print(f"          the driver alone: {shown(limit)}")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / "serial_part.json").write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
