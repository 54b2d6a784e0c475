"""A lot of a stream whose ids are texts, split by Spark: the same rows as by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.unit.test_lot_sql import COMMANDES, START, TABLES, bronze, split
from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.engines.spark import split_in_spark
from ventes.engines.spark.split_in_spark import LotIds

CHANGES: list[dict[str, Any]] = [
    *({"order": f"n-{number}", "rank": None if number % 2 else "x"} for number in range(20)),
    {"order": "n-3", "rank": None},
    {"order": "n-4", "rank": "other"},
    {"order": "known"},
    {"order": "known", "taux": None},
    {"order": None, "motifs": ["missing:order"], "prix": None},
    {"order": "été", "signalements": ["cher"]},
]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        yield con


def test_a_lot_with_text_ids(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_in_spark, "FEW", -1)  # all by Spark
    settings = Settings(stream=COMMANDES, paths={"lake": tmp_path / "lake"}, rules={"watermark_minutes": 1})
    known, _ = split(con, bronze({"order": "known"}))
    rows = bronze(*CHANGES)
    clean, rejected = split(con, rows, known)

    frame = spark.createDataFrame(rows)
    lot_ids = LotIds.of(frame, "order")
    wanted = spark.createDataFrame(pa.table({"reference": lot_ids.valid.unique()}))
    known_rows = spark.createDataFrame(known).join(F.broadcast(wanted), "reference", "left_semi")
    found = split_in_spark.split_in_spark(spark, con, frame, lot_ids, known_rows, settings, 4, START)

    assert not isinstance(found.rejets, pa.Table)
    theirs = found.clean.select(TABLES.clean.schema.names).toArrow().cast(TABLES.clean.schema)
    refused = found.rejets.toArrow().cast(TABLES.rejets.schema)
    spark.catalog.clearCache()
    assert sorted(map(repr, theirs.to_pylist())) == sorted(map(repr, clean.to_pylist()))
    assert sorted(map(repr, refused.to_pylist())) == sorted(map(repr, rejected.to_pylist()))
    assert (found.clean_rows, found.rejected_rows) == (clean.num_rows, rejected.num_rows) == (21, 5)
