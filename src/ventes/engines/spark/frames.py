"""Collects few rows of Spark as Arrow: the driver processes and commits them in 10 ms, a Spark job in 200 ms."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame

FEW = 20_000
"""Up to this many rows are collected to the driver."""
COLLECT_LIMIT = "spark.driver.maxResultSize"
"""The error if Spark refuses to collect more bytes than this: few rows, but of megabytes each."""


def collect(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
    """The rows as Arrow, with the columns and types of `schema`; None if they are too large to collect."""
    try:
        arrow = rows.select(schema.names).toArrow()
    except Exception as error:  # the error may come from py4j, Spark or a socket
        if COLLECT_LIMIT in str(error):
            return None
        raise
    return arrow.cast(schema)
