"""Measures the requests of a lake on an object store: both embedded jobs over a real S3 server, at their pace.

    PYTHONPATH=. python bench/store_requests.py [--rate 200] [--seconds 120] [--pace 2 10]

Each --pace has pace_seconds and rollup_seconds of [store]. The requests are counted by a proxy before the server, so
everything counts: commits, data files, checkpoints, leases, looks for other writers. Prints them per lot, and the
dollars per million sales and per month, at Amazon's list prices.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from harness import store_load
from harness.object_store import environment, proxy, s3_server
from harness.silver_run import settings_of
from ventes.check.doctor.store import DOLLARS

MONTH = 30 * 86_400
WARM = 3
"""Lots that count as the start: it opens and makes all tables."""


def measure(rate: float, seconds: float, latency: float, pace: float, rollups: float) -> dict[str, object]:
    """One run over an empty lake."""
    with s3_server() as server, proxy(server) as way, tempfile.TemporaryDirectory() as folder:
        os.environ.update(environment(way.endpoint))
        lake = server.make_bucket("bench-bucket") + "/lake"
        way.weather.latency = latency
        store = {"pace_seconds": pace, "rollup_seconds": rollups}
        first: dict[int, Counter[str]] = {}

        def begun(lot: int) -> None:
            if lot >= WARM and not first:
                first[lot] = Counter(way.seen)

        done = store_load.run(
            settings_of(Path(folder), lake, store=store),
            rate,
            seconds,
            on_lot=begun,
        )
        seen = Counter(way.seen)
    (from_lot, at_start), *_ = first.items()
    lots, seen = int(done["lots"]) - from_lot, seen - at_start
    per_lot = sum(DOLLARS[kind] * number for kind, number in seen.items()) / lots
    return {
        "rate": rate,
        "pace_seconds": pace,
        "rollup_seconds": rollups,
        "latency": latency,
        **done,
        "start": dict(at_start),
        "per_lot": {kind: round(number / lots, 1) for kind, number in sorted(seen.items())},
        # at the pace, which a busy machine may not keep while this runs
        "dollars_per_month": round(per_lot / pace * MONTH, 2),
        "dollars_per_million_sales": round(per_lot / (rate * pace) * 1e6, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="sales per second")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds that the proxy adds to each request")
    parser.add_argument("--pace", type=float, nargs=2, action="append", metavar=("PACE", "ROLLUPS"))
    arguments = parser.parse_args()
    for pace, rollups in arguments.pace or [(2.0, 10.0), (5.0, 30.0)]:
        print(json.dumps(measure(arguments.rate, arguments.seconds, arguments.latency, pace, rollups)), flush=True)


if __name__ == "__main__":
    main()
