"""A day at 30 sales per minute: 43,200 sales, each in its own commit, without waiting two seconds for each.

    python bench/day.py [--sales 43200] [--bronze-only] [--speed N]

The producer's messages go, one per commit, through the code of the embedded engine's jobs: verdict →
Bronze commit → lot of Silver (ventes_rejets, ventes_clean) → the five roll-ups, and after each commit every table's
maintenance, which merges, writes checkpoints and vacuums in its thread as in a job. No Kafka: the messages are made
here, with Kafka's time set to the sale's. Event times cover 24 hours from noon to noon, which includes a midnight. One
sale in a hundred is malformed (--bad), so that ventes_rejets grows too. At the end `verify` recomputes all of it.

Recorded every 1,000 sales: time of Bronze and Silver per sale (median, p95, slowest), live files of each table, and
their maximum since the last record (counted after every sale), files and MB on disk, history and log included, CPU,
RSS.

What is compressed. The clock runs --speed times as fast as real time: a sale every 2/speed seconds. Without --speed,
200 sales in a temporary lake determine the speed of this machine, with a reserve of a third.

    merging, checkpoints        depend on commits (every 50, every 20): as in a real day
    vacuum                      depends on the clock: its six hours of history, ten minutes with every version kept,
                                full minutes, five minutes between two runs and the five minutes that a checkpoint keeps
                                removed files are all divided by speed (`compress`), so that they cover as many sales
                                as on a real day; as many runs as on a real day
    maintenance threads         run at real speed and so take `speed` times as long in the day's time: merges and
                                vacuums come later than on a real day, after more commits. This overstates files and
                                commit times a little
    both jobs                   share this process and its interpreter: RSS and CPU are those of both together

If the machine cannot keep the pace, sales come later than their slot and the time rules cover fewer of them: `late_s`
is the largest delay in real seconds; if it is more than a few seconds, a lower --speed gives a more accurate number of
files on disk. Live files do not depend on the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
from harness.shipped import BRONZE, CLEAN, REJETS, ROLLUPS  # noqa: E402
from ventes import config  # noqa: E402
from ventes.check.verify import Verification  # noqa: E402
from ventes.config import Settings  # noqa: E402
from ventes.deltalog import commit, vacuum  # noqa: E402
from ventes.deltalog.database import connect  # noqa: E402
from ventes.deltalog.log import Log  # noqa: E402
from ventes.engines.embedded.silver import EmbeddedSilver  # noqa: E402
from ventes.engines.lot_range import next_lot_range  # noqa: E402
from ventes.judging.judge_batch import judge_batch  # noqa: E402
from ventes.judging.messages import RAW  # noqa: E402
from ventes.lake import silver_recovery, tables  # noqa: E402
from ventes.lake.open_tables import OpenTables  # noqa: E402
from ventes.lake.positions import furthest, of_log  # noqa: E402
from ventes.lake.rollups import Publisher  # noqa: E402
from ventes.producer.events import Events  # noqa: E402
from ventes.producer.message import Message  # noqa: E402
from ventes.producer.options import Options  # noqa: E402

TOPIC_ID = "bench"
EVERY_SECONDS = 2.0
"""Seconds between two sales: 30 per minute."""
STEP = 1000
"""Sales between two records."""
FASTEST = 100.0
"""The highest speed: above it an fsync or a thread switch would take seconds of the day's time."""
FIRST_SALE = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)


# -- the clock ----------------------------------------------------------------------------------------


def compress(speed: float, folder: Path) -> Settings:
    """Settings for a lake in `folder`; every time rule of maintenance is `speed` times shorter.

    The rules are constants of the modules: only this script needs other values, so there are no settings for them.
    """
    vacuum.RECENT /= speed
    vacuum.MINUTE /= speed
    vacuum.CLOCK_MARGIN /= speed
    vacuum.ORPHAN_AGE /= speed
    vacuum.EVERY /= speed
    tables.SHORTEST_HISTORY_MINUTES = 1
    hours = config.load().maintenance.history_hours / speed
    return config.load(
        engine="embedded",
        paths={"lake": folder / "lake", "logs": folder, "state": folder / "state"},
        maintenance={"history_hours": hours},
    )


def pace_of_this_machine(options: argparse.Namespace) -> float:
    """The speed that leaves each sale a third more time than the median of 200 sales took."""
    with tempfile.TemporaryDirectory(prefix="ventes-day-") as folder:
        settings = config.load(engine="embedded", paths={"lake": folder, "state": folder, "logs": folder})
        jobs = Jobs(settings, options.bronze_only)
        took = []
        for number, message in enumerate(messages(200, options.bad)):
            began = time.perf_counter()
            jobs.take(number, message, when(number))
            took.append(time.perf_counter() - began)
        jobs.close()
    # the first sales are slower: cold caches
    return min(FASTEST, EVERY_SECONDS / (statistics.median(took[50:]) * 4 / 3))


def when(number: int) -> datetime:
    return FIRST_SALE + timedelta(seconds=number * EVERY_SECONDS)


# -- the sales ----------------------------------------------------------------------------------------


def messages(count: int, bad: float) -> Iterator[Message]:
    """The producer's messages of a day, the same in each run."""
    events = Events(Options(rate=1 / EVERY_SECONDS, seed=1, bad=bad), 300, timedelta(minutes=10))
    for number in range(count):
        yield from events.batch([10**12 + number], when(number))


def raw(number: int, message: Message, at: datetime) -> pa.Table:
    """The message as KafkaReader returns it."""
    values = [[message.key], [message.value], [None], [TOPIC_ID], [0], [number], [at]]
    columns = [pa.array(value, field.type) for value, field in zip(values, RAW, strict=True)]
    return pa.Table.from_arrays(columns, schema=RAW)


# -- the work -----------------------------------------------------------------------------------------


class Jobs:
    """Both embedded jobs, one sale at a time. Times in `took` are milliseconds, one per sale."""

    def __init__(self, settings: Settings, bronze_only: bool) -> None:
        self.settings = settings
        self.took: dict[str, list[float]] = defaultdict(list)
        tables = OpenTables(settings)
        self.bronze = tables.ensure(BRONZE)
        self._con = connect(settings.embedded.memory_mb)
        (self._bronze_maintenance,) = tables.maintenance([BRONZE])
        self.logs = {BRONZE.name: self.bronze}
        """The log of every table."""
        self._silver = None if bronze_only else Silver(settings)
        if self._silver is not None:
            self.logs |= {table.name: self._silver.tables.log(table) for table in (CLEAN, REJETS, *ROLLUPS)}

    def take(self, number: int, message: Message, at: datetime) -> None:
        began = time.perf_counter()
        rows = judge_batch(self._con, raw(number, message, at), self.settings, datetime.now(timezone.utc))
        commit.append(self.bronze, BRONZE, rows, f"ventes-bronze:{TOPIC_ID}:0", number)
        self._bronze_maintenance.run_due()
        committed = time.perf_counter()
        self.took["bronze"].append((committed - began) * 1000)
        if self._silver is not None:
            self._silver.take(self.bronze)
            self.took["silver"].append((time.perf_counter() - committed) * 1000)

    def live(self) -> dict[str, int]:
        for log in self.logs.values():
            log.refresh()
        return {name: len(log.files) for name, log in self.logs.items()}

    def close(self) -> None:
        if self._silver is not None:
            self._silver.close()
        self._bronze_maintenance.close()
        self._con.close()


class Silver:
    """The work of engines.silver_loop.SilverLoop on a lot, without waiting for rows."""

    def __init__(self, settings: Settings) -> None:
        self.tables = OpenTables(settings)
        self._engine = EmbeddedSilver(settings, self.tables)
        self._publisher = Publisher(settings, self.tables, self._engine.database)
        state = silver_recovery.recover(self.tables, self._publisher)
        self._lot, self._position = state.last_used, state.position
        self._max_rows = settings.embedded.max_rows_per_batch
        self._maintenance = self.tables.maintenance((CLEAN, REJETS), kept_small=ROLLUPS)

    def take(self, bronze: Log) -> None:
        lot_range = next_lot_range(self._position, of_log(bronze), bronze.files.values(), self._max_rows)
        assert lot_range is not None
        self._lot += 1
        result = self._engine.take(lot_range, self._lot)
        assert result.clean + result.rejected == 1
        self._publisher.publish(self._publisher.together([result.partials]), self._lot)
        self._position = furthest(self._position, lot_range.upto)
        for table in self._maintenance:
            table.run_due()

    def close(self) -> None:
        for table in self._maintenance:
            table.close()
        self._engine.close()


# -- the day ------------------------------------------------------------------------------------------


def run(options: argparse.Namespace, settings: Settings, record: Record) -> None:
    jobs = Jobs(settings, options.bronze_only)
    slot = EVERY_SECONDS / record.data["about"]["speed"]
    most: dict[str, int] = defaultdict(int)
    began = time.monotonic()
    late = 0.0
    mark = Mark()
    print(f"{'sales':>7} {'hour':>5} {'Bronze ms':>12} {'Silver ms':>12} {'live, most':>10} {'on disk':>8} {'MB':>6} "
          f"{'RSS MB':>6} {'late s':>6}", flush=True)  # fmt: skip
    try:
        for number, message in enumerate(messages(options.sales, options.bad)):
            wait = began + number * slot - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # its slot has not begun
            late = max(late, -wait)
            jobs.take(number, message, when(number))
            for name, files in jobs.live().items():
                most[name] = max(most[name], files)
            done = number + 1
            if done % STEP == 0 or done == options.sales:
                step = mark.step(jobs, done, most, late)
                most.clear()
                record.data["steps"].append(step)
                record.write()
                print(_line(step), flush=True)
    finally:
        jobs.close()
    steps = record.data["steps"]
    record.data["end"] = {
        "wall_s": round(time.monotonic() - began, 1),
        "planned_s": round(options.sales * slot, 1),
        "late_s": round(late, 2),
        "live_files": jobs.live(),
        "most_live_files": {name: max(step["most_live_files"][name] for step in steps) for name in jobs.logs},
        "disk": {name: disk(log.path) for name, log in jobs.logs.items()},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    record.write()


class Mark:
    """Where the last step ended."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._sales = 0

    def step(self, jobs: Jobs, done: int, most: dict[str, int], late: float) -> dict[str, Any]:
        cpu = time.process_time()
        step = {
            "sales": done,
            "hours": round(done * EVERY_SECONDS / 3600, 3),
            "ms": {job: _times(took) for job, took in jobs.took.items()},
            "cpu_ms_a_sale": round((cpu - self._cpu) / (done - self._sales) * 1000, 1),
            "live_files": jobs.live(),
            "most_live_files": dict(most),
            "disk": {name: disk(log.path) for name, log in jobs.logs.items()},
            "rss_mb": psutil.Process().memory_info().rss >> 20,
            "late_s": round(late, 2),
        }
        jobs.took.clear()
        self._cpu, self._sales = time.process_time(), done
        return step


def _times(took: list[float]) -> dict[str, float]:
    p95 = statistics.quantiles(took, n=20)[-1] if len(took) > 1 else took[0]
    return {"median": round(statistics.median(took), 2), "p95": round(p95, 2), "slowest": round(max(took), 1)}


def disk(path: Path) -> dict[str, float]:
    """Parquet data files, files of the log, and MB of both. A vacuum may run meanwhile."""
    found: dict[str, float] = {"data_files": 0, "log_files": 0, "mb": 0.0}
    for folder, _, names in os.walk(path):
        kind = "log_files" if "_delta_log" in folder else "data_files"
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found["mb"] += os.stat(os.path.join(folder, name)).st_size / 1e6
                found[kind] += 1
    return {**found, "mb": round(found["mb"], 2)}


def _line(step: dict[str, Any]) -> str:
    took = [
        f"{ms['median']:.1f} / {ms['p95']:.0f}" if (ms := step["ms"].get(job)) else "–" for job in ("bronze", "silver")
    ]
    files = sum(one["data_files"] + one["log_files"] for one in step["disk"].values())
    size = sum(one["mb"] for one in step["disk"].values())
    live = f"{max(step['live_files'].values())}, {max(step['most_live_files'].values())}"
    return (
        f"{step['sales']:7,} {step['hours']:5.1f} {took[0]:>12} {took[1]:>12} {live:>10} {files:8,.0f} {size:6.0f}"
        f" {step['rss_mb']:6} {step['late_s']:6.1f}"
    )


class Record:
    """Write the results file atomically."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path = path
        self.data: dict[str, Any] = {"about": about, "steps": []}
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1))
        temporary.replace(self._path)


def summary(data: dict[str, Any]) -> str:
    end, first, last = data["end"], data["steps"][0], data["steps"][-1]
    lines = ["| table | live files | most | data files on disk | log files | MB |", "|---|---|---|---|---|---|"]
    for name, files in end["live_files"].items():
        on_disk = end["disk"][name]
        lines.append(
            f"| {name} | {files} | {end['most_live_files'][name]}"
            f" | {on_disk['data_files']:,} | {on_disk['log_files']:,} | {on_disk['mb']:.1f} |"
        )
    lines.append("")
    for job, before in first["ms"].items():
        after = last["ms"][job]
        lines.append(
            f"{job}: median {before['median']:.1f} ms/sale (p95 {before['p95']:.0f}) in the first {first['sales']:,},"
            f" {after['median']:.1f} ms (p95 {after['p95']:.0f}) in the last"
        )
    lines.append(
        f"peak RSS {end['peak_rss_mb']} MB; {end['wall_s']:,.0f} s for a plan of {end['planned_s']:,.0f} s, "
        f"at most {end['late_s']:.1f} s late"
    )
    return "\n".join(lines)


def verify(settings: Settings, record: Record) -> None:
    report = Verification(settings, read_topic=False).run()
    failed = [check.line() for check in report.checks if not check.ok]
    record.data["verified"] = {"ok": report.ok, "failed": failed, "seconds": round(report.seconds, 1)}
    record.write()
    print("verified" if report.ok else "\n".join(["NOT VERIFIED", *failed]))
    if not report.ok:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sales", type=int, default=43_200, help="(%(default)s: a day)")
    parser.add_argument("--bronze-only", action="store_true", help="without Silver: many times faster")
    parser.add_argument("--speed", type=float, help="clock speed as a multiple of real time (default: measured)")
    parser.add_argument("--bad", type=float, default=1.0, metavar="PERCENT", help="malformed sales (%(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the lake in this folder (default: a temporary one)")
    parser.add_argument("--output", type=Path, help="default: bench/results/day.json, or day-bronze.json")
    options = parser.parse_args()
    name = "day-bronze.json" if options.bronze_only else "day.json"
    output = options.output or PROJECT / "bench" / "results" / name
    speed = options.speed or pace_of_this_machine(options)
    about = {
        "sales": options.sales,
        "speed": round(speed, 2),
        "bad_percent": options.bad,
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{psutil.cpu_count()} cores",
    }
    print(f"{speed:.1f} times as fast as a real day: {options.sales * EVERY_SECONDS / speed / 60:.0f} minutes")
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ventes-day-")))
        settings = compress(speed, folder)
        record = Record(output, about)
        run(options, settings, record)
        print(f"\n{summary(record.data)}")
        if not options.bronze_only:
            verify(settings, record)
    print(output)


if __name__ == "__main__":
    main()
