"""The simplest Silver engine: the pipeline's SQL on DuckDB, two commits. And generated Bronze rows as its input."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from harness.shipped import BRONZE, CLEAN, REJETS, SILVER_APP
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.lot_measures import LotColumns
from ventes.engines.lot_range import LotRange
from ventes.engines.lot_sql import lot_sql
from ventes.engines.silver_loop import LotResult
from ventes.lake import silver_recovery
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollup_partials import partials_of_rows
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.failpoints import failpoint

START = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)


class PlainEngine:
    name = "plain"
    merging = None

    def __init__(self, settings: Settings, tables: OpenTables) -> None:
        self._settings = settings
        self._tables = tables
        self._lock = WriterLock(lock_path(settings, "silver"))
        self.database = RecycledDatabase(256)

    def lock(self) -> None:
        self._lock.acquire()

    def require_lock(self) -> None:
        self._lock.require()

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        settings, con = self._settings, self.database.con
        bronze = self._tables.snapshot(BRONZE)
        where = " OR ".join(
            f'(topic_id = \'{topic}\' AND "partition" = {partition} AND "offset" <= {upto}'
            f' AND "offset" > {lot_range.after.get((topic, partition), -1)})'
            for (topic, partition), upto in lot_range.upto.items()
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE lot_rows AS {bronze.select(lot_range.holds)} WHERE {where}")
        clean_log = self._tables.log(CLEAN)
        Snapshot.of_log(clean_log, CLEAN).view(con, "all_clean")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE known_rows AS SELECT * FROM all_clean SEMI JOIN lot_rows USING (vente_id)"
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE judged_rows AS {lot_sql(settings.stream, 'judged')}")
        params: dict[str, Any] = {"processed_at": START, "lot": lot}
        late = settings.rules.watermark_minutes * 60_000_000
        clean = con.execute(lot_sql(settings.stream, "clean"), {"watermark_us": late, **params}).to_arrow_table()
        rejets = con.execute(lot_sql(settings.stream, "rejected"), params).to_arrow_table().cast(REJETS.schema)
        failpoint("silver.before_rejets")
        if rejets.num_rows:
            commit.append(self._tables.log(REJETS), REJETS, rejets, SILVER_APP, lot)
        failpoint("silver.after_rejets")
        rejects = silver_recovery.rejects_of(self._tables)
        commit.append(clean_log, CLEAN, clean.cast(CLEAN.schema), SILVER_APP, lot, rejects)
        failpoint("silver.after_clean")
        partials = partials_of_rows(con, settings, clean)
        return LotResult(clean.num_rows, rejets.num_rows, partials, LotColumns.of_rows(settings.stream, clean, rejets))

    def close(self) -> None:
        self.database.close()
        self._lock.release()


def bronze_rows(sales: Iterable[dict[str, Any]]) -> pa.Table:
    """Bronze rows of `sales`: each a dict of Bronze columns that overrides a plain valid sale."""
    rows = []
    for sale in sales:
        offset = sale["offset"]
        row: dict[str, Any] = {
            "vente_id": offset + 1,
            "client_id": 7,
            "produit_id": 3,
            "timestamp": START,
            "quantite": 2,
            "montant": Decimal("10.00"),
            "client_nom": "Ana",
            "produit_nom": "Lampe",
            "categorie": "Maison",
            "pays": "France",
            "segment": "B2C",
            "motifs": [],
            "_extra": None,
            "topic_id": "T",
            "partition": 0,
            "kafka_ts": START + timedelta(milliseconds=offset),
            "date_ingestion": START,
            "key": b"7",
            "value": b"{}",
            "headers": None,
        }
        row |= sale
        row["jour"] = (row["timestamp"] or row["kafka_ts"]).date()
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=BRONZE.schema)


def random_sales(seed: int, count: int, first: int = 0, partitions: int = 1) -> list[dict[str, Any]]:
    """Sales with repeats, conflicts, rejects, late events; offsets from `first` on in each partition."""
    rng = random.Random(seed)
    offsets = dict.fromkeys(range(partitions), first)
    sales: list[dict[str, Any]] = []
    for number in range(count):
        partition = rng.randrange(partitions)
        client, produit = rng.randint(1, 12), rng.randint(1, 6)
        sale = {
            "offset": offsets[partition],
            "partition": partition,
            "kafka_ts": START + timedelta(milliseconds=first * 50 + number),
            "vente_id": rng.choice([first * 100 + number + 1] * 8 + [rng.randint(1, first + count)]),
            "client_id": client,
            "produit_id": produit,
            "client_nom": f"Client {client}",
            "produit_nom": f"Produit {produit}",
            "categorie": f"Cat {produit % 3}",
            "pays": rng.choice(["France", "Italie"]),
            "segment": rng.choice(["B2B", "B2C"]),
            "quantite": rng.randint(1, 9),
            "montant": Decimal(rng.randint(1, 99_999)) / 100,
            "timestamp": START + timedelta(minutes=rng.randint(-2000, 5), microseconds=rng.randint(0, 999_999)),
        }
        if sales and rng.random() < 0.05:
            sale = sales[-1] | {"offset": offsets[partition], "partition": partition, "kafka_ts": sale["kafka_ts"]}
        elif rng.random() < 0.1:
            sale |= {"motifs": rng.choice([["range:montant"], ["type:quantite", "missing:pays"]]), "montant": None}
        offsets[partition] += 1
        sales.append(sale)
    return sales
