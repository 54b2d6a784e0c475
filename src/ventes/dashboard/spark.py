"""`spark.sql(...)` for code on the page, without Spark: DuckDB runs the query in a sandboxed child process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st

from ventes.dashboard import grid, text
from ventes.dashboard.source import TableSnapshots
from ventes.deltalog.snapshot import Snapshot
from ventes.errors import VentesError
from ventes.query import sandbox
from ventes.query.sandbox import Answer, Limits, SqlFailed
from ventes.stream.declaration import BRONZE_VIEW

AT_ONCE = 2
"""Queries of all sessions that run at the same time; the others wait for their turn."""
WAIT_SECONDS = 20.0
_turns = threading.BoundedSemaphore(AT_ONCE)


def offered(snapshots: TableSnapshots) -> dict[str, Snapshot]:
    """Name in SQL → table: bronze_data and the Silver tables that can be read."""
    bronze = snapshots.tables.contract.bronze.name
    return {BRONZE_VIEW if name == bronze else name: table for name, table in snapshots.by_name.items()}


def tables_read(query: str, snapshots: TableSnapshots) -> dict[str, Snapshot]:
    """Name in SQL → table, for the tables that the query reads. Raises SqlRefused."""
    tables = offered(snapshots)
    return {name: tables[name] for name in sandbox.translated(query, frozenset(tables)).tables}


def counts_of(query: str, snapshots: TableSnapshots) -> tuple[str, ...]:
    """Names that the query gives to counts and sums. Raises SqlRefused."""
    return sandbox.translated(query, frozenset(offered(snapshots))).counts


def ask(snapshots: TableSnapshots, query: str) -> Answer:
    """Run one SELECT within the limits of settings.page; shared by all sessions. Raises SqlRefused or SqlFailed."""
    page = snapshots.tables.settings.page
    limits = Limits(page.sql_seconds, page.sql_rows, page.sql_memory_mb)

    def run() -> Answer:
        with _turn():
            return sandbox.run(query, offered(snapshots), limits)

    read = tuple(table.table.name for table in tables_read(query, snapshots).values())
    return snapshots.shared(("sql", query), read, run)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_SECONDS):
        raise SqlFailed("other queries are still running", "try again in a moment")
    try:
        yield
    finally:
        _turns.release()


_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def _for_pandas(column: pa.ChunkedArray, exact: bool) -> pa.ChunkedArray:
    """Decimals as integers if they have no fraction and fit, else as floats unless those would have other digits."""
    if not pa.types.is_decimal(column.type):
        return column
    if column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # more than 64 bits
            return column if exact else column.cast(pa.float64())
    return column if exact and not grid.fits_a_double(column) else column.cast(pa.float64())


class Result:
    """The result of `spark.sql`. Streamlit's charts and tables accept it directly.

    `toPandas()` has a plain index; for charts, leading columns of text become the index, so that they name the bars.
    Integers are exact everywhere, also decimals without a fraction. Other decimals are exact in `collect()`, and in
    `toPandas()` where a float would change a digit; charts get floats.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        return list(self._table.column_names)

    def count(self) -> int:
        return int(self._table.num_rows)

    def collect(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def limit(self, rows: int) -> Result:
        return Result(self._table.slice(0, rows))

    def toArrow(self) -> pa.Table:
        return self._table

    def toPandas(self) -> pd.DataFrame:
        return self._frame(exact=True)

    def _frame(self, exact: bool) -> pd.DataFrame:
        """`exact`: a column of decimals that no float holds has Decimals, not floats."""
        columns = [_for_pandas(column, exact) for column in self._table.columns]
        with_gaps = {column.type for column in columns if pa.types.is_integer(column.type) and column.null_count}
        nullable = {kind: dtype for kind, dtype in _NULLABLE.items() if kind in with_gaps}  # pandas would make floats
        return pa.table(columns, names=self._table.column_names).to_pandas(types_mapper=nullable.get)

    def to_pandas(self) -> pd.DataFrame:
        """Called by st.bar_chart and similar functions."""
        frame = self._frame(exact=False)
        names = []
        for field in self._table.schema:
            if not (pa.types.is_string(field.type) or pa.types.is_temporal(field.type)):
                break
            names.append(field.name)
        if not names or len(names) == len(self.columns):
            return frame
        if len(names) == 1:
            return frame.set_index(names[0])
        frame.index = pd.Index([" · ".join(str(value) for value in row) for row in frame[names].to_numpy()])
        return frame.drop(columns=names)


class Spark:
    """The object `spark` for code on the page. Reads bronze_data and the Silver tables as of this refresh."""

    def __init__(self, snapshots: TableSnapshots) -> None:
        self._snapshots = snapshots
        self.versions = snapshots.versions
        self.used = False

    def sql(self, query: str) -> Result:
        """One SELECT in Spark's dialect. An error is shown on the page, and the result is empty."""
        self.used = True
        try:
            answer = ask(self._snapshots, query)
        except VentesError as error:
            st.error(f"spark.sql: {text.problem(error)}", icon=":material/database_off:")
            return Result(pa.table({}))
        if answer.truncated:
            st.caption(f"spark.sql: only the first {answer.table.num_rows:,} rows are shown.")
        return Result(answer.table)
