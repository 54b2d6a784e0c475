"""Splits a large lot in Spark, with as few passes over the rows as possible.

Nearly all rows of a real lot are plain: valid, and with an id that occurs nowhere else. So the driver first collects
only the lot's ids and looks them up in the clean events. Plain rows then go from Bronze to the clean events in one
pass, without a shuffle; only the other rows (rejected by Bronze, repeated in the lot, already among the clean events)
are compared with each other, by DuckDB if they are few, else by Spark with the same SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ventes.config import Settings
from ventes.contract import tables
from ventes.engines.lot_sql import CLEAN, JUDGED, REJECTED, lot_sql
from ventes.engines.spark.frames import FEW, collect
from ventes.engines.split_in_duckdb import split_in_duckdb, watermark_us


@dataclass(frozen=True)
class SparkSplit:
    """The result of a lot; the counts are exact."""

    clean: DataFrame
    clean_rows: int
    rejets: DataFrame | pa.Table
    rejected_rows: int


@dataclass(frozen=True)
class LotIds:
    """The id of each valid row of a lot, those that occur twice, and how many rows there are."""

    valid: pa.ChunkedArray
    repeated: pa.Array
    rows: int

    @classmethod
    def of(cls, rows: DataFrame, name: str) -> LotIds:
        """`name`: Bronze's column with the id."""
        found = rows.selectExpr(f"`{name}` AS id", "size(motifs) = 0 AS valid").toArrow()
        valid = found.filter(found["valid"])["id"]
        times = pc.value_counts(valid)
        repeated = times.field("values").filter(pc.greater(times.field("counts"), 1))
        return cls(valid, repeated, found.num_rows)


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
    """Split the Bronze rows of a lot. `known_rows`: the clean rows that have an id of the lot_ids.

    It caches data in Spark; the caller frees it with `spark.catalog.clearCache()` after writing.
    """
    stream, own = settings.stream, tables.of(settings)
    id_ = stream.event.field(stream.event.id)
    known = known_rows.select(id_.clean_name).toArrow()[id_.clean_name]
    suspects = pc.unique(pa.chunked_array([lot_ids.repeated, *known.chunks], lot_ids.valid.type))
    plain_rows = len(lot_ids.valid) - (pc.sum(pc.is_in(lot_ids.valid, suspects)).as_py() or 0)
    doubtful_rows = lot_ids.rows - plain_rows
    taken: dict[str, Any] = {"processed_at": now, "lot": lot}
    clean_sql = lot_sql(stream, CLEAN, "spark", watermark_us=watermark_us(settings), **taken)

    plain = rows.where("size(motifs) = 0")
    if len(suspects):
        looked_at = F.broadcast(spark.createDataFrame(pa.table({id_.name: suspects})))
        plain = plain.join(looked_at, id_.name, "left_anti")
    plain.createOrReplaceTempView("judged_rows")
    clean = spark.sql(clean_sql)
    if doubtful_rows == 0:
        return SparkSplit(clean, lot_ids.rows, own.rejets.schema.empty_table(), 0)

    doubtful = rows.where("size(motifs) > 0")
    if len(suspects):
        repeated = rows.where("size(motifs) = 0").join(looked_at, id_.name, "left_semi")
        doubtful = doubtful.unionByName(repeated)
    few = collect(doubtful, own.bronze.schema) if doubtful_rows <= FEW else None
    if few is not None:
        judged = split_in_duckdb(con, few, known_rows.toArrow(), settings, lot, now)
        rejected = judged.rejets.num_rows
        return SparkSplit(_with(clean, judged.clean), lot_ids.rows - rejected, judged.rejets, rejected)
    doubtful.createOrReplaceTempView("lot_rows")
    known_rows.createOrReplaceTempView("known_rows")
    verdicts = spark.sql(lot_sql(stream, JUDGED, "spark")).persist()
    verdicts.createOrReplaceTempView("judged_rows")
    rejets = spark.sql(lot_sql(stream, REJECTED, "spark", **taken))
    rejected = rejets.count()
    return SparkSplit(clean.unionByName(spark.sql(clean_sql)), lot_ids.rows - rejected, rejets, rejected)


def _with(clean: DataFrame, more: pa.Table) -> DataFrame:
    """`clean` and the rows `more` that DuckDB made."""
    return clean.unionByName(clean.sparkSession.createDataFrame(more, clean.schema)) if more.num_rows else clean
