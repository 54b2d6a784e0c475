"""What lots give to the roll-ups: their partial rows, computed by the driver or by Spark's tasks.

Spark's workers import it: it needs DuckDB and Arrow only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from ventes.deltalog.database import run
from ventes.lake.rollup_plan import Declared, plan_of

EVENTS = "clean events"
"""In place of a partial table's name: clean events whose partial rows are not computed yet."""
FEW_EVENTS = 1_000
FEW_BYTES = 1 << 20
"""A lot of so few clean events keeps them as they are until the publication: ten lots per second would run thirty
statements, a publication runs three for all of them. Larger lots are added up at once: that takes less memory."""


def partials_of_lot(con: duckdb.DuckDBPyConnection, settings: Declared, clean: pa.Table) -> dict[str, pa.Table]:
    """What a lot with these clean events gives to the next publication: its partial tables, or few events as EVENTS."""
    if clean.num_rows <= FEW_EVENTS and clean.nbytes <= FEW_BYTES:
        return {EVENTS: _copied(clean)}
    return {name: _copied(table) for name, table in partials_of_rows(con, settings, clean).items()}


def _copied(rows: pa.Table) -> pa.Table:
    """The rows in Arrow's own memory instead of DuckDB's.

    They are kept for some lots. Between two lots of large messages, which take tens of MB each, DuckDB's small blocks
    would keep the C library from using that memory again: 100 messages of 5 MB took 715 MB, and 353 with the copy.
    """
    return rows.take(pa.array(range(rows.num_rows), pa.int64()))


def partials_of_rows(con: duckdb.DuckDBPyConnection, settings: Declared, clean: pa.Table) -> dict[str, pa.Table]:
    """The partial tables of the stream, by name, from rows of the clean events."""
    return {name: run(con, sql, {"clean": clean}) for name, sql in plan_of(settings).partials.items()}


def partials_together(
    con: duckdb.DuckDBPyConnection, settings: Declared, parts: Sequence[Mapping[str, pa.Table]]
) -> dict[str, pa.Table]:
    """The partial tables of several lots, or parts of one, from what `partials_of_lot` made of each. A key may be in
    several of their rows."""
    events = [part[EVENTS] for part in parts if EVENTS in part]
    made = [part for part in parts if EVENTS not in part]
    if events:
        made.append(partials_of_rows(con, settings, pa.concat_tables(events)))
    return {name: pa.concat_tables([part[name] for part in made]) for name in plan_of(settings).partials}
