"""`make bench`: measures embedded engine, Spark engine and the textbook job in one run on one machine.

For each contender, on a separate broker with one partition:

    backlog     the jobs run and are idle; they are suspended (SIGSTOP) while N sales are put into the topic, then
                resumed: rows / seconds until the last one is in Silver with all roll-ups.
    Bronze      the same, with Silver suspended until Bronze has its last row.
    freshness   a generator sends R sales per second for S seconds; for each sale: time of the Delta
                commit that made it visible in ventes_clean (the log entry's mtime) minus the sale's own timestamp.
    cost        CPU seconds of the jobs (without broker and generator) per million sales of the backlog, including
                the work after it until they are idle, such as merging files; peak RSS per job; the lake on disk,
                log and history included, per million sales.

Everything shares the machine's cores, broker and generator included. Repeats of the backlog give the median.
Results go to bench/results/compare.json; `--contenders`, `--sales`, `--rates` limit a run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import psutil
from deltalake import DeltaTable

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from bench.freshness import added_after, percentiles  # noqa: E402
from harness.pipeline import Pipeline, wait_for  # noqa: E402
from harness.shipped import CLEAN  # noqa: E402
from ventes import config  # noqa: E402
from ventes.deltalog.create import open_with_deltalake  # noqa: E402
from ventes.lake.tables import path_of  # noqa: E402

CONTENDERS = ("embedded", "spark", "textbook")
REST, REST_SECONDS = 0.5, 2.0
SALES = {"embedded": 1_000_000, "spark": 500_000, "textbook": 100_000}
"""Sales in a backlog: about ten seconds of work for each."""


@dataclass
class Result:
    contender: str
    backlog_bronze: list[float] = field(default_factory=list)
    """rec/s, one per repeat: Bronze alone."""
    backlog_silver: list[float] = field(default_factory=list)
    """rec/s: both jobs at once, until the last roll-up is complete."""
    cpu_per_million: list[float] = field(default_factory=list)
    disk_per_million: float | None = None
    """MB of the lake after the backlogs."""
    peak_rss_mb: dict[str, float] = field(default_factory=dict)
    freshness: dict[str, dict[str, float]] = field(default_factory=dict)
    """rate → {p50, p95, p99} seconds."""
    first_sale: float | None = None
    """Seconds from starting both jobs to the first sale in ventes_clean."""


class Contender:
    """Two running jobs and the paths of their tables."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.pipeline = Pipeline(folder, "spark" if name == "textbook" else name)
        self.peaks: dict[str, float] = {}
        """The highest sum so far, MB per job, its JVM included."""
        self.settings = self.pipeline.settings
        lake = self.settings.lake
        self.bronze = lake / "bronze" if name == "textbook" else self.settings.bronze
        self.clean = lake / "silver" / "ventes_clean" if name == "textbook" else path_of(self.settings, CLEAN)

    def start(self) -> None:
        if self.name != "textbook":
            self.pipeline.start("bronze")
            self.pipeline.start("silver")
            return
        self._textbook("bronze")
        # A Delta stream cannot start before its source exists: the silver job is started once Bronze is there.
        wait_for(lambda: self.rows(self.bronze) > 0, "the textbook job's Bronze", 120)
        self._textbook("silver")

    def _textbook(self, job: str) -> None:
        with (self.pipeline.folder / f"{job}.out").open("ab") as output:
            self.pipeline.jobs[job] = subprocess.Popen(
                [
                    sys.executable,
                    str(PROJECT / "bench" / "textbook.py"),
                    job,
                    "--bootstrap",
                    self.settings.kafka.bootstrap,
                    "--lake",
                    str(self.settings.lake),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.pipeline.folder,
                start_new_session=True,
            )

    @staticmethod
    def rows(table: Path) -> int:
        if not any((table / "_delta_log").glob("0*.json")):  # the folder exists before the first commit
            return 0
        return int(sum(open_with_deltalake(table).get_add_actions(flatten=True)["num_records"].to_pylist()))

    def finished(self, sales: int) -> bool:
        """Whether Silver and every roll-up hold all sales."""
        if self.name != "textbook":
            return self.pipeline.lag() == ""
        if self.rows(self.clean) < sales:
            return False
        last = self.settings.lake / "silver" / "ventes_aggreges"
        if not any((last / "_delta_log").glob("0*.json")):
            return False
        table = open_with_deltalake(last).to_pyarrow_table(columns=["total_transactions"])
        return sum(table.column(0).to_pylist()) >= sales

    def family(self) -> list[psutil.Process]:
        return [one for process in self.pipeline.jobs.values() for one in _tree(process.pid)]

    def cpu(self) -> float:
        """CPU seconds of the jobs and their children, including ended ones (Spark's Python workers)."""
        total = 0.0
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):  # its parent counts it from now on
                total += sum(process.cpu_times()[:4])
        return total

    def at_rest(self) -> bool:
        """Whether the jobs use less than REST cores for a while. Idle JVMs use some CPU, too."""
        before = self.cpu()
        time.sleep(REST_SECONDS)
        return self.cpu() - before < REST * REST_SECONDS

    def disk(self) -> float:
        """MB of all files of the lake."""
        return sum(file.stat().st_size for file in self.settings.lake.rglob("*") if file.is_file()) / 1e6

    def signal(self, number: signal.Signals, *jobs: str) -> None:
        """Send a signal to the named jobs (default: all) and their children."""
        for job in jobs or self.pipeline.jobs:
            for process in _tree(self.pipeline.jobs[job].pid):
                with contextlib.suppress(psutil.NoSuchProcess):  # Spark's Python workers start and end
                    process.send_signal(number)

    def note_peaks(self) -> None:
        """Note the peak RSS of each job: the sum of VmHWM of the processes it has now. Spark's Python workers end when
        they are idle, so this is asked at the end of each backlog."""
        for job, process in self.pipeline.jobs.items():
            now = sum(_peak(p) for p in _tree(process.pid))
            self.peaks[job] = max(now, self.peaks.get(job, 0.0))


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _peak(process: psutil.Process) -> float:
    """MB; 0 for a process that has ended meanwhile."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def produce(contender: Contender, count: int, rate: str) -> None:
    """Run the product's generator as a process: `count` sales at `rate` per second (or max)."""
    command = [sys.executable, str(PROJECT / "producer.py"), "--rate", rate, "--count", str(count)]
    subprocess.run(command, env=contender.pipeline.environment, check=True, stdout=subprocess.DEVNULL)


def bronze_alone(contender: Contender, sales: int, before: int) -> float:
    """rec/s of a backlog through Bronze while Silver is suspended; Silver then catches up, untimed."""
    contender.signal(signal.SIGSTOP)
    produce(contender, sales, "max")
    began = time.monotonic()
    contender.signal(signal.SIGCONT, "bronze")
    took = _until(lambda: contender.rows(contender.bronze) >= before + sales) - began
    contender.signal(signal.SIGCONT, "silver")
    _until(lambda: contender.finished(before + sales))
    contender.note_peaks()
    _until(contender.at_rest)
    return sales / took


def backlog(contender: Contender, sales: int, before: int) -> tuple[float, float]:
    """(rec/s through Bronze and Silver together, CPU seconds per million)."""
    contender.signal(signal.SIGSTOP)
    produce(contender, sales, "max")
    cpu = contender.cpu()
    began = time.monotonic()
    contender.signal(signal.SIGCONT)
    took = _until(lambda: contender.finished(before + sales)) - began
    contender.note_peaks()
    _until(contender.at_rest)
    contender.note_peaks()  # merges follow a backlog
    return sales / took, (contender.cpu() - cpu) / sales * 1e6


def _until(question: Callable[[], bool]) -> float:
    wait_for(question, "the backlog is done", 900)
    return time.monotonic()


def freshness(contender: Contender, rate: int, seconds: int, before: int) -> dict[str, float]:
    """Percentiles of (commit visible − sale's timestamp) over one run, without its first tenth."""
    version = DeltaTable(str(contender.clean)).version()
    began = datetime.now(timezone.utc)
    produce(contender, rate * seconds, str(rate))
    wait_for(lambda: contender.finished(before + rate * seconds), "caught up", 300)
    _, added = added_after(contender.clean, version)
    column = "timestamp::TIMESTAMPTZ" if contender.name == "textbook" else "horodatage"
    since = datetime.fromtimestamp(began.timestamp() + seconds / 10, timezone.utc)
    found = percentiles(added, column, since)
    assert found is not None
    return found


def measure(name: str, args: argparse.Namespace, folder: Path) -> Result:
    result = Result(name)
    contender = Contender(name, folder)
    with contender.pipeline:
        produce(contender, 1000, "max")
        began = time.monotonic()
        contender.start()
        wait_for(lambda: contender.rows(contender.clean) > 0, "the first sale in Silver", 180)
        result.first_sale = time.monotonic() - began
        done = 1000
        wait_for(lambda: contender.finished(done), "the first sales everywhere", 180)
        sales = args.sales or SALES[name]
        for repeat in range(args.repeats + 1):
            alone = bronze_alone(contender, sales, done)
            done += sales
            both, cpu = backlog(contender, sales, done)
            done += sales
            note(f"{name}: {'warm-up: ' if repeat == 0 else ''}Bronze alone {alone:,.0f}, both {both:,.0f} rec/s")
            if repeat:
                result.backlog_bronze.append(alone)
                result.backlog_silver.append(both)
                result.cpu_per_million.append(cpu)
        result.disk_per_million = contender.disk() / done * 1e6
        for rate in args.rates:
            if name == "textbook" and rate > 1000:
                continue
            found = freshness(contender, rate, args.seconds, done)
            done += rate * args.seconds
            result.freshness[str(rate)] = found
            note(f"{name}: {rate:,}/s: p50 {found['p50']:.2f} s, p95 {found['p95']:.2f} s")
        contender.note_peaks()
        result.peak_rss_mb = contender.peaks
        if name != "textbook":
            contender.pipeline.verify(read_topic=False)
            note(f"{name}: verified")
    return result


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _freshness(result: Result, rate: int, quantile: str) -> list[float]:
    """Seconds from sale to Silver at `rate` sales per second; [] if it was not measured."""
    measured = result.freshness.get(str(rate))
    return [] if measured is None else [measured[quantile]]


def table(results: list[Result]) -> str:
    """The results as Markdown, with ratios to the textbook job of the same run."""
    base = next((r for r in results if r.contender == "textbook"), None)

    def cell(values: list[float], base_values: list[float] | None, lower_is_better: bool = False) -> str:
        if not values:
            return "–"
        middle = statistics.median(values)
        text = f"{middle:,.0f}" if middle >= 100 else f"{middle:.2f}"
        if base_values:
            other = statistics.median(base_values)
            text += f" ({other / middle if lower_is_better else middle / other:.1f}×)"
        return text

    rows: list[tuple[str, Callable[[Result], list[float]], bool]] = [
        ("backlog through Bronze alone, rec/s", lambda r: r.backlog_bronze, False),
        ("backlog through Bronze and Silver at once, rec/s", lambda r: r.backlog_silver, False),
        ("CPU s per million sales, both jobs", lambda r: r.cpu_per_million, True),
        ("jobs started → first sale in Silver, s", lambda r: [r.first_sale] if r.first_sale else [], True),
        ("lake on disk, MB per million sales", lambda r: [r.disk_per_million] if r.disk_per_million else [], True),
        ("peak RSS, both jobs, MB", lambda r: [sum(r.peak_rss_mb.values())] if r.peak_rss_mb else [], True),
    ]
    rates = sorted({int(rate) for r in results for rate in r.freshness})
    for rate in rates:
        for p in ("p50", "p95", "p99"):
            rows.append((f"sale → Silver at {rate:,}/s, {p}, s", partial(_freshness, rate=rate, quantile=p), True))
    lines = ["| | " + " | ".join(r.contender for r in results) + " |", "|---|" + "---|" * len(results)]
    for label, values, lower in rows:
        cells = [cell(values(r), values(base) if base and r is not base else None, lower) for r in results]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the engines with a textbook job.")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    sizes = ", ".join(f"{name} {sales:,}" for name, sales in SALES.items())
    parser.add_argument("--sales", type=int, help=f"sales in a backlog (unless given: {sizes})")
    parser.add_argument("--repeats", type=int, default=5, help="backlogs measured, after one warm-up")
    parser.add_argument("--rates", type=int, nargs="*", default=[1000, 10_000], help="sales per second for freshness")
    parser.add_argument("--seconds", type=int, default=60, help="length of a freshness run")
    args = parser.parse_args()
    output = PROJECT / "bench" / "results" / "compare.json"
    output.parent.mkdir(exist_ok=True)
    about = {
        "date": str(datetime.now(timezone.utc).date()),
        "machine": f"{psutil.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "config": str(config.load().spark.master),
    }
    results: list[Result] = []
    for name in args.contenders:
        with tempfile.TemporaryDirectory(prefix=f"ventes-bench-{name}-") as folder:
            results.append(measure(name, args, Path(folder)))
        output.write_text(json.dumps({"about": about, "results": [asdict(r) for r in results]}, indent=1))
    print(f"{about['date']}, {about['machine']}, median of {args.repeats} backlogs\n")
    print(table(results))


if __name__ == "__main__":
    main()
