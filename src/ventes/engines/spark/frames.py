"""Rows between Spark frames and the driver: few are collected as Arrow, many are appended by Spark.

A Spark Delta write costs 0.2–0.6 s, and as much CPU, however small it is; rows that were collected into one Arrow table
are committed by deltalog.commit in 10 ms. Both are idempotent by the same (app_id, version).
"""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame

from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.deltalog.table import Table

FEW = 20_000
"""Up to this many rows are collected, so that the driver can finish and commit them."""
COLLECT_LIMIT = "spark.driver.maxResultSize"
"""Spark refuses to collect more bytes than this and names it: few rows, but of megabytes each."""


def append(log: Log, table: Table, rows: DataFrame, app_id: str, version: int) -> frozenset[str]:
    """Append `rows` once under (app_id, version) with Spark's own writer; returns the paths of the new files.

    A transaction that the table has already adds nothing.
    """
    if commit.has(log, app_id, version):
        return frozenset()
    before = set(log.files)
    writer = rows.select(table.schema.names).write.format("delta").mode("append")
    writer.option("txnAppId", app_id).option("txnVersion", version).save(str(log.path))
    log.refresh()
    return frozenset(set(log.files) - before)


def collect(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
    """The rows as Arrow, with the columns and types of `schema`; None if they are too large to collect."""
    try:
        arrow = rows.select(schema.names).toArrow()
    except Exception as error:  # py4j, Spark or a socket: whichever noticed first
        if COLLECT_LIMIT in str(error):
            return None
        raise
    return arrow.cast(schema)
