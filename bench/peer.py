"""`make peer`: Pathway beside the embedded engine, on the same machine and a topic with the same sales.

Pathway parses each sale, counts and sums by country (`bench/peer_job.py`); the second time it also writes each sale as
JSON lines. The embedded engine does its whole work: Bronze with a verdict, clean and rejected tables, five roll-ups,
all on disk. For each: the job runs and is idle; it is suspended while N sales are put into the topic, then resumed.

    rate    sales / seconds until the last one is counted, or in Silver with all roll-ups
    CPU     seconds of the job's processes per million sales, until it is idle

`make peer` creates bench/.peer, an environment of its own (1.6 GB). Results: bench/results/peer.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from bench import compare  # noqa: E402
from harness.pipeline import wait_for  # noqa: E402

PEER = PROJECT / "bench" / ".peer" / "bin" / "python"
FIRST = 1000
"""Sales before the measured ones: the job has started when it has counted them."""


class Pathway(compare.Contender):
    """The peer as a contender: one job, whose progress is a file."""

    def __init__(self, folder: Path, interpreter: Path, lines: bool) -> None:
        super().__init__("embedded", folder)
        self._interpreter = interpreter
        self._lines = lines
        self._progress = folder / "progress"

    def start(self) -> None:
        kafka = self.settings.kafka
        command = [str(self._interpreter), str(PROJECT / "bench" / "peer_job.py")]
        command += [kafka.bootstrap, self.settings.topic, str(self._progress)]
        command += ["--lines", str(self.pipeline.folder / "sales.jsonl")] if self._lines else []
        with (self.pipeline.folder / "peer.out").open("ab") as output:
            self.pipeline.jobs["peer"] = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=self.pipeline.folder, start_new_session=True
            )

    def finished(self, sales: int) -> bool:
        process = self.pipeline.jobs["peer"]
        if process.poll() is not None:
            said = (self.pipeline.folder / "peer.out").read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"the peer's job ended with {process.returncode}:\n{said[-3000:]}")
        return self._progress.is_file() and int(self._progress.read_text(encoding="utf-8")) >= sales


def measure(contender: compare.Contender, sales: int, repeats: int) -> dict[str, list[float]]:
    """rec/s and CPU seconds per million, one of each per repeat, after a warm-up."""
    rates, costs = [], []
    with contender.pipeline:
        compare.produce(contender, FIRST, "max")
        contender.start()
        wait_for(lambda: contender.finished(FIRST), "the first sales", 180)
        done = FIRST
        for repeat in range(repeats + 1):
            rate, cpu = compare.backlog(contender, sales, done)
            done += sales
            if repeat:
                rates.append(rate)
                costs.append(cpu)
        peak = sum(contender.peaks.values())
    return {"rate": rates, "cpu": costs, "peak_mb": [peak]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pathway beside the embedded engine, on the same topic.")
    parser.add_argument("--python", type=Path, default=PEER, help="interpreter with pathway (default: bench/.peer)")
    parser.add_argument("--sales", type=int, default=1_000_000, help="sales in a backlog (default 1,000,000)")
    parser.add_argument("--repeats", type=int, default=5, help="backlogs measured, after one warm-up (default 5)")
    args = parser.parse_args()
    if not args.python.exists():
        raise SystemExit(f"{args.python} is not there → `make peer` creates it, or --python names another one")
    makers = {
        "Pathway: parse, count and sum by country": lambda folder: Pathway(folder, args.python, lines=False),
        "Pathway: the same, and JSON lines": lambda folder: Pathway(folder, args.python, lines=True),
        "embedded engine: Bronze, Silver, five roll-ups": lambda folder: compare.Contender("embedded", folder),
    }
    results: dict[str, dict[str, list[float]]] = {}
    print(f"{time.strftime('%Y-%m-%d')}, {psutil.cpu_count()} cores, median of {args.repeats} × {args.sales:,} sales\n")
    print("| | rec/s | CPU s per million | peak RSS, MB |\n|---|---|---|---|")
    for name, make in makers.items():
        with tempfile.TemporaryDirectory(prefix="ventes-peer-") as folder:
            found = results[name] = measure(make(Path(folder)), args.sales, args.repeats)
        middle = {key: statistics.median(values) for key, values in found.items()}
        print(f"| {name} | {middle['rate']:,.0f} | {middle['cpu']:.1f} | {middle['peak_mb']:,.0f} |", flush=True)
    output = PROJECT / "bench" / "results" / "peer.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
