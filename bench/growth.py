#!/usr/bin/env python3
"""Measures whether the cost of a Silver lot depends on what is there already: `python bench/growth.py`.

    python bench/growth.py [--sales 100000,1000000,10000000] [--shapes rising,random,clients,days] [--lots 200]

For each shape and size a lake is made (harness/sample_lake.py), then lots of 100 sales are processed by the embedded
Silver job's loop in a process of its own, roll-ups and maintenance included. Figures are per lot: CPU and wall time,
bytes read (also from the page cache) and written, files added; and the peak memory of the process, and the seconds and
CPU of its first lot, which includes the start. The lots' sales continue the lake's: same shape, later times.

    rising    ids rise with time, 300 clients, 30 days
    random    ids are random 53-bit numbers
    clients   as many clients as sales, up to 2,000,000
    days      the sales of 3,650 days, the lots' as well

Results: bench/results/growth.json (`make plots` draws docs/bench/growth.png). 10,000,000 sales need 3 GB of disk and
some minutes per shape.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from harness import sample_lake  # noqa: E402
from harness.silver_run import loop_of  # noqa: E402
from ventes.config import Settings  # noqa: E402
from ventes.engines.embedded.silver import EmbeddedSilver  # noqa: E402
from ventes.engines.lot_range import LotRange  # noqa: E402
from ventes.engines.silver_loop import LotResult  # noqa: E402

LOT = 100
"""Sales per lot: what a lot has at 1,000 sales per second."""
END = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def shape_of(name: str, sales: int) -> sample_lake.Shape:
    if name == "clients":
        return sample_lake.Shape(clients=min(sales, 2_000_000), days=1.0)
    return sample_lake.Shape(days=3_650.0 if name == "days" else 30.0, random_ids=name == "random")


# -- one cell, each step in a process of its own --------------------------------------------------------


def make(folder: Path, name: str, sales: int, lots: int) -> None:
    """The lake, and Bronze's rows of the lots that are measured, one commit for each lot."""
    settings = sample_lake.settings_at(folder)
    shape = shape_of(name, sales)
    sample_lake.make(settings, sales, shape, END)
    start, seconds = END, lots * LOT / 1000.0
    if name == "days":
        start, seconds = END - timedelta(days=shape.days), shape.days * 86_400.0
    rows = sample_lake.messages(sales, lots * LOT, start + timedelta(seconds=seconds), shape, seconds)
    for first in range(0, rows.num_rows, LOT):
        sample_lake.add_to_bronze(settings, rows.slice(first, LOT))


class Watched(EmbeddedSilver):
    """Notes the moments at which lots begin."""

    marks: list[tuple[float, float]] = []  # noqa: RUF012 - one job per process

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        self.marks.append((time.perf_counter(), _cpu()))
        return super().take(lot_range, lot)


def measure(settings: Settings) -> dict[str, Any]:
    """Process what Bronze has, with the embedded engine; the figures of the module's docstring."""
    files, before = _files(settings.lake), _io()
    began, cpu = time.perf_counter(), _cpu()
    loop_of(settings, Watched, max_rows=LOT).run()
    marks = [*Watched.marks, (time.perf_counter(), _cpu())]
    lots = len(Watched.marks)
    read, written = (after - start for after, start in zip(_io(), before, strict=True))
    steady = marks[lots // 10 :]  # the first ones fill caches
    return {
        "lots": lots,
        "start_s": marks[1][0] - began,
        "start_cpu_s": marks[1][1] - cpu,
        "lot_ms": 1e3 * median(b[0] - a[0] for a, b in pairwise(steady)),
        "lot_cpu_ms": 1e3 * (steady[-1][1] - steady[0][1]) / (len(steady) - 1),
        "read_kb": read / lots / 1e3,
        "written_kb": written / lots / 1e3,
        "files": (_files(settings.lake) - files) / lots,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def _cpu() -> float:
    return time.process_time()


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _io() -> tuple[int, int]:
    """Bytes read and written by this process so far."""
    found = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(found["rchar"]), int(found["wchar"])


# -- the table ------------------------------------------------------------------------------------------


def cells(shapes: list[str], sizes: list[int], lots: int) -> Iterator[dict[str, Any]]:
    for name in shapes:
        for sales in sizes:
            with tempfile.TemporaryDirectory(prefix="growth-") as folder:
                cell = [sys.executable, __file__, "--folder", folder, "--shapes", name, "--sales", str(sales)]
                cell += ["--lots", str(lots)]
                subprocess.run([*cell, "--step", "make"], check=True)
                done = subprocess.run([*cell, "--step", "measure"], check=True, stdout=subprocess.PIPE)
            yield {"shape": name, "sales": sales, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sales", default="100000,1000000,10000000", help="sizes of the history")
    parser.add_argument("--shapes", default="rising,random,clients,days")
    parser.add_argument("--lots", type=int, default=200, help="lots that are measured")
    parser.add_argument("--to", type=Path, default=ROOT / "bench" / "results" / "growth.json")
    parser.add_argument("--step", choices=("make", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shapes, sizes = options.shapes.split(","), [int(size) for size in options.sales.split(",")]
    if options.step == "make":
        make(options.folder, shapes[0], sizes[0], options.lots)
    elif options.step == "measure":
        print(json.dumps(measure(sample_lake.settings_at(options.folder))))
    else:
        table(shapes, sizes, options.lots, options.to)


def table(shapes: list[str], sizes: list[int], lots: int, to: Path) -> None:
    found = []
    columns = ("start_s", "start_cpu_s", "lot_ms", "lot_cpu_ms", "read_kb", "written_kb", "files", "rss_mb")
    print(f"{'shape':8} {'sales':>12} " + " ".join(f"{name:>12}" for name in columns))
    for cell in cells(shapes, sizes, lots):
        found.append(cell)
        print(f"{cell['shape']:8} {cell['sales']:12,} " + " ".join(f"{cell[name]:12,.1f}" for name in columns))
    to.parent.mkdir(parents=True, exist_ok=True)
    about = {"lots": lots, "lot": LOT, "on": datetime.now(timezone.utc).isoformat()}
    to.write_text(json.dumps({"about": about, "cells": found}, indent=1))
    print(to)


if __name__ == "__main__":
    main()
