"""Few rows of Spark, collected as Arrow: the driver finishes and commits them in 10 ms, a Spark job takes 200."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame

FEW = 20_000
"""Up to this many rows are collected, so that the driver can finish and commit them."""
COLLECT_LIMIT = "spark.driver.maxResultSize"
"""Spark refuses to collect more bytes than this and names it: few rows, but of megabytes each."""


def collect(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
    """The rows as Arrow, with the columns and types of `schema`; None if they are too large to collect."""
    try:
        arrow = rows.select(schema.names).toArrow()
    except Exception as error:  # py4j, Spark or a socket: whichever noticed first
        if COLLECT_LIMIT in str(error):
            return None
        raise
    return arrow.cast(schema)
