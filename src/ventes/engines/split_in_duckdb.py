"""Splits a lot that fits in memory with DuckDB: the pipeline's SQL over Arrow tables; reads and commits no table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract.dialect import Value, sql
from ventes.contract.tables import CLEAN, REJETS
from ventes.lake.rollups import partials_of


@dataclass(frozen=True)
class LotSplit:
    """The result of a lot: rows of ventes_clean and ventes_rejets, and the partials of the clean ones."""

    clean: pa.Table
    rejets: pa.Table
    partials: dict[str, pa.Table]


def split_in_duckdb(
    con: duckdb.DuckDBPyConnection,
    lot_rows: pa.Table,
    known_rows: pa.Table,
    settings: Settings,
    lot: int,
    now: datetime,
) -> LotSplit:
    """Split the Bronze rows of lot number `lot`. `con` must be in UTC and have no views of the names used here.

    `known_rows`: at least the rows of ventes_clean whose vente_id occurs in `lot_rows`. `now` becomes date_traitement.
    """
    judged_rows = lot_rows if _new_ids_only(lot_rows, known_rows) else _judged(con, lot_rows, known_rows)
    con.register("judged_rows", judged_rows)
    taken: dict[str, Value] = {"processed_at": now, "lot": lot}
    clean = _arrow(con, sql("engines/sql/clean", "duckdb", watermark_us=watermark_us(settings), **taken)).cast(
        CLEAN.schema
    )
    rejets = REJETS.schema.empty_table()
    if clean.num_rows < judged_rows.num_rows:
        rejets = _arrow(con, sql("engines/sql/rejected", "duckdb", **taken)).cast(REJETS.schema)
    con.register("clean", clean)
    partials = partials_of(con, settings)
    for name in ("judged_rows", "clean"):
        con.unregister(name)
    return LotSplit(clean, rejets, partials)


def _new_ids_only(lot_rows: pa.Table, known_rows: pa.Table) -> bool:
    """Whether all ids of valid rows are unique: then engines/sql/judged.sql would change no verdict."""
    if known_rows.num_rows:
        return False
    ids = lot_rows["vente_id"].filter(pc.equal(pc.list_value_length(lot_rows["motifs"]), 0))
    return bool(pc.count_distinct(ids).as_py() == len(ids))


def _judged(con: duckdb.DuckDBPyConnection, lot_rows: pa.Table, known_rows: pa.Table) -> pa.Table:
    con.register("lot_rows", lot_rows)
    con.register("known_rows", known_rows)
    judged_rows = _arrow(con, sql("engines/sql/judged", "duckdb"))
    con.unregister("lot_rows")
    con.unregister("known_rows")
    return judged_rows


def watermark_us(settings: Settings) -> int:
    """The parameter of engines/sql/clean.sql."""
    return settings.rules.watermark_minutes * 60_000_000


def _arrow(con: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    return con.execute(statement).to_arrow_table()
