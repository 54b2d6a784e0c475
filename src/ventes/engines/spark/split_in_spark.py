"""Splits a large lot in Spark, with as few passes over the rows as possible.

Nearly all rows of a real lot are plain: valid, and with an id that occurs nowhere else. So the driver first collects
only the lot's ids (8 bytes each) and looks them up in ventes_clean. Plain rows then go from Bronze to ventes_clean in
one pass, without a shuffle; only the other rows (rejected by Bronze, repeated in the lot, already in ventes_clean) are
compared with each other, by DuckDB if they are few, else by Spark with the same SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ventes.config import Settings
from ventes.contract.dialect import sql
from ventes.contract.tables import BRONZE, REJETS
from ventes.deltalog.actions import DataFile
from ventes.engines.spark.frames import FEW, collect
from ventes.engines.split_in_duckdb import split_in_duckdb, watermark_us

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SparkSplit:
    """The result of a lot; the counts are exact."""

    clean: DataFrame
    clean_rows: int
    rejets: DataFrame | pa.Table
    rejected_rows: int


@dataclass(frozen=True)
class LotIds:
    """The ids of a lot's valid rows: distinct and sorted, those that occur twice, and how many rows there are."""

    ids: Ids
    repeated: Ids
    valid: Ids
    """The id of every valid row."""
    rows: int

    @classmethod
    def of(cls, rows: DataFrame) -> LotIds:
        found = rows.selectExpr("vente_id", "size(motifs) = 0 AS valid").toArrow()
        valid: Ids = found.filter(found["valid"])["vente_id"].to_numpy()
        ids, times = np.unique(valid, return_counts=True)
        return cls(ids, ids[times > 1], valid, found.num_rows)


def may_hold(file: DataFile, ids: Ids) -> bool:
    """Whether the range of vente_id of a file includes one of the sorted `ids`."""
    bounds = file.bounds("vente_id")
    if bounds is None:
        return True
    low, high = np.searchsorted(ids, bounds[0], "left"), np.searchsorted(ids, bounds[1], "right")
    return bool(low < high)


def split_in_spark(
    spark: SparkSession,
    con: duckdb.DuckDBPyConnection,
    rows: DataFrame,
    lot_ids: LotIds,
    known_rows: DataFrame,
    settings: Settings,
    lot: int,
    now: datetime,
) -> SparkSplit:
    """Split the Bronze rows of a lot. `known_rows`: the rows of ventes_clean that have an id of the lot_ids.

    It caches data in Spark; the caller frees it with `spark.catalog.clearCache()` after writing.
    """
    known = np.sort(known_rows.select("vente_id").toArrow()["vente_id"].to_numpy())
    suspects: Ids = np.union1d(lot_ids.repeated, known)
    doubtful_rows = lot_ids.rows - int(np.count_nonzero(~np.isin(lot_ids.valid, suspects)))
    taken: dict[str, Any] = {"processed_at": now, "lot": lot}
    clean_sql = sql("engines/sql/clean", "spark", watermark_us=watermark_us(settings), **taken)

    plain = rows.where("size(motifs) = 0")
    if len(suspects):
        plain = plain.join(F.broadcast(_frame(spark, suspects)), "vente_id", "left_anti")
    plain.createOrReplaceTempView("judged_rows")
    clean = spark.sql(clean_sql)
    if doubtful_rows == 0:
        return SparkSplit(clean, lot_ids.rows, REJETS.schema.empty_table(), 0)

    doubtful = rows.where("size(motifs) > 0")
    if len(suspects):
        repeated = rows.where("size(motifs) = 0").join(F.broadcast(_frame(spark, suspects)), "vente_id", "left_semi")
        doubtful = doubtful.unionByName(repeated)
    few = collect(doubtful, BRONZE.schema) if doubtful_rows <= FEW else None
    if few is not None:
        judged = split_in_duckdb(con, few, known_rows.toArrow(), settings, lot, now)
        rejected = judged.rejets.num_rows
        return SparkSplit(_with(clean, judged.clean), lot_ids.rows - rejected, judged.rejets, rejected)
    doubtful.createOrReplaceTempView("lot_rows")
    known_rows.createOrReplaceTempView("known_rows")
    verdicts = spark.sql(sql("engines/sql/judged", "spark")).persist()
    verdicts.createOrReplaceTempView("judged_rows")
    rejets = spark.sql(sql("engines/sql/rejected", "spark", **taken))
    rejected = rejets.count()
    return SparkSplit(clean.unionByName(spark.sql(clean_sql)), lot_ids.rows - rejected, rejets, rejected)


def _with(clean: DataFrame, more: pa.Table) -> DataFrame:
    """`clean` and the rows `more` that DuckDB made."""
    return clean.unionByName(clean.sparkSession.createDataFrame(more, clean.schema)) if more.num_rows else clean


def _frame(spark: SparkSession, ids: Ids) -> DataFrame:
    return spark.createDataFrame(pa.table({"vente_id": ids}))
