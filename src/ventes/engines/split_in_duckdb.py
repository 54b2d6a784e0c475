"""Splits a lot that fits in memory with DuckDB: the pipeline's SQL over Arrow tables; reads and commits no table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.contract import tables
from ventes.engines.lot_sql import CLEAN, JUDGED, REJECTED, lot_sql
from ventes.lake.rollup_partials import partials_of_lot
from ventes.lake.rollup_plan import Declared
from ventes.stream.declaration import Stream


@dataclass(frozen=True)
class LotSplit:
    """The result of a lot: clean and rejected rows, and what the roll-ups get of the clean ones."""

    clean: pa.Table
    rejets: pa.Table
    partials: dict[str, pa.Table]


def split_in_duckdb(
    con: duckdb.DuckDBPyConnection,
    lot_rows: pa.Table,
    known_rows: pa.Table,
    settings: Declared,
    lot: int,
    now: datetime,
) -> LotSplit:
    """Split the Bronze rows of lot number `lot`. `con` must be in UTC and have no views of the names used here.

    `known_rows`: at least the clean rows whose id occurs in `lot_rows`. `now` becomes date_traitement.
    """
    stream = settings.stream
    own = tables.of_stream(stream)
    unchanged = _new_ids_only(stream, lot_rows, known_rows)
    judged_rows = lot_rows if unchanged else _judged(con, stream, lot_rows, known_rows)
    con.register("judged_rows", judged_rows)
    taken: dict[str, int | datetime] = {"processed_at": now, "lot": lot}
    clean = _arrow(con, lot_sql(stream, CLEAN, watermark_us=watermark_us(settings), **taken))
    clean = clean.cast(own.clean.schema)
    rejets = own.rejets.schema.empty_table()
    if clean.num_rows < judged_rows.num_rows:
        rejets = _arrow(con, lot_sql(stream, REJECTED, **taken)).cast(own.rejets.schema)
    con.unregister("judged_rows")
    return LotSplit(clean, rejets, partials_of_lot(con, settings, clean))


def _new_ids_only(stream: Stream, lot_rows: pa.Table, known_rows: pa.Table) -> bool:
    """Whether all ids of valid rows are unique: then the statement JUDGED would change no verdict."""
    if known_rows.num_rows:
        return False
    ids = valid_ids(stream, lot_rows)
    return bool(pc.count_distinct(ids).as_py() == len(ids))


def valid_ids(stream: Stream, lot_rows: pa.Table) -> pa.ChunkedArray:
    """The id of each valid row."""
    return lot_rows[stream.event.id].filter(pc.equal(pc.list_value_length(lot_rows["motifs"]), 0))


def _judged(con: duckdb.DuckDBPyConnection, stream: Stream, lot_rows: pa.Table, known_rows: pa.Table) -> pa.Table:
    con.register("lot_rows", lot_rows)
    con.register("known_rows", known_rows)
    judged_rows = _arrow(con, lot_sql(stream, JUDGED))
    con.unregister("lot_rows")
    con.unregister("known_rows")
    return judged_rows


def watermark_us(settings: Declared) -> int:
    """The parameter of the statement CLEAN."""
    return settings.rules.watermark_minutes * 60_000_000


def _arrow(con: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    return con.execute(statement).to_arrow_table()
