"""Which rows answer a figure: a roll-up where it can, else ventes_clean; and the newest rows, by file statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import duckdb
import pyarrow as pa

from ventes.contract.tables import AGGREGES, BRONZE, CLEAN, PAR_MINUTE, PAR_PRODUIT
from ventes.dashboard import perfile
from ventes.dashboard.filters import Filters
from ventes.dashboard.source import Moment
from ventes.lake.log import DataFile
from ventes.lake.snapshot import Snapshot

ANSWERS = {
    "clients": (AGGREGES.name, frozenset({"period", "country", "segment"})),
    "produits": (PAR_PRODUIT.name, frozenset({"category"})),
    "minutes": (PAR_MINUTE.name, frozenset({"period"})),
}
"""View → the roll-up it is, and the filters that this roll-up can answer."""


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
    moment[ANSWERS[view][0]].view(con, f"all_{view}")
    day = f"CAST(timezone('{moment.lake.settings.rules.time_zone}', minute) AS DATE)"
    columns = f"*, {day} AS jour" if view == "minutes" and filters.used else "*"
    condition, values = filters.condition()
    if filters.used:
        con.execute(
            f"CREATE TEMP TABLE {view} AS SELECT * FROM (SELECT {columns} FROM all_{view}) WHERE {condition}", values
        )
    else:
        con.execute(f"CREATE TEMP VIEW {view} AS SELECT * FROM all_{view}")


def newest(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, column: str, rows: int) -> set[str]:
    """The files that hold the `rows` newest rows by the timestamp `column`: found by statistics, checked exactly."""
    known = [(bounds[1], file) for file in snapshot.files if (bounds := file.bounds(column))]
    chosen = {file.path for file in snapshot.files if file.bounds(column) is None}
    known.sort(key=lambda item: item[0], reverse=True)
    taken = 0
    for _, file in known:
        if taken >= rows:
            break
        chosen.add(file.path)
        taken += file.rows or 0
    while True:
        nth = _nth(con, snapshot, chosen, column, rows)
        more = {file.path for top, file in known if nth is None or top >= nth} - chosen
        if not more:
            return chosen
        chosen |= more


def _nth(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, paths: set[str], column: str, rows: int) -> str | None:
    """The `rows`-th newest value in the files, as the log writes timestamps (milliseconds, rounded down)."""
    found = con.execute(
        f'SELECT "{column}" FROM ({snapshot.select(lambda file: file.path in paths)}) '
        f'ORDER BY "{column}" DESC NULLS LAST LIMIT 1 OFFSET {rows - 1:d}'
    ).fetchone()
    if found is None or found[0] is None:
        return None
    value: datetime = found[0].astimezone(timezone.utc)
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


@contextmanager
def recent_sales(moment: Moment, filters: Filters, rows: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `recent`: of the `rows` newest sales those that pass `filters`, all columns."""
    snapshot = moment[CLEAN.name]
    condition, values = filters.condition()
    with moment.lake.connection() as con:
        paths = newest(con, snapshot, "horodatage", rows)
        con.execute(
            f"CREATE TEMP TABLE recent AS SELECT * FROM (SELECT horodatage, kafka_ts, date_ingestion, date_traitement, "
            f"client_id, produit_id, montant, jour, pays, segment, categorie "
            f"FROM ({snapshot.select(lambda file: file.path in paths)}) ORDER BY horodatage DESC LIMIT {rows:d}) "
            f"WHERE {condition}",
            values,
        )
        yield con


def last_messages(moment: Moment, rows: int = 100) -> pa.Table:
    """The newest Bronze rows, newest first, all columns. Reads the files that hold them, never the table."""
    snapshot = moment[BRONZE.name]
    with moment.lake.connection() as con:
        paths = newest(con, snapshot, "kafka_ts", rows)

        def keep(file: DataFile) -> bool:
            return file.path in paths

        edge = _nth(con, snapshot, paths, "kafka_ts", rows)
        since = "" if edge is None else f"WHERE kafka_ts >= TIMESTAMPTZ '{edge}'"
        return con.execute(
            f"SELECT * FROM ({snapshot.select(keep)}) {since} "
            f'ORDER BY kafka_ts DESC, "partition" DESC, "offset" DESC LIMIT {rows:d}'
        ).to_arrow_table()
