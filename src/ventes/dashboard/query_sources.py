"""Which rows answer a figure: a roll-up where it can, else ventes_clean; and the newest rows, by file statistics."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Set
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.contract.tables import AGGREGES, BRONZE, CLEAN, PAR_MINUTE, PAR_PRODUIT
from ventes.dashboard import file_cache
from ventes.dashboard.filters import Filters
from ventes.dashboard.source import Moment
from ventes.deltalog.snapshot import Snapshot

ANSWERS = {
    "clients": (AGGREGES.name, frozenset({"period", "country", "segment"})),
    "products": (PAR_PRODUIT.name, frozenset({"category"})),
    "minutes": (PAR_MINUTE.name, frozenset({"period"})),
}
"""View → the roll-up it is, and the filters that this roll-up can answer."""


VALUE_BYTES = 2000
"""Of a message, for a glance: it may have megabytes."""
LARGE_BYTES = 4 << 20
"""Files beyond this are worth a look at their narrow columns first."""


def tables_for(filters: Filters, *views: str) -> tuple[str, ...]:
    """The tables whose versions decide what the `views` hold."""
    return tuple(ANSWERS[view][0] if filters.used <= ANSWERS[view][1] else CLEAN.name for view in views)


@contextmanager
def narrowed(moment: Moment, filters: Filters, *views: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with `views` (keys of ANSWERS) narrowed to `filters`. Raises NotReadable."""
    with moment.lake.connection() as con:
        answer: dict[str, pa.Table] | None = None
        for view, table in zip(views, tables_for(filters, *views), strict=True):
            if table == CLEAN.name:
                if answer is None:
                    answer = moment.lake.perfile.ask(con, moment[CLEAN.name], file_cache.sales(filters))
                con.register(view, answer[view])
            else:
                _rollup_view(con, moment, filters, view)
        yield con


def _rollup_view(con: duckdb.DuckDBPyConnection, moment: Moment, filters: Filters, view: str) -> None:
    table = moment[ANSWERS[view][0]]
    if not filters.used:
        table.view(con, view)
        return
    table.view(con, f"all_{view}")
    day = f"CAST(timezone('{moment.lake.settings.rules.time_zone}', minute) AS DATE)"
    columns = f"*, {day} AS jour" if view == "minutes" else "*"
    condition, values = filters.condition()
    con.execute(
        f"CREATE TEMP TABLE {view} AS SELECT * FROM (SELECT {columns} FROM all_{view}) WHERE {condition}", values
    )


def newest(snapshot: Snapshot, column: str, rows: int) -> set[str]:
    """Files that hold the `rows` newest rows by the timestamp `column`, by statistics alone; at times a few more.

    The files with the largest maxima that together have `rows` rows hold no row below their smallest minimum, so only
    files that reach above that can hold one of the newest.
    """
    known = [(bounds, file) for file in snapshot.files if (bounds := file.bounds(column))]
    chosen = {file.path for file in snapshot.files if file.bounds(column) is None}
    known.sort(key=lambda item: item[0][1], reverse=True)
    taken, least = 0, ""
    for bounds, file in known:
        if taken >= rows and bounds[1] < least:
            break
        chosen.add(file.path)
        if taken < rows:
            taken += file.rows or 0
            least = min(least, bounds[0]) if least else bounds[0]
    return chosen


_MOMENTS = ("horodatage", "kafka_ts", "date_ingestion", "date_traitement")
_RECENT = (*_MOMENTS, "client_id", "produit_id", "montant", "jour", "pays", "segment", "categorie")
"""Columns of `recent`."""


class Newest:
    """The newest rows of tables that only grow: after an append only the new files are read. Threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[frozenset[str], pa.Table]] = {}

    def rows(
        self, snapshot: Snapshot, rows: int, order: list[tuple[str, str]], read: Callable[[Set[str]], pa.Table]
    ) -> pa.Table:
        """The first `rows` in `order` (newest first); `read(paths)` gives them, or more, for some of the files.

        Put together without DuckDB, which needs ten times as long for so few rows.
        """
        live = frozenset(file.path for file in snapshot.files)
        seen, kept = self._kept.get((snapshot.path, rows), (frozenset[str](), None))
        if kept is None or not seen <= live:  # files were merged: what is known would come twice
            found = read(newest(snapshot, "kafka_ts", rows))
        elif fresh := (live - seen) & newest(snapshot, "kafka_ts", rows):
            found = pa.concat_tables([kept, read(fresh)])
        else:
            found = kept
        found = found.take(pc.sort_indices(found, order)[:rows])
        self._kept[snapshot.path, rows] = (live, found)
        return found


def _newest_of(moment: Moment) -> Newest:
    return moment.lake.keep("newest", Newest)


def recent_sales(moment: Moment, filters: Filters, rows: int) -> pa.Table:
    """Of the `rows` newest sales (by arrival) those that pass `filters`; columns of _RECENT, newest first."""
    snapshot = moment[CLEAN.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        with moment.lake.connection() as con:
            return con.execute(
                f"SELECT {', '.join(_RECENT)} FROM ({source}) ORDER BY kafka_ts DESC LIMIT {rows:d}"
            ).to_arrow_table()

    found = _newest_of(moment).rows(snapshot, rows, [("kafka_ts", "descending")], read)
    if not filters.used:
        return found
    condition, values = filters.condition()
    with moment.lake.connection() as con:
        con.register("found", found)
        return con.execute(f"SELECT * FROM found WHERE {condition}", values).to_arrow_table()


def last_messages(moment: Moment, rows: int = 100) -> pa.Table:
    """The newest Bronze rows, newest first, all columns; of `value` the first VALUE_BYTES.

    Reads the files that hold them, never the table.
    """
    snapshot = moment[BRONZE.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        newest_first = f'ORDER BY kafka_ts DESC, "partition" DESC, "offset" DESC LIMIT {rows:d}'
        with moment.lake.connection() as con:
            if sum(file.size for file in snapshot.files if file.path in paths) > LARGE_BYTES:
                # narrow columns first: the raw messages are then read from the row groups of the newest alone
                query = f"SELECT min(kafka_ts) FROM (SELECT kafka_ts FROM ({source}) ORDER BY 1 DESC LIMIT {rows:d})"
                edge = con.execute(query).fetchone()
                if edge is not None and edge[0] is not None:
                    source = f"SELECT * FROM ({source}) WHERE kafka_ts >= TIMESTAMPTZ '{edge[0].isoformat()}'"
            return con.execute(
                f"SELECT * REPLACE (value[1:{VALUE_BYTES}] AS value) FROM ({source}) {newest_first}"
            ).to_arrow_table()

    order = [("kafka_ts", "descending"), ("partition", "descending"), ("offset", "descending")]
    return _newest_of(moment).rows(snapshot, rows, order, read)
