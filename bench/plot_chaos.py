"""Draws the curves of a long chaos run (`python -m harness.chaos --out FOLDER`) as a picture in docs/bench.

    python bench/plot_chaos.py FOLDER [--to docs/bench/chaos-embedded.png]

Memory, handles, batch times and lag change with every fault; the question is whether they return to where they were.
A curve is the median, and for lag the largest value, of each half minute; a service that was down has no value then.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
from bench.plot import BLUE, GREEN, GREY, INK, ORANGE, VIOLET, Figure, Line, Panel, draw, multiples  # noqa: E402

BIN_SECONDS = 30.0
Row = Mapping[str, str]
Reduce = Callable[[Sequence[float]], float]
SERVICES = {"bronze": BLUE, "silver": ORANGE, "page": VIOLET, "broker": GREY, "producer": GREEN}


def rows(folder: Path, name: str) -> list[Row]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def binned(found: Iterable[Row], column: str, bins: int, reduce: Reduce = median) -> list[float | None]:
    """One value for each BIN_SECONDS of the run; None where no row has one."""
    values: dict[int, list[float]] = defaultdict(list)
    for row in found:
        if row[column]:
            values[int(float(row["at"]) // BIN_SECONDS)].append(float(row[column]))
    return [reduce(values[number]) if number in values else None for number in range(bins)]


def chaos(folder: Path) -> Figure:
    """Small multiples of one run."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    processes, jobs, files = (rows(folder, name) for name in ("processes", "jobs", "files"))
    last = max(float(row["at"]) for row in jobs)
    bins = int(last // BIN_SECONDS) + 1
    minutes = [number * BIN_SECONDS / 60 for number in range(bins)]

    def of(found: Iterable[Row], key: str, name: str, column: str, reduce: Reduce = median) -> list[float | None]:
        return binned((row for row in found if row[key] == name), column, bins, reduce)

    def each(column: str) -> list[Line]:
        return [
            Line(name, of(processes, "name", name, column), color, 1.5)
            for name, color in SERVICES.items()
            if any(row["name"] == name for row in processes)
        ]

    def job(column: str, reduce: Reduce = median, factor: float = 1.0) -> list[Line]:
        return [
            Line(
                name,
                [value and value * factor for value in of(jobs, "service", name, column, reduce)],
                SERVICES[name],
                1.5,
            )
            for name in ("bronze", "silver")
        ]

    panels = [
        Panel("Memory (RSS)", "MB a process", each("rss_mb")),
        Panel("Open handles", "of a process", each("handles")),
        Panel("Time a batch takes", "ms, median", job("batch_seconds", factor=1000)),
        Panel("Lag", "messages, largest", job("lag_messages", max)),
        Panel(
            "Files on disk",
            "history and logs included",
            [Line(name, of(files, "folder", name, "files"), color) for name, color in (("lake", BLUE), ("state", INK))],
        ),
        Panel(
            "Bytes on disk",
            "MB",
            [Line(name, of(files, "folder", name, "mb"), color) for name, color in (("lake", BLUE), ("state", INK))],
        ),
    ]
    return multiples(
        f"{summary['rate']:,.0f} messages per second and {summary['steps']} faults in {last / 60:.0f} minutes: "
        f"{summary['engine']} engine, seed {summary['seed']}",
        "broker, load, both jobs, page and the checks on one machine with 2 cores",
        minutes,
        "minutes",
        panels,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --out of a chaos run")
    parser.add_argument("--to", type=Path, default=PROJECT / "docs" / "bench" / "chaos-embedded.png")
    options = parser.parse_args()
    draw({options.to: chaos(options.folder)})


if __name__ == "__main__":
    main()
