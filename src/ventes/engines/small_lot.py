"""A lot that fits in memory, split by DuckDB: the pipeline's SQL over Arrow tables, nothing read or committed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from ventes.config import Settings
from ventes.contract.dialect import Value, sql
from ventes.contract.tables import CLEAN, REJETS
from ventes.lake.rollups import PARTIALS


@dataclass(frozen=True)
class Split:
    """What a lot becomes: rows of ventes_clean and ventes_rejets, and the partial roll-ups of the clean ones."""

    clean: pa.Table
    rejets: pa.Table
    partials: dict[str, pa.Table]


def split(
    con: duckdb.DuckDBPyConnection, lot_rows: pa.Table, connues: pa.Table, settings: Settings, lot: int, now: datetime
) -> Split:
    """Split the Bronze rows of lot number `lot`. `con` must be in UTC and have no views of the names used here.

    `connues`: at least the rows of ventes_clean whose vente_id occurs in `lot_rows`. `now` becomes date_traitement.
    """
    con.register("lot_rows", lot_rows)
    con.register("connues", connues)
    con.execute(f"CREATE OR REPLACE TEMP TABLE juges AS {sql('silver/juges', 'duckdb')}")
    taken: dict[str, Value] = {"traitement": now, "lot": lot}
    clean = _arrow(con, sql("silver/clean", "duckdb", watermark_us=watermark_us(settings), **taken)).cast(CLEAN.schema)
    rejets = _arrow(con, sql("silver/rejets", "duckdb", **taken)).cast(REJETS.schema)
    con.register("clean", clean)
    partials = {name: _arrow(con, sql(f"silver/{file}", "duckdb")) for name, file in PARTIALS.items()}
    con.execute("DROP TABLE juges")
    for name in ("lot_rows", "connues", "clean"):
        con.unregister(name)
    return Split(clean, rejets, partials)


def watermark_us(settings: Settings) -> int:
    """The parameter of silver/clean.sql."""
    return settings.rules.watermark_minutes * 60_000_000


def _arrow(con: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    return con.execute(statement).to_arrow_table()
