"""Splits a lot that fits in memory with DuckDB: the pipeline's SQL over Arrow tables; reads and commits no table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.contract import tables
from ventes.deltalog.database import run
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
    """Split the Bronze rows of lot number `lot`. `con` must be in UTC.

    `known_rows`: at least the clean rows whose id occurs in `lot_rows`. `now` becomes date_traitement.
    """
    stream = settings.stream
    own = tables.of_stream(stream)
    unchanged = _new_ids_only(stream, lot_rows, known_rows)
    judged_rows = lot_rows if unchanged else _judged(con, stream, lot_rows, known_rows)
    judged = {"judged_rows": judged_rows}
    clean = run(con, lot_sql(stream, CLEAN), judged, watermark_us=watermark_us(settings), processed_at=now, lot=lot)
    clean = clean.cast(own.clean.schema)
    rejets = own.rejets.schema.empty_table()
    if clean.num_rows < judged_rows.num_rows:
        rejets = run(con, lot_sql(stream, REJECTED), judged, processed_at=now, lot=lot).cast(own.rejets.schema)
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
    return run(con, lot_sql(stream, JUDGED), {"lot_rows": lot_rows, "known_rows": known_rows})


def watermark_us(settings: Declared) -> int:
    """The parameter of the statement CLEAN."""
    return settings.rules.watermark_minutes * 60_000_000
