"""How the roll-ups of a stream are made: the statements, composed from the declaration. No I/O.

A lot gives partial tables: the accumulators of its events for each combination of a table's `by`. A coarser table uses
the partial rows of a finer one where its accumulators are among them, so the five tables of `ventes` need three.
All statements are DuckDB's, under either engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from ventes.config import Rules
from ventes.contract.tables import Tables, clustered_by, of_stream
from ventes.deltalog.snapshot import sql_type
from ventes.deltalog.table import Table
from ventes.stream.declaration import Aggregate, Event, Stream
from ventes.stream.declared import DeclarationError
from ventes.stream.grains import Grain
from ventes.stream.measures import Accumulator, Distinct, Expression
from ventes.stream.sql_text import listed, literal, quoted

_SETTING = re.compile(r":rules\.([a-z_]+)")


class Declared(Protocol):
    """What the roll-ups depend on: the settings have it, and a task of Spark gets no more of them."""

    @property
    def stream(self) -> Stream: ...

    @property
    def rules(self) -> Rules: ...


@dataclass(frozen=True)
class DistinctCount:
    """A Distinct whose values are kept in memory: those of each `key` that the rows of a partial table show.

    `key` and `value` are columns of the partial table `partial`. `stored_in`: the roll-up that has them all in columns
    of the same names; None: no table has them. `from_clean`: the statement that finds them in the relation `clean`,
    with the columns _key_0, _key_1, … and _value.
    """

    column: str
    key: tuple[str, ...]
    value: str
    partial: str
    stored_in: str | None
    from_clean: str


@dataclass(frozen=True)
class Rollup:
    """How one table is kept: `partial` names its partial table.

    `taken`: columns of the table → columns of the partial table, for the key and the accumulators.
    `combined`: adds up the relation `partials` (any number of rows with the columns of `taken` for each key).
    `merged`: the table's rows from `partials`, and from `distinct_counts` if `distinct` is not empty: the columns
    _key_0, _key_1, … and one for each of them.
    """

    table: Table
    partial: str
    taken: Mapping[str, str]
    combined: str
    merged: str
    distinct: tuple[DistinctCount, ...]
    ordered_by: tuple[str, ...]
    """The columns that sort the rows; those with bounds in the log prune files."""

    @property
    def key_names(self) -> list[str]:
        """_key_0, _key_1, …: the key's columns in `distinct_counts`, which no measure has."""
        return [f"_key_{place}" for place in range(len(self.table.key))]


@dataclass(frozen=True)
class Plan:
    """All roll-ups of a stream, each after those from which it loads its distinct counts.

    `partials`: name → the statement that makes the partial table from the relation `clean`.
    """

    rollups: tuple[Rollup, ...]
    partials: Mapping[str, str]


def plan_of(settings: Declared) -> Plan:
    """The plan for the stream and the rules of the settings; composed once a process and year.

    Raises DeclarationError for a setting that does not exist.
    """
    return _plan(settings.stream, settings.rules, datetime.now(timezone.utc).year + 2)


@lru_cache(maxsize=8)
def _plan(stream: Stream, rules: Rules, last_year: int) -> Plan:
    return _Composer(stream, rules, last_year).plan()


class _Composer:
    def __init__(self, stream: Stream, rules: Rules, last_year: int) -> None:
        self._stream = stream
        self._event: Event = stream.event
        self._rules = rules
        self._last_year = last_year
        self._tables: Tables = of_stream(stream)
        self._own: list[Aggregate] = []
        """The aggregates with a partial table of their own, the finest first."""

    def plan(self) -> Plan:
        taken = {}
        for table in sorted(self._stream.tables, key=lambda table: -len(table.by)):
            taken[table.table] = self._taken(table)
        partials = {table.table: self._partial(table) for table in self._stream.tables if table in self._own}
        rollups = {}
        for table in self._stream.tables:
            distinct = [self._distinct(table, measure, partials) for measure in self._in_memory(table)]
            source, columns = taken[table.table]
            rollups[table.table] = self._rollup(table, source, columns, tuple(distinct))
        return Plan(tuple(_sources_first(rollups)), partials)

    # -- partial tables -----------------------------------------------------------------------

    def _taken(self, table: Aggregate) -> tuple[str, dict[str, str]]:
        """The partial table that `table` uses, and its columns there: a finer table's, else a new one of its own."""
        own = self._accumulators(table)
        for finer in self._own:
            key = _key_in(finer, table)
            found = {part.column: _find(part, self._accumulators(finer)) for part in own}
            if key is not None and all(found.values()):
                return finer.table, key | {name: column for name, column in found.items() if column}
        self._own.append(table)
        return table.table, {name: name for name in (*table.key, *(part.column for part in own))}

    def _partial(self, table: Aggregate) -> str:
        keys = self._keys(table)
        columns = [f"{sql} AS {quoted(name)}" for name, sql in keys.items()]
        columns += [_cast(part.of_events, part) for part in self._accumulators(table)]
        groups = ", ".join(keys.values())
        return f"SELECT {', '.join(columns)} FROM clean{_where(table)} GROUP BY {groups}"

    def _keys(self, table: Aggregate) -> dict[str, str]:
        """Column of the key → SQL over a clean event."""
        at = quoted(self._event.field(self._event.at).clean_name)
        zone = ZoneInfo(self._rules.time_zone)
        return {
            name: part.sql(at, zone, self._last_year)
            if isinstance(part, Grain)
            else quoted(self._event.field(part).clean_name)
            for name, part in zip(table.key, table.by, strict=True)
        }

    def _accumulators(self, table: Aggregate) -> tuple[Accumulator, ...]:
        found = [part for measure in table.measures for part in measure.accumulators(self._event, table.measures)]
        return tuple({part.column: part for part in found}.values())

    # -- distinct counts ----------------------------------------------------------------------

    def _in_memory(self, table: Aggregate) -> list[Distinct]:
        return [
            measure
            for measure in table.measures
            if isinstance(measure, Distinct) and measure.values(table.measures) is None
        ]

    def _distinct(self, table: Aggregate, measure: Distinct, partials: dict[str, str]) -> DistinctCount:
        """Where the values come from: a table with a finer key that has them, else a partial table of their own."""
        keys = self._keys(table)
        columns = [f'{sql} AS "_key_{place}"' for place, sql in enumerate(keys.values())]
        value = quoted(self._event.field(measure.field).clean_name)
        from_clean = f'SELECT DISTINCT {", ".join(columns)}, {value} AS "_value" FROM clean{_where(table)}'
        for finer in self._own:
            key = _key_in(finer, table)
            if key is not None and measure.field in finer.by and len(finer.by) > len(table.by):
                shown = tuple(key.values())
                return DistinctCount(measure.name, shown, measure.field, finer.table, finer.table, from_clean)
        name = f"{table.table}.{measure.name}"
        partials[name] = from_clean
        shown = tuple(f"_key_{place}" for place in range(len(keys)))
        return DistinctCount(measure.name, shown, "_value", name, None, from_clean)

    # -- statements ---------------------------------------------------------------------------

    def _rollup(
        self, table: Aggregate, partial: str, taken: dict[str, str], distinct: tuple[DistinctCount, ...]
    ) -> Rollup:
        made = self._tables.by_name[table.table]
        combined = self._combined(table)
        merged = self._merged(table, made, combined, distinct)
        return Rollup(made, partial, taken, combined, merged, distinct, clustered_by(table))

    def _combined(self, table: Aggregate) -> str:
        sums = [_cast(part.combined(quoted(part.column)), part) for part in self._accumulators(table)]
        return f"SELECT {', '.join([listed(table.key), *sums])} FROM partials GROUP BY {listed(table.key)}"

    def _merged(self, table: Aggregate, made: Table, combined: str, distinct: Sequence[DistinctCount]) -> str:
        columns = {name: quoted(name) for name in made.schema.names}
        for measure in table.measures:
            columns |= measure.finished(self._event, table.measures)
        # expressions last, because they may use the columns before them
        expressions = {m.name: self._with_settings(table, m) for m in table.measures if isinstance(m, Expression)}
        ordered = {name: sql for name, sql in columns.items() if name not in expressions} | expressions
        kinds = {field.name: sql_type(field.type) for field in made.schema}
        selected = [
            quoted(name) if sql == quoted(name) else f"CAST({sql} AS {kinds[name]}) AS {quoted(name)}"
            for name, sql in ordered.items()
        ]
        return f"WITH combined AS ({combined}) SELECT {', '.join(selected)} FROM combined{_joined(table, distinct)}"

    def _with_settings(self, table: Aggregate, measure: Expression) -> str:
        def value(found: re.Match[str]) -> str:
            if found[1] not in Rules.model_fields:
                raise DeclarationError(f"{table.table}.{measure.name}: there is no setting rules.{found[1]}")
            return _literal(getattr(self._rules, found[1]))

        return _SETTING.sub(value, measure.sql)


def _key_in(finer: Aggregate, table: Aggregate) -> dict[str, str] | None:
    """The key of `table` in the rows of `finer`: column → column; None if those rows do not have it."""
    if finer.where != table.where:
        return None
    there, wanted = _parts(finer), _parts(table)
    if not wanted.keys() <= there.keys():
        return None
    return {name: there[part] for part, name in wanted.items()}


def _parts(table: Aggregate) -> dict[str | type[Grain], str]:
    """Field, or kind of grain → its column."""
    kinds = (type(part) if isinstance(part, Grain) else part for part in table.by)
    return dict(zip(kinds, table.key, strict=True))


def _find(part: Accumulator, among: Sequence[Accumulator]) -> str | None:
    return next((other.column for other in among if part.same_as(other)), None)


def _sources_first(rollups: Mapping[str, Rollup]) -> list[Rollup]:
    """In the order of the declaration, but each after the tables from which it loads distinct counts."""
    placed: dict[str, Rollup] = {}

    def place(rollup: Rollup) -> None:
        for count in rollup.distinct:
            if count.stored_in is not None:
                place(rollups[count.stored_in])
        placed.setdefault(rollup.table.name, rollup)

    for rollup in rollups.values():
        place(rollup)
    return list(placed.values())


def _joined(table: Aggregate, distinct: Sequence[DistinctCount]) -> str:
    """The join with `distinct_counts`; its key columns have names that no measure has."""
    if not distinct:
        return ""
    same = [f'combined.{quoted(name)} IS NOT DISTINCT FROM "_key_{place}"' for place, name in enumerate(table.key)]
    return f" JOIN distinct_counts ON {' AND '.join(same)}"


def _where(table: Aggregate) -> str:
    return f" WHERE ({table.where})" if table.where else ""


def _cast(sql: str, part: Accumulator) -> str:
    return f"CAST({sql} AS {sql_type(part.type)}) AS {quoted(part.column)}"


def _literal(value: object) -> str:
    """A setting as SQL; a Decimal is written out, so it is exact, and equal ones are the same text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    return literal(str(value))
