"""Appends to a Delta table: rows, few by the driver and many by Spark, or files that are written. Same transactions.

A Spark Delta write costs 0.2–0.6 s, and as much CPU, however small it is; rows that were collected into one Arrow table
are committed by lake.commit in 10 ms. Both are idempotent by the same (app_id, version).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame

from ventes.contract.tables import Table
from ventes.deltalog import commit
from ventes.deltalog.log import DataFile, Log, transaction

FEW = 20_000
"""Up to this many rows are collected, so that the driver can finish and commit them."""
COLLECT_LIMIT = "spark.driver.maxResultSize"
"""Spark refuses to collect more bytes than this and names it: few rows, but of megabytes each."""


@dataclass(frozen=True)
class Appended:
    """What a commit added."""

    rows: int
    newest: datetime | None
    """The latest kafka_ts, to the millisecond; None for no rows."""
    paths: frozenset[str] = frozenset()
    """The new files, relative to the table."""


class Sink:
    """Appends to one table. The caller holds the table's writer lock."""

    def __init__(self, path: Path, table: Table) -> None:
        self.log = Log.open(path)
        self.table = table

    def has(self, app_id: str, version: int) -> bool:
        """Whether the table has the transaction (app_id, version), or a later one of it."""
        self.log.refresh()
        return self.log.transactions.get(app_id, -1) >= version

    def append(self, rows: DataFrame | pa.Table, app_id: str, version: int) -> Appended:
        """Append `rows` (columns and types of the table) once under (app_id, version): Arrow here, a frame by Spark.

        A transaction that the table has already adds nothing.
        """
        if self.has(app_id, version):
            return Appended(0, None)
        before = set(self.log.files)
        if isinstance(rows, pa.Table):
            commit.append(self.log, self.table, rows, app_id, version)
        else:
            writer = rows.select(self.table.schema.names).write.format("delta").mode("append")
            writer.option("txnAppId", app_id).option("txnVersion", version).save(str(self.log.path))
            self.log.refresh()
        return _added([file for path, file in self.log.files.items() if path not in before])

    def add(self, new: Sequence[DataFile], app_id: str, version: int) -> Appended:
        """Name files that are there in a commit under (app_id, version), which the table does not have yet."""
        self.log.commit([transaction(app_id, version), *(file.add(True) for file in new)], "WRITE")
        return _added(new)


def _added(new: Sequence[DataFile]) -> Appended:
    paths = frozenset(file.path for file in new)
    bounds = [found[1] for file in new if (found := file.bounds("kafka_ts"))]
    newest = datetime.fromisoformat(max(bounds).replace("Z", "+00:00")) if bounds else None
    return Appended(sum(file.rows or 0 for file in new), newest, paths)


def collect(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
    """The rows as Arrow, with the columns and types of `schema`; None if they are too large to collect."""
    try:
        arrow = rows.select(schema.names).toArrow()
    except Exception as error:  # py4j, Spark or a socket: whichever noticed first
        if COLLECT_LIMIT in str(error):
            return None
        raise
    return arrow.cast(schema)
