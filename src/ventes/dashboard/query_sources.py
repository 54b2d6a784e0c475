"""The source of a figure: a roll-up if it has the columns, else ventes_clean; and the newest rows."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from ventes.contract.tables import AGGREGES, BRONZE, CLEAN, PAR_MINUTE, PAR_PRODUIT
from ventes.dashboard import file_cache
from ventes.dashboard.filters import Filters
from ventes.dashboard.source import TableSnapshots

ROLLUPS = {
    "clients": (AGGREGES.name, frozenset({"period", "country", "segment"})),
    "products": (PAR_PRODUIT.name, frozenset({"category"})),
    "minutes": (PAR_MINUTE.name, frozenset({"period"})),
}
"""View → the roll-up with its rows, and the filters that this roll-up supports."""

VALUE_BYTES = 2000
"""Bytes of a raw message that are read to show it: it may have megabytes."""
LARGE_BYTES = 4 << 20
"""Of files larger than this together, the narrow columns are read first, to find the rows that are needed."""


def tables_for(filters: Filters, *views: str) -> tuple[str, ...]:
    """The tables that the `views` are computed from."""
    return tuple(ROLLUPS[view][0] if filters.used <= ROLLUPS[view][1] else CLEAN.name for view in views)


@contextmanager
def narrowed(snapshots: TableSnapshots, filters: Filters, *views: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with `views` (keys of ROLLUPS) narrowed to `filters`. Raises NotReadable."""
    with snapshots.tables.connection() as con:
        answer: dict[str, pa.Table] | None = None
        for view, table in zip(views, tables_for(filters, *views), strict=True):
            if table == CLEAN.name:
                if answer is None:
                    answer = snapshots.tables.file_cache.answer(con, snapshots[CLEAN.name], file_cache.sales(filters))
                con.register(view, answer[view])
            else:
                _rollup_view(con, snapshots, filters, view)
        yield con


def _rollup_view(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, filters: Filters, view: str) -> None:
    table = snapshots[ROLLUPS[view][0]]
    if not filters.used:
        table.view(con, view)
        return
    table.view(con, f"all_{view}")
    day = f"CAST(timezone('{snapshots.tables.settings.rules.time_zone}', minute) AS DATE)"
    columns = f"*, {day} AS jour" if view == "minutes" else "*"
    condition, values = filters.condition()
    con.execute(
        f"CREATE TEMP TABLE {view} AS SELECT * FROM (SELECT {columns} FROM all_{view}) WHERE {condition}", values
    )


_TIMES = ("horodatage", "kafka_ts", "date_ingestion", "date_traitement")
_RECENT = (*_TIMES, "client_id", "produit_id", "montant", "jour", "pays", "segment", "categorie")
"""Columns of `recent_sales`."""


def recent_sales(snapshots: TableSnapshots, filters: Filters, rows: int) -> pa.Table:
    """Of the `rows` newest sales (by arrival) those that pass `filters`; columns of _RECENT, newest first."""
    snapshot = snapshots[CLEAN.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        with snapshots.tables.connection() as con:
            return con.execute(
                f"SELECT {', '.join(_RECENT)} FROM ({source}) ORDER BY kafka_ts DESC LIMIT {rows:d}"
            ).to_arrow_table()

    found = snapshots.tables.newest_rows.rows(snapshot, rows, [("kafka_ts", "descending")], read)
    if not filters.used:
        return found
    condition, values = filters.condition()
    with snapshots.tables.connection() as con:
        con.register("found", found)
        return con.execute(f"SELECT * FROM found WHERE {condition}", values).to_arrow_table()


def last_messages(snapshots: TableSnapshots, rows: int = 100) -> pa.Table:
    """The newest Bronze rows, newest first, all columns; of `value` the first VALUE_BYTES.

    Reads the files that hold them, never the table.
    """
    snapshot = snapshots[BRONZE.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        newest_first = f'ORDER BY kafka_ts DESC, "partition" DESC, "offset" DESC LIMIT {rows:d}'
        with snapshots.tables.connection() as con:
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
    return snapshots.tables.newest_rows.rows(snapshot, rows, order, read)
