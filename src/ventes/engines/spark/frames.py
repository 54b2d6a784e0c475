"""Collects few rows of Spark as Arrow: the driver processes and commits them in 10 ms, a Spark job in 200 ms."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

FEW = 20_000
"""Up to this many rows are collected to the driver."""
COLLECT_LIMIT = "spark.driver.maxResultSize"
"""The error if Spark refuses to collect more bytes than this: few rows, but of megabytes each."""
LARGE_BYTES = 131_072
"""A larger message is not collected: the JVM puts 1,024 rows together before it counts their bytes. 160 messages of
5 MB ended it."""
_LARGE = "VENTES_LARGE_MESSAGE"
_RAISED = f"[USER_RAISED_EXCEPTION] {_LARGE}"
"""Spark's error; the text of a plan has the name in other words."""
_SIZE = """coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + coalesce(aggregate(headers, 0,
    (size, one) -> size + coalesce(octet_length(one.key), 0) + coalesce(octet_length(one.value), 0)), 0)"""


def collect(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
    """The rows as Arrow, with the columns and types of `schema`; None if they are too large to collect.

    They have the columns of a raw message: key, value and headers.
    """
    refused = F.expr(f"CASE WHEN {_SIZE} > {LARGE_BYTES} THEN raise_error('{_LARGE}') ELSE value END")
    small = rows.withColumn("value", refused.cast("binary")).select(schema.names)
    try:
        arrow = small.toArrow()
    except Exception as error:  # the error may come from py4j, Spark or a socket
        if COLLECT_LIMIT in str(error) or _RAISED in str(error):
            return None
        raise
    return arrow.cast(schema)
