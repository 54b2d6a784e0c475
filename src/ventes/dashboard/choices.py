"""The values that the filters offer: of a field with few values all, of one with many those that are searched for.

A list of 400,000 countries is 6 MB for each browser, which then cannot draw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ventes.dashboard.filters import Filters
from ventes.dashboard.first_rows import Order
from ventes.dashboard.query_sources import first_rows, relation, tables_for
from ventes.dashboard.questions import Question
from ventes.dashboard.source import LiveTables, NotReadable, TableSnapshots
from ventes.stream.sql_text import quoted

MOST = 500
"""Values of a field that a browser gets."""
MINUTE_SECONDS = 60


@dataclass(frozen=True)
class Wanted:
    """What a viewer looks for in the values of a field."""

    search: str = ""
    """Part of a value, in any case and with or without accents; ignored where all values are offered."""
    chosen: tuple[str, ...] = ()
    """Values in force."""


@dataclass(frozen=True)
class Offered:
    values: tuple[str, ...] = ()
    """At most MOST, and those chosen that there are. Sorted; where a search was made those that begin with it first."""
    total: int = 0
    """All values of the field."""
    found: int = 0
    """Those that the search finds."""

    @property
    def is_searched(self) -> bool:
        """Whether there are more values than a browser gets."""
        return self.total > MOST


def offered(tables: LiveTables, wanted: Mapping[str, Wanted], now: float) -> dict[str, Offered]:
    """Field → the values to choose from, as texts; none before there is data. `now`: seconds of a monotonic clock."""
    minute = now // MINUTE_SECONDS
    plain = dict.fromkeys(wanted, Wanted())

    def with_many() -> dict[str, Offered]:
        may_be = {field: one for field, one in plain.items() if _may_have_many(tables, field)}
        return {field: one for field, one in _asked(tables, may_be, minute).items() if one.is_searched}

    # of many values not all are offered, so new ones may wait for a minute: asking takes 0.1 s for 400,000
    many = tables.results.get(("choices with many values", minute, *wanted), with_many)
    found = {**many, **_asked(tables, {field: one for field, one in plain.items() if field not in many}, minute)}
    searched = {field: one for field, one in wanted.items() if found[field].is_searched and one != Wanted()}
    return {**found, **_asked(tables, searched, minute, follows=False)}


def _may_have_many(tables: LiveTables, field: str) -> bool:
    """Whether the table that has the values of a field has so many rows."""
    snapshots = tables.read_shared()
    names = tables_for(snapshots, Filters(), Question("values", (field,)))
    return all(snapshots.has(name) and snapshots[name].rows > MOST for name in names)


def _asked(
    tables: LiveTables, wanted: Mapping[str, Wanted], minute: float, *, follows: bool = True
) -> dict[str, Offered]:
    """The same, where every search counts, whatever the number of values. `follows`: asked anew after a commit that
    may have new ones, not only each minute."""
    if not wanted:
        return {}
    snapshots = tables.read_shared()
    questions = [Question(f"values {number}", (field,)) for number, field in enumerate(wanted)]

    def ask() -> dict[str, Offered]:
        selects: list[str] = []
        given: list[object] = []
        answers: dict[int, Offered] = {}
        with tables.connection() as con:
            for number, asked in enumerate(questions):
                first = _first(con, snapshots, asked) if wanted[asked.fields[0]] == Wanted() else None
                if first is not None:
                    answers[number] = first
                    continue
                source = relation(con, snapshots, Filters(), asked)
                selects.append(_select(number, quoted(asked.fields[0]), source))
                given += [wanted[asked.fields[0]].search, list(wanted[asked.fields[0]].chosen)]
            rows = con.execute(" UNION ALL BY NAME ".join(selects), given).fetchall() if selects else []
        answers |= {
            number: Offered(tuple(dict.fromkeys([*(chosen or ()), *(values or ())])), total, found)
            for number, total, found, values, chosen in rows
        }
        return {field: answers[number] for number, field in enumerate(wanted)}

    try:
        names = tables_for(snapshots, Filters(), *questions)
        # a table that has as many rows as before has no new value; a minute bounds what tables that are rebuilt change
        state = tuple((name, snapshots[name].path, snapshots[name].rows if follows else 0) for name in names)
        key = ("choices of the filters", state, minute, tuple(wanted.items()))
        return tables.results.get(key, ask)
    except NotReadable:
        return dict.fromkeys(wanted, Offered())


def _first(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, asked: Question) -> Offered | None:
    """The first values of a field that has a row for each in a large table, and how many there are; else None."""
    (field,) = asked.fields
    value = f"CAST({quoted(field)} AS VARCHAR)"
    order = Order(value, ascending=True, sums=f", count({value}) AS there")
    kept = first_rows(con, snapshots, Filters(), asked, order, MOST)
    if kept is None:
        return None
    con.register("first", kept.first)
    con.register("totals", kept.totals)
    found = con.execute(
        f"SELECT (SELECT list(v ORDER BY v)[:{MOST}] FROM (SELECT {value} AS v FROM first) WHERE v NOTNULL), "
        "(SELECT sum(there) FROM totals)"
    ).fetchone()
    assert found is not None  # one row
    return Offered(tuple(found[0] or ()), int(found[1]), int(found[1]))


def _select(number: int, field: str, source: str) -> str:
    """One row. Its parameters: the search, the chosen values."""
    return f"""
        SELECT * FROM (
          WITH every AS MATERIALIZED (
            SELECT DISTINCT CAST({field} AS VARCHAR) AS v FROM ({source}) WHERE {field} IS NOT NULL
          ), asked AS (SELECT {_plain("?::VARCHAR")} AS search),
          matching AS MATERIALIZED (
            SELECT v, NOT starts_with({_plain("v")}, search) AS inside FROM every, asked
            WHERE contains({_plain("v")}, search)
          )
          SELECT {number} AS number, (SELECT count(*) FROM every) AS total, (SELECT count(*) FROM matching) AS found,
            (SELECT list(v ORDER BY inside, v) FROM (SELECT * FROM matching ORDER BY inside, v LIMIT {MOST})) AS values,
            (SELECT list(v ORDER BY v) FROM every WHERE list_contains(?::VARCHAR[], v)) AS chosen
        )"""


def _plain(text: str) -> str:
    return f"strip_accents(lower({text}))"
