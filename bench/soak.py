"""A long run at a constant rate: compares freshness, memory, files and batch times of its start and its end.

    python bench/soak.py [--rate 1000] [--minutes 60] [--engine embedded|spark]

It runs a separate pipeline: a real broker, the producer and both jobs as processes, with their own ports and temporary
folder. Every --every seconds it records

    freshness   p50, p95, p99 of (time of the commit that made a sale visible − the sale's timestamp) over the window
    batch       duration of Bronze's batches and Silver's lots (heartbeats, read once per second): median, slowest
    processes   CPU in cores and RSS in MB of producer, broker and both jobs, children included; CPU of the machine
    tables      live files, and log entries since the last checkpoint, of each table
    lag         messages and rows still to process: the highest value in a heartbeat of the window
    disk        files and MB of each table, history and log included, and of Kafka; every five minutes only

The JSON is written again at each sample: an aborted run keeps its results so far, and Ctrl-C ends it early and
cleanly. At the end the producer stops, the jobs catch up, and `verify` recomputes everything from the raw bytes (and
compares Bronze with the topic, up to --topic-up-to sales). Then the first tenth of the samples is compared with the
last one.

Sampling reads the new log entries of ventes_clean and the timestamps in its new files, and of each table the last
checkpoint and the entries after it: its work depends on the window, not on the length of the run. `sampling_s` and
cores.sampling record its cost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
from bench.freshness import added_after, percentiles  # noqa: E402
from harness.pipeline import Pipeline, wait_for  # noqa: E402
from harness.shipped import ALL, CLEAN  # noqa: E402
from ventes.broker import managed  # noqa: E402
from ventes.deltalog.log import Log, TableMissing  # noqa: E402
from ventes.deltalog.table import Table  # noqa: E402
from ventes.lake.tables import path_of  # noqa: E402

JOBS = ("bronze", "silver")
ASK_SECONDS = 1.0
"""Seconds between two reads of the heartbeats: Bronze renews its own once per second."""
DISK_SECONDS = 300.0
"""Seconds between two counts of files: six hours of history are about 100,000 directory entries."""
FLAT = 1.25
"""The highest ratio of the last tenth to the first that still counts as flat."""
LIVE = "most live files of a table"

Sample = dict[str, Any]


class Interrupted(Exception):
    """The user (Ctrl-C) or SIGTERM ends the run early."""


class Watch:
    """Observes a running pipeline: `ask` each second, `sample` at the end of a window."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.clean = path_of(pipeline.settings, CLEAN)
        self.began = self.window_began = time.monotonic()
        self._disk_at = 0.0
        self._version = Log.open(self.clean).version
        self._cpu = {name: cpu_seconds(process) for name, process in self._processes().items()}
        self._took: dict[str, list[float]] = defaultdict(list)
        self._lag: dict[str, int] = defaultdict(int)
        self._batches: dict[str, int | None] = {}
        self._own = time.process_time()
        psutil.cpu_percent()  # the first call only sets the start

    def ask(self) -> None:
        """Read the jobs' heartbeats. A job that ended raises."""
        for job in JOBS:
            if self.pipeline.jobs[job].poll() is not None:
                raise RuntimeError(f"the {job} job ended\n{self.pipeline.log(job)}")
            beat = self.pipeline.heartbeat(job)
            if beat is None:
                continue
            self._lag[job] = max(self._lag[job], beat.lag or 0)
            if beat.batch != self._batches.get(job) and beat.duration is not None:
                self._took[job].append(beat.duration)
                self._batches[job] = beat.batch

    def sample(self) -> Sample:
        """Measurements of the window from the last sample to now."""
        started = time.monotonic()
        seconds = started - self.window_began
        processes = self._processes()
        cpu = {name: cpu_seconds(process) for name, process in processes.items()}
        used = {name: cpu[name] - self._cpu.get(name, 0.0) for name in cpu}
        self._version, added = added_after(self.clean, self._version)
        found = percentiles(added)
        sample: Sample = {
            "minute": round((started - self.began) / 60, 3),
            "seconds": round(seconds, 2),
            "sales": found["sales"] if found else 0,
            "freshness_s": {name: round(found[name], 4) for name in ("p50", "p95", "p99")} if found else None,
            "batch_ms": {job: _times(self._took[job]) for job in JOBS},
            "lag": dict(self._lag),
            "cores": {name: round(value / seconds, 4) for name, value in used.items()},
            "machine_cores": round(psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1), 2),
            "rss_mb": {name: round(rss_mb(process), 1) for name, process in processes.items()},
            "live_files": {},
            "log_since_checkpoint": {},
        }
        for table in ALL:
            files, entries = _state(path_of(self.pipeline.settings, table))
            sample["live_files"][table.name], sample["log_since_checkpoint"][table.name] = files, entries
        if started >= self._disk_at:
            sample["disk"] = self.disk()
            self._disk_at = started + DISK_SECONDS
        sample["cores"]["sampling"] = round((time.process_time() - self._own) / seconds, 4)
        self._own = time.process_time()
        self._cpu, self.window_began = cpu, started
        self._took.clear()
        self._lag.clear()
        sample["sampling_s"] = round(time.monotonic() - started, 3)
        return sample

    def disk(self) -> dict[str, dict[str, float]]:
        """Files and MB of each table (live, history and log together), and of Kafka."""
        settings = self.pipeline.settings
        places = {table.name: path_of(settings, table) for table in ALL}
        return {name: _size(path) for name, path in {**places, "kafka": managed.folder(settings)}.items()}

    def _processes(self) -> dict[str, psutil.Process]:
        running = self.pipeline.broker.process
        assert running is not None
        jobs = {name: psutil.Process(job.pid) for name, job in self.pipeline.jobs.items()}
        return {**jobs, "broker": psutil.Process(running.pid)}


def _tree(process: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        yield process
        yield from process.children(recursive=True)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of the process and its children, including ended ones."""
    total = 0.0
    for one in _tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mb(process: psutil.Process) -> float:
    total = 0
    for one in _tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total / 2**20


def _times(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {
        "median": round(statistics.median(seconds) * 1000, 1),
        "slowest": round(max(seconds) * 1000, 1),
        "count": len(seconds),
    }


def _state(path: Path) -> tuple[int, int]:
    """(live files, log entries since the last checkpoint); (0, 0) while there is no table."""
    try:
        log = Log.open(path)
    except TableMissing:
        return 0, 0
    try:
        checkpoint = json.loads((path / "_delta_log" / "_last_checkpoint").read_bytes())["version"]
    except FileNotFoundError:
        checkpoint = -1
    return len(log.files), max(0, log.version - checkpoint)


def _size(path: Path) -> dict[str, float]:
    """Files may be created and deleted during the count."""
    files = size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += os.stat(os.path.join(folder, name)).st_size
                files += 1
    return {"files": files, "mb": round(size / 1e6, 1)}


# -- the run --------------------------------------------------------------------------------------


def run(args: argparse.Namespace, pipeline: Pipeline, record: Record) -> None:
    for job in JOBS:
        pipeline.start(job)
    pipeline.start("producer", "", None, "--rate", f"{args.rate:g}")
    wait_for(lambda: _rows(pipeline, CLEAN) > 0, "the first sale in Silver", 180)
    watch = Watch(pipeline)
    note(f"{'minute':>6} {'sales/s':>8} {'p50 s':>6} {'p95 s':>6} {'Bronze ms':>10} {'Silver ms':>10} "
         f"{'RSS MB':>11} {'cores':>11} {'live files':>10} {'lag':>6}")  # fmt: skip
    end = watch.began + args.minutes * 60
    try:
        while time.monotonic() < end:
            until = min(watch.window_began + args.every, end)
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(ASK_SECONDS, left))
                watch.ask()
            sample = watch.sample()
            record.add(sample)
            note(_line(sample))
    except Interrupted:
        note("ending early")
        record.set(ended_early=True)
    note("the producer stops, the jobs catch up")
    pipeline.stop("producer")
    began = time.monotonic()
    pipeline.catch_up(300)
    record.set(catch_up_s=round(time.monotonic() - began, 1), disk_at_end=watch.disk())
    for job in JOBS:
        pipeline.stop(job)
    verify(pipeline, args.topic_up_to, record)


def verify(pipeline: Pipeline, topic_up_to: int, record: Record) -> None:
    sales = _rows(pipeline, CLEAN)
    read_topic = sales <= topic_up_to
    note(f"verifying {sales:,} sales{', the topic as well' if read_topic else ' (not the topic: too many)'}")
    try:
        report = pipeline.verify(read_topic=read_topic)
    except AssertionError as error:
        record.set(verified={"ok": False, "topic": read_topic, "sales": sales, "why": str(error)})
        raise
    record.set(verified={"ok": True, "topic": read_topic, "sales": sales, "seconds": round(report.seconds, 1)})
    note(f"verified in {report.seconds:.0f} s")


def _rows(pipeline: Pipeline, table: Table) -> int:
    try:
        return pipeline.rows(table)
    except TableMissing:
        return 0


class Record:
    """The results file, written atomically."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self.data: dict[str, Any] = {"about": about, "samples": []}
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def samples(self) -> list[Sample]:
        found: list[Sample] = self.data["samples"]
        return found

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._write()

    def set(self, **values: Any) -> None:
        self.data.update(values)
        self._write()

    def _write(self) -> None:
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1))
        temporary.replace(self.path)


def _line(sample: Sample) -> str:
    fresh = sample["freshness_s"] or {"p50": float("nan"), "p95": float("nan")}
    took = [f"{times['median']:.0f}" if (times := sample["batch_ms"][job]) else "–" for job in JOBS]
    rss, cores = sample["rss_mb"], sample["cores"]
    return (
        f"{sample['minute']:6.1f} {sample['sales'] / sample['seconds']:8,.0f} {fresh['p50']:6.2f} {fresh['p95']:6.2f}"
        f" {took[0]:>10} {took[1]:>10} {'{:.0f} + {:.0f}'.format(*(rss[job] for job in JOBS)):>11}"
        f" {'{:.2f} + {:.2f}'.format(*(cores[job] for job in JOBS)):>11} {max(sample['live_files'].values()):>10}"
        f" {max(sample['lag'].values(), default=0):>6}"
    )


# -- first tenth, last tenth ------------------------------------------------------------------------


def tenths(samples: list[Sample]) -> dict[str, dict[str, Any]]:
    """Each curve over the first and the last tenth of the run: its median; for live files (a sawtooth) the peak."""
    curves: dict[str, Callable[[Sample], Any]] = {
        "freshness p50, s": lambda s: s["freshness_s"] and s["freshness_s"]["p50"],
        "freshness p95, s": lambda s: s["freshness_s"] and s["freshness_s"]["p95"],
        "Bronze batch, ms": lambda s: s["batch_ms"]["bronze"] and s["batch_ms"]["bronze"]["median"],
        "Silver lot, ms": lambda s: s["batch_ms"]["silver"] and s["batch_ms"]["silver"]["median"],
        "Bronze RSS, MB": lambda s: s["rss_mb"]["bronze"],
        "Silver RSS, MB": lambda s: s["rss_mb"]["silver"],
        "Bronze CPU, cores": lambda s: s["cores"]["bronze"],
        "Silver CPU, cores": lambda s: s["cores"]["silver"],
        LIVE: lambda s: max(s["live_files"].values()),
    }
    part = max(1, len(samples) // 10)
    found = {}
    for name, value in curves.items():
        first = [v for s in samples[:part] if (v := value(s)) is not None]
        last = [v for s in samples[-part:] if (v := value(s)) is not None]
        if not first or not last:
            continue
        typical = max if name == LIVE else statistics.median
        before, after = typical(first), typical(last)
        ratio = after / before if before else None
        found[name] = {"first": before, "last": after, "ratio": ratio, "flat": ratio is not None and ratio <= FLAT}
    return found


def table(found: dict[str, dict[str, Any]], samples: list[Sample]) -> str:
    part = max(1, len(samples) // 10)
    lines = [f"| median of {part} samples | first tenth | last tenth | ratio | |", "|---|---|---|---|---|"]
    for name, row in found.items():
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(
            f"| {name} | {row['first']:,.4g} | {row['last']:,.4g} | {ratio} | {'flat' if row['flat'] else 'grew'} |"
        )
    for name, key in (("live files", "live_files"), ("log entries since a checkpoint", "log_since_checkpoint")):
        most, where = max((count, where) for s in samples for where, count in s[key].items())
        lines.append(f"\nThe most {name} in the whole run: {most}, of {where}.")
    return "\n".join(lines)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("embedded", "spark"), default="embedded")
    parser.add_argument("--rate", type=float, default=1000, help="sales per second (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="length of the run (%(default)s)")
    parser.add_argument("--every", type=float, default=30, help="seconds between two samples (%(default)s)")
    parser.add_argument("--topic-up-to", type=int, default=500_000, help="sales up to which verify reads the topic")
    parser.add_argument("--folder", type=Path, help="keep all data in this folder (default: a temporary one)")
    parser.add_argument("--output", type=Path, help="default: bench/results/soak-<engine>.json")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    output = args.output or PROJECT / "bench" / "results" / f"soak-{args.engine}.json"
    about = {
        "engine": args.engine,
        "rate": args.rate,
        "minutes": args.minutes,
        "every_s": args.every,
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{psutil.cpu_count()} cores",
    }
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ventes-soak-")))
        pipeline = stack.enter_context(Pipeline(folder, args.engine))
        maintenance = pipeline.settings.maintenance
        about["history_hours"], about["compact_every"] = maintenance.history_hours, maintenance.compact_every
        record = Record(output, about)
        try:
            run(args, pipeline, record)
        finally:  # keep the measurements, however the run ended
            if record.samples:
                found = tenths(record.samples)
                record.set(tenths=found)
                print(table(found, record.samples))
                note(str(output))


if __name__ == "__main__":
    main()
