"""Which rows answer a figure: a roll-up where it can, else ventes_clean; and the newest rows, by file statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.contract.tables import AGGREGES, BRONZE, CLEAN, PAR_MINUTE, PAR_PRODUIT
from ventes.dashboard import perfile
from ventes.dashboard.filters import Filters
from ventes.dashboard.source import Moment
from ventes.lake.snapshot import Snapshot

ANSWERS = {
    "clients": (AGGREGES.name, frozenset({"period", "country", "segment"})),
    "produits": (PAR_PRODUIT.name, frozenset({"category"})),
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
                    answer = moment.lake.perfile.ask(con, moment[CLEAN.name], perfile.sales(filters))
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


def recent_sales(moment: Moment, filters: Filters, rows: int) -> pa.Table:
    """Of the `rows` newest sales (by arrival) those that pass `filters`; columns of _RECENT, newest first.

    The newest rows of each file are kept in memory: after an append only the new file is read. Put together without
    DuckDB, which needs ten times as long for so few rows.
    """
    snapshot = moment[CLEAN.name]

    def read(path: str) -> pa.Table:
        source = snapshot.select(lambda file: file.path == path)
        with moment.lake.connection() as con:
            return con.execute(
                f"SELECT {', '.join(_RECENT)} FROM ({source}) ORDER BY kafka_ts DESC LIMIT {rows:d}"
            ).to_arrow_table()

    found = _newest_rows(moment, snapshot, rows, read, [("kafka_ts", "descending")])
    if found is None:
        return pa.schema([CLEAN.schema.field(name) for name in _RECENT]).empty_table()
    if not filters.used:
        return found
    condition, values = filters.condition()
    with moment.lake.connection() as con:
        con.register("found", found)
        return con.execute(f"SELECT * FROM found WHERE {condition}", values).to_arrow_table()


def _newest_rows(
    moment: Moment, snapshot: Snapshot, rows: int, read: Callable[[str], pa.Table], order: list[tuple[str, str]]
) -> pa.Table | None:
    """The first `rows` in `order` of what `read(path)` gives of each file; None without a file."""
    pieces = [
        moment.lake.pieces.get((snapshot.path, path, rows), partial(read, path))
        for path in sorted(newest(snapshot, "kafka_ts", rows))
    ]
    if not pieces:
        return None
    together = pa.concat_tables(pieces)
    return together.take(pc.sort_indices(together, order)[:rows])


def last_messages(moment: Moment, rows: int = 100) -> pa.Table:
    """The newest Bronze rows, newest first, all columns; of `value` the first VALUE_BYTES.

    Reads the files that hold them, each once, never the table.
    """
    snapshot = moment[BRONZE.name]

    def read(path: str) -> pa.Table:
        file = next(file for file in snapshot.files if file.path == path)
        source = snapshot.select(lambda one: one.path == path)
        newest_first = f'ORDER BY kafka_ts DESC, "partition" DESC, "offset" DESC LIMIT {rows:d}'
        with moment.lake.connection() as con:
            if file.size > LARGE_BYTES:
                # narrow columns first: the raw messages are then read from the row groups of the newest alone
                query = f"SELECT min(kafka_ts) FROM (SELECT kafka_ts FROM ({source}) ORDER BY 1 DESC LIMIT {rows:d})"
                edge = con.execute(query).fetchone()
                if edge is not None and edge[0] is not None:
                    source = f"SELECT * FROM ({source}) WHERE kafka_ts >= TIMESTAMPTZ '{edge[0].isoformat()}'"
            return con.execute(
                f"SELECT * REPLACE (value[1:{VALUE_BYTES}] AS value) FROM ({source}) {newest_first}"
            ).to_arrow_table()

    order = [("kafka_ts", "descending"), ("partition", "descending"), ("offset", "descending")]
    found = _newest_rows(moment, snapshot, rows, read, order)
    return BRONZE.schema.empty_table() if found is None else found
