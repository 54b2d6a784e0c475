"""The clean events of some lots, in parts that fit memory: what roll-ups are completed and filled from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table

AT_ONCE = 100_000
"""Clean events that are added up together. Their partial rows, where every event has another key, take 40 MB."""


def parts(con: duckdb.DuckDBPyConnection, clean: Log, table: Table, after: int, upto: int) -> list[int]:
    """The lots in (after, upto] in parts of about AT_ONCE events: the last lot of each; `upto` ends the last one."""
    if upto <= after:
        return []
    source = _select(clean, table, after, upto)
    found = con.execute(
        f"""
        WITH lots AS (SELECT lot, sum(count(*)) OVER (ORDER BY lot) AS events FROM ({source}) GROUP BY lot)
        SELECT max(lot) FROM lots GROUP BY ceil(events / {AT_ONCE}) ORDER BY 1
        """
    ).fetchall()
    ends = [int(lot) for (lot,) in found]
    return [*ends[:-1], upto]


@contextmanager
def view(con: duckdb.DuckDBPyConnection, clean: Log, table: Table, after: int, upto: int) -> Iterator[None]:
    """The view `clean` of the events of the lots in (after, upto]."""
    con.execute(f"CREATE OR REPLACE TEMP VIEW clean AS {_select(clean, table, after, upto)}")
    try:
        yield
    finally:
        con.execute("DROP VIEW clean")


def _select(clean: Log, table: Table, after: int, upto: int) -> str:
    source = Snapshot.of_log(clean, table).select(lambda file: may_hold(file.bounds("lot"), after, upto))
    return f"SELECT * FROM ({source}) WHERE lot > {after} AND lot <= {upto}"


def may_hold(lots: tuple[int, int] | None, after: int, upto: int) -> bool:
    """Whether rows with these bounds of `lot` (None: not known) may be of the lots in (after, upto]."""
    return lots is None or (lots[1] > after and lots[0] <= upto)
