"""Measures commit times and table sizes over thousands of small commits.

    python bench/commits.py [--commits 2000] [--rows 1] [--lake FOLDER]

Each round is the work of a Silver lot of a few sales: one append to ventes_clean, one publish of its partials into the
five aggregates (not with --appends-only), one maintenance call per table. Prints medians for each tenth of the run,
then files and bytes of each table. 43,200 rounds are a day at one lot every 2 s. Results are in
docs/decisions/0002-own-commit-path.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import pyarrow as pa

from harness.shipped import CLEAN, ROLLUPS, SILVER_APP
from ventes import config
from ventes.deltalog import commit
from ventes.deltalog.database import (
    RecycledDatabase,
    connect,
)
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import TableMaintenance
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollup_partials import partials_of_rows
from ventes.lake.rollups import Publisher
from ventes.lake.tables import path_of

CLIENTS, PRODUCTS, COUNTRIES = 300, 40, ("France", "Espagne", "Italie", "Maroc", "Canada")
START = datetime(2026, 3, 1, tzinfo=timezone.utc)


def sales(rng: random.Random, lot: int, rows: int, seconds: float) -> pa.Table:
    """`rows` clean rows of a lot, `seconds` of event time per lot."""
    made = []
    for number in range(rows):
        client, product = rng.randrange(CLIENTS), rng.randrange(PRODUCTS)
        when = START + timedelta(seconds=lot * seconds)
        made.append(
            dict.fromkeys(CLEAN.schema.names)
            | {
                "vente_id": lot * rows + number,
                "client_id": client,
                "produit_id": product,
                "horodatage": when,
                "quantite": rng.randint(1, 5),
                "montant": Decimal(rng.randint(100, 20_000)) / 100,
                "client_nom": f"Client {client}",
                "produit_nom": f"Produit {product}",
                "categorie": f"Catégorie {product % 6}",
                "pays": COUNTRIES[client % 5],
                "segment": ("B2C", "B2B")[client % 2],
                "topic_id": "bench",
                "partition": 0,
                "offset": lot * rows + number,
                "kafka_ts": when,
                "lot": lot,
                "jour": when.date(),
            }
        )
    return pa.Table.from_pylist(made, schema=CLEAN.schema)


def timed(what: Callable[[], object], into: list[float]) -> None:
    began = time.perf_counter()
    what()
    into.append((time.perf_counter() - began) * 1000)


def maintain(maintained: list[TableMaintenance]) -> None:
    for one in maintained:
        one.run_due()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--commits", type=int, default=2000)
    options.add_argument("--rows", type=int, default=1)
    options.add_argument("--seconds", type=float, default=2.0, help="event time between two lots")
    options.add_argument("--appends-only", action="store_true")
    options.add_argument("--lake", type=Path)
    asked = options.parse_args()
    root = asked.lake or Path(tempfile.mkdtemp(prefix="ventes-bench-"))
    settings = config.load(paths={"lake": root, "state": root / "state"})
    tables = OpenTables(settings)
    clean = tables.ensure(CLEAN)
    publisher = Publisher(settings, tables, RecycledDatabase(settings.embedded.memory_mb))
    maintained = tables.maintenance([CLEAN], kept_small=ROLLUPS)
    con = connect()
    rng = random.Random(1)
    append: list[float] = []
    publish: list[float] = [0.0] if asked.appends_only else []
    maintenance_ms: list[float] = []
    step = max(1, asked.commits // 10)
    print(f"{'lots':>7} {'append ms':>10} {'max':>7} {'publish ms':>11} {'max':>7} {'maint. ms':>9} {'max':>7}")
    for lot in range(1, asked.commits + 1):
        rows = sales(rng, lot, asked.rows, asked.seconds)
        timed(lambda rows=rows, lot=lot: commit.append(clean, CLEAN, rows, SILVER_APP, lot), append)  # type: ignore[misc]
        if not asked.appends_only:
            partials = partials_of_rows(con, settings, rows)
            timed(lambda partials=partials, lot=lot: publisher.publish(partials, lot), publish)  # type: ignore[misc]
        timed(lambda: maintain(maintained), maintenance_ms)
        if lot % step == 0:
            print(
                f"{lot:>7} {statistics.median(append[-step:]):>10.1f} {max(append[-step:]):>7.0f}"
                f" {statistics.median(publish[-step:]):>11.1f} {max(publish[-step:]):>7.0f}"
                f" {statistics.median(maintenance_ms[-step:]):>8.2f} {max(maintenance_ms[-step:]):>7.0f}",
                flush=True,
            )
    for one in maintained:
        one.close()
    print(f"\n{'table':<20} {'live':>5} {'on disk':>8} {'MB':>7} {'log files':>10} {'log MB':>7} {'open ms':>8}")
    for table in (CLEAN, *ROLLUPS):
        path = path_of(settings, table)
        data = [file for file in path.rglob("*.parquet") if "_delta_log" not in file.parts]
        log_files = list((path / "_delta_log").iterdir())
        began = time.perf_counter()
        live = len(Log.open(path).files)
        opened = (time.perf_counter() - began) * 1000
        print(
            f"{table.name:<20} {live:>5} {len(data):>8} {sum(f.stat().st_size for f in data) / 1e6:>7.1f}"
            f" {len(log_files):>10} {sum(f.stat().st_size for f in log_files) / 1e6:>7.1f} {opened:>8.1f}"
        )
    if asked.lake is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
