#!/usr/bin/env python3
"""`python bench/make_lake.py FOLDER SALES [--days D]`: a lake of N sales, without Kafka or Spark."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from harness import sample_lake  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sales", type=int)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--hostile", action="store_true", help="with names that look like code")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    shape = sample_lake.Shape(days=options.days, hostile=sample_lake.HOSTILE if options.hostile else ())
    sample_lake.make(sample_lake.settings_at(options.folder), options.sales, shape)
    print(f"{options.sales:,} messages under {options.folder} in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
