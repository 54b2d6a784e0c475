"""Silver's statements give the same rows on Spark and on DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from harness.shipped import CLEAN, REJETS
from harness.silver_engine import START, bronze_rows, random_sales
from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.engines.lot_sql import Name, lot_sql

STEPS: dict[Name, tuple[str, pa.Schema | None]] = {
    # statement → the relation that its result becomes, the contract of that result
    "judged": ("judged_rows", None),
    "clean": ("clean", CLEAN.schema),
    "rejected": ("rejects", REJETS.schema),
}
STREAM = Settings().stream
PARAMS: dict[str, Any] = {"lot": 3, "processed_at": START, "watermark_us": 600_000_000}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        yield con


def bronze() -> pa.Table:
    odd = [
        {"offset": 900 + n, "vente_id": 90_000 + n, "quantite": q, "montant": Decimal(m), "client_nom": "Zoé ' \\ 漢"}
        for n, (q, m) in enumerate([(1_000_000, "9999999999.99"), (3, "0.01"), (2, "0.01"), (999_999, "0.99")])
    ]
    return bronze_rows([*random_sales(11, 400, partitions=2), *odd])


def test_both_engines_give_the_same_rows(spark: SparkSession, con: duckdb.DuckDBPyConnection) -> None:
    rows = bronze()
    known = rows.slice(0, 0).rename_columns([{"timestamp": "horodatage"}.get(n, n) for n in rows.column_names])
    con.register("lot_rows", rows)
    con.register("known_rows", known)
    spark.createDataFrame(rows).createOrReplaceTempView("lot_rows")
    spark.createDataFrame(known).createOrReplaceTempView("known_rows")
    for name, (relation, schema) in STEPS.items():
        ours = con.execute(lot_sql(STREAM, name, "duckdb", **PARAMS)).to_arrow_table()
        theirs = spark.sql(lot_sql(STREAM, name, "spark", **PARAMS))
        wanted = schema or ours.schema
        assert _comparable(theirs.toArrow().cast(wanted)) == _comparable(ours.cast(wanted)), name
        assert ours.num_rows > 0, name
        con.register(relation, ours)
        theirs.cache().createOrReplaceTempView(relation)


def _comparable(rows: pa.Table) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows.to_pylist())
