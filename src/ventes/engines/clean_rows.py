"""Reading few of the clean events: those of some lots, or those that may have an id of a lot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import group_bounds
from ventes.deltalog.log import Log
from ventes.deltalog.present import borrowed
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake.clean_lots import may_hold

_MOST_NAMED = 1_000
"""Lots that a condition names; more are given as a range. With names DuckDB skips the row groups of other lots: one row
of a file of 1.5 million takes 14 ms instead of 270."""


@dataclass(frozen=True)
class Known:
    """Ids of a lot that may be among the clean events already, and the lots of the rows that may have them."""

    ids: pa.Array
    """Each once."""
    lots: npt.NDArray[np.int64]
    """Ascending, each once."""

    def __bool__(self) -> bool:
        return len(self.lots) > 0

    @property
    def condition(self) -> str:
        """True for the rows of these lots, and perhaps of others. In DuckDB's SQL."""
        if len(self.lots) > _MOST_NAMED:
            return f"lot BETWEEN {self.lots[0]} AND {self.lots[-1]}"
        return f"lot IN ({', '.join(map(str, self.lots.tolist()))})"


def holds_any(file: DataFile, lots: npt.NDArray[np.int64]) -> bool:
    """Whether a file may hold a row of one of these lots (ascending), by its statistics."""
    bounds = file.bounds("lot")
    if bounds is None:
        return True
    return bool(np.searchsorted(lots, bounds[0]) < np.searchsorted(lots, bounds[1], "right"))


def known_rows(con: duckdb.DuckDBPyConnection, clean: Log, table: Table, column: str, known: Known) -> pa.Table:
    """The clean rows whose id (in `column`) is one of `known`."""
    if not known:
        return table.schema.empty_table()
    return known_rows_of(con, Snapshot.of_log(clean, table), column, known)


def known_rows_of(con: duckdb.DuckDBPyConnection, clean: Snapshot, column: str, known: Known) -> pa.Table:
    """The same from a snapshot that has at least the files of these rows."""
    if not known:
        return clean.table.schema.empty_table()
    source = clean.select(partial(holds_any, lots=known.lots))
    con.register("known_ids", pa.table({column: known.ids}))
    try:
        return con.execute(
            f'SELECT * FROM ({source}) SEMI JOIN known_ids USING ("{column}") WHERE {known.condition}'
        ).to_arrow_table()
    finally:
        con.unregister("known_ids")


def rows_of_lots(clean: Log, after: int, upto: int, columns: Sequence[str]) -> Iterator[pa.Table]:
    """`lot` and `columns` of the rows with `after` < lot ≤ `upto`, in pieces of at most a row group.

    Of files and row groups only those are read that may hold such rows, by their statistics.
    """
    for file in clean.files.values():
        if not may_hold(file.bounds("lot"), after, upto):
            continue
        with borrowed(clean.path, file) as path, pq.ParquetFile(path) as source:
            for number in _row_groups(source.metadata, after, upto):
                rows = source.read_row_group(number, columns=["lot", *columns], use_threads=False)
                lots = rows["lot"]
                yield rows.filter(pc.and_(pc.greater(lots, after), pc.less_equal(lots, upto)))


def _row_groups(footer: pq.FileMetaData, after: int, upto: int) -> Iterable[int]:
    column = footer.schema.names.index("lot")
    for number in range(footer.num_row_groups):
        if may_hold(group_bounds(footer.row_group(number), column), after, upto):
            yield number
