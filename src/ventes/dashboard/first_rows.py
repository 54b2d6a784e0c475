"""The first rows, in some order, of large tables that have a row for each key: kept, and followed by the files that
change.

To find the largest 1,000 of 400,000 countries anew reads all of them, 20 ms after each commit. But a row far below them
does not become one of them. So the rows down to an edge, four times as many as are needed, are kept for each file
(file_cache.py), and after a commit only the files that came are read. As long as enough of them are left, no other row
can be among the first; otherwise a new edge is looked for in all rows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.dashboard.file_cache import FILE, FileCache, FileSums
from ventes.deltalog.snapshot import Snapshot
from ventes.stream.sql_text import literal, quoted

LARGE = 50_000
"""Rows of a table up to which it is read as a whole: 4 ms."""
AT_FIRST = 4
"""So many times the rows that are needed are kept behind a new edge …"""
AT_MOST = 16
"""… and at most so many times; where more rows are equal at the edge, none are kept."""
KEPT_EDGES = 64

ROWS = "rows"
"""The column of `Found.totals` with the number of rows."""
_FIRST = "first rows"


@dataclass(frozen=True)
class Order:
    """`rank`: SQL over the rows; the largest come first, with `ascending` the smallest, and NULL at the end. `sums`:
    further SQL aggregates of all rows of a file, after a comma; "" for none."""

    rank: str
    ascending: bool = False
    sums: str = ""


@dataclass(frozen=True)
class Ordered:
    """The rows of a table in an order.

    `name`: equal for the same rows in the same order. `rows`: a SELECT of the table's files → that of the rows, with
    the `columns`, FILE and the parameters `values`.
    """

    name: Hashable
    columns: tuple[str, ...]
    rows: Callable[[str], str]
    order: Order
    values: tuple[object, ...] = ()


@dataclass(frozen=True)
class Found:
    """`first`: at least as many of the first rows as were asked for, or all, in no order. `totals`: ROWS and the sums,
    a row for each file."""

    first: pa.Table
    totals: pa.Table


class _NotKept:
    """Why an edge is missing: too many rows were equal."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def holds(self, rows: int) -> bool:
        """Whether the table is still of about that size."""
        return self._rows // 2 <= rows <= self._rows * 2


class FirstRows:
    """The first rows of the tables of one lake. Threads may share it."""

    def __init__(self, file_cache: FileCache) -> None:
        self._file_cache = file_cache
        self._edges: OrderedDict[Hashable, object] = OrderedDict()
        """What is kept → the rank at the edge; None: all rows are kept."""
        self._guard = threading.Lock()

    def of(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, ordered: Ordered, needed: int) -> Found | None:
        """The first `needed` rows, and a few more; None for a small table, and where too many rows are equal."""
        if snapshot.rows <= LARGE:
            return None
        key = (snapshot.path, ordered.name, needed)
        with self._guard:
            known = key in self._edges
            edge = self._edges.get(key)
        if isinstance(edge, _NotKept):
            if edge.holds(snapshot.rows):
                return None
            known = False
        found = self._kept(con, snapshot, ordered, needed, edge) if known else None
        if found is None:
            edge = _edge(con, snapshot, ordered, needed * AT_FIRST)
            found = self._kept(con, snapshot, ordered, needed, edge)
            with self._guard:
                self._edges[key] = edge if found is not None else _NotKept(snapshot.rows)
                while len(self._edges) > KEPT_EDGES:
                    self._edges.popitem(last=False)
        return found

    def _kept(
        self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, ordered: Ordered, needed: int, edge: object
    ) -> Found | None:
        """The rows down to the edge, if they are neither too few nor too many."""
        file, order = quoted(FILE), ordered.order
        inside = f" FILTER ({order.rank} {'<=' if order.ascending else '>='} ?)" if edge is not None else ""
        listed = ", ".join(f"{literal(name)}: {quoted(name)}" for name in ordered.columns)
        part = (
            f"SELECT {file}, count(*) AS {ROWS}{order.sums}, "
            f"coalesce(list({{{listed}}}){inside}, []) AS {quoted(_FIRST)} FROM narrowed GROUP BY {file}"
        )
        sums = FileSums(
            (ordered.name, needed, edge),
            {"kept": part},
            ordered.rows,
            values=ordered.values,
            of_parts=(edge,) if edge is not None else (),
        )
        answer = self._file_cache.answer(con, snapshot, sums)["kept"]
        first = pa.Table.from_struct_array(answer[_FIRST].combine_chunks().flatten())
        every = pc.sum(answer[ROWS]).as_py() or 0
        if not min(needed, every) <= first.num_rows <= needed * AT_MOST:
            return None
        return Found(first, answer.drop_columns(_FIRST))


def _edge(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, ordered: Ordered, place: int) -> object:
    """The rank of the row at `place`, from 1; None if there are not as many rows with a rank."""
    found = con.execute(
        f"SELECT rank FROM (SELECT {ordered.order.rank} AS rank FROM ({ordered.rows(snapshot.select(file_as=FILE))})) "
        f"WHERE rank NOTNULL ORDER BY rank{'' if ordered.order.ascending else ' DESC'} LIMIT 1 OFFSET {place - 1:d}",
        list(ordered.values),
    ).fetchone()
    return found[0] if found is not None else None
