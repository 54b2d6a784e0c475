"""What the page asks of the events, and the tables whose rows answer it. SQL is composed, nothing is read.

A `Question` is sums of the clean events for each combination of some fields. A declared aggregate answers it if its
`by` includes the fields asked for and filtered by, and its measures what is summed. Otherwise the clean table does: its
data files are summed one by one and cached (file_cache.py). Either way the answer has the same columns, and a key may
have several rows: its reader adds them up.

A `Grouped` is what a chart shows: measures for each value of some fields, computed from the rows of a Question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from ventes.contract.arithmetic import mean, share
from ventes.contract.tables import Tables
from ventes.dashboard.file_cache import FILE
from ventes.dashboard.filters import ALL_ROWS, DAY, INSTANT, Filters
from ventes.deltalog.snapshot import sql_type
from ventes.stream.declaration import Aggregate, Event
from ventes.stream.grains import ByDay, ByHour, ByMinute, Grain
from ventes.stream.measures import Count, Distinct, Max, Mean, Measure, Min, OfField, Share, Sum, hidden_columns
from ventes.stream.sql_text import literal, quoted

Kind = Literal["count", "known", "when", "sum", "min", "max", "distinct"]
Row = dict[str, Any]

MINUTE = "minute"
"""The column of ByMinute in an answer; that of ByDay is DAY."""
SECOND = "second"
"""The column of BySecond."""
LATE = "en_retard"
"""The column of the clean table that says that an event came late."""
_MERGE: Mapping[Kind, str] = {
    "count": "sum", "known": "sum", "when": "sum", "sum": "sum", "min": "min", "max": "max",
    "distinct": "max",  # of one row
}  # fmt: skip
"""The SQL function that adds up two rows of one key."""
_KINDS: Mapping[type[Measure], Kind] = {Count: "count", Sum: "sum", Min: "min", Max: "max", Distinct: "distinct"}


@dataclass(frozen=True)
class BySecond(Grain):
    """The start of the second, UTC. Of the page's questions alone: no table groups by it."""

    unit = SECOND


@dataclass(frozen=True)
class Column:
    """A column to add up: the number of events, of those that have `field`, or the sum, minimum or maximum of it.

    "distinct" is how many values of `field` there are, which does not add up: only an aggregate that has one row for
    each key of the question answers it. Of "when" `field` is a condition, over the columns of the clean events: the
    number of those that meet it.
    """

    name: str
    kind: Kind
    field: str = ""

    @property
    def merge(self) -> str:
        """The SQL function that adds up two rows of one key."""
        return _MERGE[self.kind]


@dataclass(frozen=True)
class Question:
    """`columns` of the clean events for each combination of `by`, as the view `view`.

    `by`: fields by name, and ByDay() (column `jour`), ByMinute() (column `minute`, UTC) or BySecond(). `only_late`: of
    the events that came late.
    """

    view: str
    by: tuple[str | Grain, ...]
    columns: tuple[Column, ...] = ()
    only_late: bool = False

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(part for part in self.by if isinstance(part, str))

    def has(self, kind: type[Grain]) -> bool:
        return any(isinstance(part, kind) for part in self.by)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns of `by`."""
        grains = {DAY: ByDay, MINUTE: ByMinute, SECOND: BySecond}
        return (*self.fields, *(column for column, grain in grains.items() if self.has(grain)))


def question(view: str, by: Iterable[str | Grain], *measures: Measure) -> Question:
    """A Question whose columns are the measures Count, Sum, Min and Max, under their names.

    Raises ValueError for other measures: a mean is computed from a Sum and a Count, and a field to be counted belongs
    to `by`.
    """
    return Question(view, tuple(by), tuple(map(_column, measures)))


def _column(measure: Measure) -> Column:
    if type(measure) not in _KINDS or isinstance(measure, Distinct):
        raise ValueError(f"{measure.name}: a {type(measure).__name__} cannot be added up")
    return Column(measure.name, _KINDS[type(measure)], measure.field if isinstance(measure, OfField) else "")


# -- which table -------------------------------------------------------------------------------


class Sources:
    """The tables of a stream as answers to questions. `zone`: the business zone, whose midnight begins a day."""

    def __init__(self, tables: Tables, zone: str) -> None:
        self.tables = tables
        self._event = tables.stream.event
        self._zone = literal(zone)

    def aggregates(self, asked: Question, filters: Filters) -> tuple[Aggregate, ...]:
        """The declared aggregates that answer it."""
        if asked.only_late or asked.has(BySecond):
            return ()
        return tuple(
            table
            for table in self.tables.stream.tables
            if _as_fine_as(table.grain, filters) and self._answers(table, asked, filters.used)
        )

    def _answers(self, table: Aggregate, asked: Question, narrowed_by: Collection[str]) -> bool:
        grain = table.grain
        if table.where is not None or not {*asked.fields, *narrowed_by} - {DAY} <= set(table.by):
            return False
        if (DAY in narrowed_by or asked.has(ByDay)) and not isinstance(grain, ByDay | ByHour | ByMinute):
            return False
        if asked.has(ByMinute) and not isinstance(grain, ByMinute):
            return False
        if not has_a_row_each(table, asked) and any(column.kind == "distinct" for column in asked.columns):
            return False
        return all(self._stored(table, column) is not None for column in asked.columns)

    def _stored(self, table: Aggregate, column: Column) -> str | None:
        """The column of the aggregate that has the values of `column`."""
        if column.kind == "count":
            return next((m.name for m in table.measures if isinstance(m, Count)), None)
        of_field = [measure for measure in table.measures if isinstance(measure, OfField)]
        names = [m.name for m in of_field if (_KINDS.get(type(m)), m.field) == (column.kind, column.field)]
        return next(iter([*names, *self._hidden(table, column)]), None)

    def _hidden(self, table: Aggregate, column: Column) -> list[str]:
        """The same among the hidden columns, from which the table's means and shares are computed."""
        endings: Mapping[str, str] = {"sum": "sum", "known": "count", "when": "part"}
        of = [m for m in table.measures if (isinstance(m, Mean) and m.field == column.field and column.kind != "when")]
        shares = [
            m for m in table.measures if isinstance(m, Share) and m.where == column.field and column.kind == "when"
        ]
        wanted = [f"_{measure.name}_{endings.get(column.kind)}" for measure in (*of, *shares)]
        there = {name for name, _ in hidden_columns(self._event, table.measures)}
        return [name for name in wanted if name in there]

    # -- SQL -----------------------------------------------------------------------------------

    def from_aggregate(
        self, asked: Question, table: Aggregate, rows: str, condition: str, more: Iterable[str] = ()
    ) -> str:
        """The answer from those rows (a SELECT) of an aggregate that meet `condition`. `more`: further columns."""
        listed = [quoted(name) for name in (*more, *asked.fields)]
        if asked.has(ByDay):
            listed.append(f"{self._day(table)} AS {DAY}")
        if asked.has(ByMinute) and table.grain is not None:
            listed.append(f"{quoted(table.grain.column)} AS {MINUTE}")
        for column in asked.columns:
            stored = self._stored(table, column)
            assert stored is not None  # as `aggregates` found
            listed.append(f"{quoted(stored)} AS {quoted(column.name)}")
        if condition == ALL_ROWS:
            return f"SELECT {', '.join(listed)} FROM ({rows})"
        if table.grain is not None and INSTANT in condition:
            condition = condition.replace(quoted(INSTANT), quoted(table.grain.column))  # so that files are left out
        if DAY not in condition:
            return f"SELECT {', '.join(listed)} FROM ({rows}) WHERE {condition}"
        if table.grain is not None and table.grain.column != DAY and (day := self._day(table)):
            rows = f"SELECT *, {day} AS {DAY} FROM ({rows})"
        return f"SELECT {', '.join(listed)} FROM ({rows}) WHERE {condition}"

    def added_up(self, asked: Question) -> str:
        """The answer added up within each file, from the view `narrowed`: one of `from_aggregate` with FILE."""
        sums = []
        for column in asked.columns:
            of_file = f"{column.merge}({quoted(column.name)})"
            whole = _is_whole(column, self._event)
            sums.append(f"{f'CAST({of_file} AS BIGINT)' if whole else of_file} AS {quoted(column.name)}")
        return f"SELECT {', '.join([quoted(FILE), *map(quoted, asked.keys), *sums])} FROM narrowed GROUP BY ALL"

    def _day(self, table: Aggregate) -> str:
        """SQL for the business day of an aggregate's rows; "" if they have none."""
        grain = table.grain
        if isinstance(grain, ByDay):
            return quoted(grain.column)
        if isinstance(grain, ByHour | ByMinute):
            return f"CAST(timezone({self._zone}, {quoted(grain.column)}) AS DATE)"
        return ""

    def fields_of_clean(self, rows: str, columns: Iterable[Column] = (), more: Iterable[str] = ()) -> str:
        """The rows (a SELECT) of the clean table with the fields under their own names, the times and `jour`.

        `columns`: of a question; their conditions are further columns. `more`: further columns of `rows`.
        """
        event = self._event
        fields = [f"{quoted(field.clean_name)} AS {quoted(field.name)}" for field in event.read]
        fields += [f"({each.field}) AS {quoted(each.name)}" for each in columns if each.kind == "when"]
        fields.append(f"{quoted(event.field(event.at).clean_name)} AS {quoted(INSTANT)}")
        fields += map(quoted, more)
        return f"SELECT {', '.join(fields)}, kafka_ts, date_ingestion, date_traitement, {DAY} FROM ({rows})"

    @cached_property
    def recent(self) -> str:
        """The columns of the newest events: times, and the fields of the figures and the filters, by their names."""
        event, page = self._event, self.tables.stream.shown
        of_figures = [f.measure.field for f in page.figures if isinstance(f.measure, OfField)]
        fields = dict.fromkeys((event.at, *of_figures, *(label.field for label in page.dimensions(event))))
        return f"{', '.join(map(quoted, fields))}, kafka_ts, date_ingestion, date_traitement, {DAY}"

    def from_clean(self, asked: Question) -> str:
        """The answer for each file from the view `narrowed`, rows of `fields_of_clean` with FILE."""
        event = self._event
        at = quoted(event.at)
        keys = [quoted(name) for name in (FILE, *asked.fields)]
        keys += [DAY] if asked.has(ByDay) else []
        keys += [f"date_trunc('minute', {at}) AS {MINUTE}"] if asked.has(ByMinute) else []
        keys += [f"date_trunc('second', {at}) AS {SECOND}"] if asked.has(BySecond) else []
        sums = [f"{_summed(column, event)} AS {quoted(column.name)}" for column in asked.columns]
        return f"SELECT {', '.join([*keys, *sums])} FROM narrowed GROUP BY ALL"


def has_a_row_each(table: Aggregate, asked: Question) -> bool:
    """Whether the aggregate has one row for each key of the question, so that nothing is left to add up."""
    return table.grain is None and set(table.by) == set(asked.fields)


def _as_fine_as(grain: Grain | None, filters: Filters) -> bool:
    """Whether rows of the grain lie either inside or outside of a period that begins or ends within a day."""
    if not filters.times:
        return True
    if isinstance(grain, ByMinute):
        return all(moment.second == 0 == moment.microsecond for moment in filters.times)
    return False


def _summed(column: Column, event: Event) -> str:
    field = quoted(column.field)
    if column.kind == "count":
        return "count(*)"
    if column.kind == "known":
        return f"count({field})"
    if column.kind == "when":
        return f"count(*) FILTER ({quoted(column.name)})"
    if column.kind == "sum":
        return f"CAST(sum({field}) AS {sql_type(Sum('total', column.field).type_in(event))})"
    return f"{column.kind}({field})"


# -- measures ----------------------------------------------------------------------------------


def columns_of(measures: Iterable[Measure], event: Event) -> tuple[Column, ...]:
    """The columns that the measures are computed from. A Distinct needs its field among the keys instead."""
    named = {column.name: column for measure in measures for column in _columns_by_name(measure, event).values()}
    return tuple(named.values())


def _columns_by_name(measure: Measure, event: Event) -> dict[str, Column]:
    """Column of the result → the column of the question that it is computed from; of a Mean and a Share two.

    Their names have a blank, so that none is that of a key: a measure may be called like its field.
    """
    if isinstance(measure, Mean):
        known = _adds("known", measure.field) if event.field(measure.field).optional else _adds("count")
        return {f"{measure.name} sum": _adds("sum", measure.field), f"{measure.name} known": known}
    if isinstance(measure, Share):
        return {f"{measure.name} part": _adds("when", measure.where), f"{measure.name} count": _adds("count")}
    if isinstance(measure, Distinct):
        return {}
    column = _column(measure)
    return {measure.name: _adds(column.kind, column.field)}


def _adds(kind: Kind, field: str = "") -> Column:
    return Column(f"{kind} of {field or 'events'}", kind, field)


def expressions(measure: Measure, event: Event, only: str = "") -> dict[str, str]:
    """Column → SQL that computes the measure from rows of an answer; of a Mean its sum and its count, of a Share both
    counts, see `finished`.

    `only`: a condition on the rows.
    """
    where = f" FILTER ({only})" if only else ""
    if isinstance(measure, Distinct):
        return {measure.name: f"count(DISTINCT {quoted(measure.field)}){where}"}
    return {
        name: f"CAST({column.merge}({quoted(column.name)}){where} AS BIGINT)"
        if _is_whole(column, event)
        else f"{column.merge}({quoted(column.name)}){where}"
        for name, column in _columns_by_name(measure, event).items()
    }


def as_stored(measure: Measure, event: Event) -> dict[str, str]:
    """The same from the one row that has it: nothing is added up."""
    if isinstance(measure, Distinct):
        return {measure.name: quoted(_adds("distinct", measure.field).name)}
    return {name: quoted(column.name) for name, column in _columns_by_name(measure, event).items()}


def _is_whole(column: Column, event: Event) -> bool:
    """Whether its sum is a whole number: DuckDB would make a HUGEINT of it."""
    if column.kind in ("count", "known", "when"):
        return True
    return column.kind == "sum" and sql_type(event.field(column.field).clean_type) == "BIGINT"


def finished(row: Row, measures: Iterable[Measure]) -> Row:
    """The row with each Mean and Share computed from its two numbers, half up; None of no event."""
    for measure in measures:
        if isinstance(measure, Mean):
            total, count = row.pop(f"{measure.name} sum"), row.pop(f"{measure.name} known")
            row[measure.name] = mean(Decimal(total), count, measure.scale) if count else None
        elif isinstance(measure, Share):
            row[measure.name] = share(row.pop(f"{measure.name} part") or 0, row.pop(f"{measure.name} count") or 0)
    return row


@dataclass(frozen=True)
class Grouped:
    """Measures of the events for each combination of the fields `by`."""

    by: tuple[str, ...]
    measures: tuple[Measure, ...]

    def question(self, event: Event) -> Question:
        """The measures can be computed from any table that answers it."""
        distinct = [measure.field for measure in self.measures if isinstance(measure, Distinct)]
        return Question("grouped", tuple(dict.fromkeys((*self.by, *distinct))), columns_of(self.measures, event))

    def stored_question(self, event: Event) -> Question:
        """The same from a table that has a row for each combination, with its numbers of different values: few rows,
        where `question` needs one for each combination and value."""
        stored = [_adds("distinct", measure.field) for measure in self.measures if isinstance(measure, Distinct)]
        return Question("grouped", self.by, tuple(dict.fromkeys((*columns_of(self.measures, event), *stored))))

    def sql(self, event: Event, order_by: str, limit: int | None = None, *, stored: bool = False) -> str:
        """Rows of the view `grouped`, the largest of the measure called `order_by` first; see `finished`.

        `stored`: the view is the answer to `stored_question`, of an aggregate that has a row for each combination.
        """
        keys = ", ".join(map(quoted, self.by))
        made = as_stored if stored else expressions
        found = {name: sql for measure in self.measures for name, sql in made(measure, event).items()}
        grouped = "" if stored else f" GROUP BY {keys}"
        listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in found.items())
        largest = _in_order(self._measure(order_by), event, {name: quoted(name) for name in found})
        first = f" LIMIT {limit:d}" if limit is not None else ""
        return (
            f"SELECT * FROM (SELECT {keys}, {listed} FROM grouped{grouped}) "
            f"ORDER BY {largest} DESC NULLS LAST, {keys}{first}"
        )

    def stored_rank(self, event: Event, order_by: str) -> str:
        """SQL over the columns of `stored_question` by which the rows of `sql` are in order."""
        measure = self._measure(order_by)
        return _in_order(measure, event, as_stored(measure, event))

    def _measure(self, name: str) -> Measure:
        return next(measure for measure in self.measures if measure.name == name)


def _in_order(measure: Measure, event: Event, columns: Mapping[str, str]) -> str:
    """SQL by which a measure is ordered. `columns`: SQL of each of those that it is computed from, by name."""
    if isinstance(measure, Mean | Share):  # a float is exact enough for an order
        total, count = (columns[name] for name in _columns_by_name(measure, event))
        return f"CAST({total} AS DOUBLE) / nullif({count}, 0)"
    return columns[measure.name]
