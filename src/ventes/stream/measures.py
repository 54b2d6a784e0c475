"""What an aggregate table counts and sums.

Each measure has one column. `field` is always a field of the event, by its name. Sums are exact; a mean is rounded half
up (away from zero) once, from exact sums. NULL values of optional fields are ignored, as in SQL.

A measure is kept up to date by accumulators: columns that can be combined from lot to lot. Most measures are their own
accumulator; the others have hidden ones, whose names begin with "_" and which are columns of the table too. The SQL is
DuckDB's. `expected` is a second way to the same values, for `verify`: over all events at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ventes.stream.arrow import instant, pa
from ventes.stream.declared import Declared
from ventes.stream.sql_text import quoted, rounded_quotient, scaled

if TYPE_CHECKING:
    from ventes.stream.declaration import Event

BOOLEAN, TEXT = "bool", "string"
_TYPES = (BOOLEAN, TEXT, "int64", "date32")
"""Names of Arrow's types that an Expression may have."""

TOTAL_DIGITS = 28
"""Of a sum of numbers of at most 18 digits: exact for 10^10 of the largest."""
MEAN_DIGITS = 18
MOST_DIGITS = 38
"""Of a decimal column in every engine."""
SUMMED_DIRECTLY = 10
"""Digits of whole numbers whose sum fits a BIGINT: 9 × 10^8 of the largest."""


@dataclass(frozen=True)
class Accumulator:
    """A column of some events that can be combined with that of other events, in any order.

    `of_events`: an SQL aggregate over clean events. `combined`: makes the SQL aggregate over rows with the column.
    """

    column: str
    type: pa.DataType
    of_events: str
    combined: Callable[[str], str]

    def same_as(self, other: Accumulator) -> bool:
        """Whether both have the same values, whatever they are called."""
        return (self.of_events, self.combined, self.type) == (other.of_events, other.combined, other.type)


def _summed(column: str) -> str:
    return f"sum({column})"


def _smallest(column: str) -> str:
    return f"min({column})"


def _largest(column: str) -> str:
    return f"max({column})"


def _united(column: str) -> str:
    """The union of lists; NULL (no value) is an empty one."""
    return f"list_sort(list_distinct(flatten(list({column}))))"


def _joined(column: str) -> str:
    """The lists one after the other; NULL (no value) is an empty one."""
    return f"flatten(list({column}))"


@dataclass(frozen=True)
class Measure(Declared):
    """A column of an aggregate table; use one of its kinds."""

    name: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        """The type of the column in an aggregate of such events."""
        return pa.int64()

    def check(self) -> None:
        self.require_own_name(self.name, "measure")

    def accumulators(self, _event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        """What is combined from lot to lot for this measure; `_measures`: all of its table."""
        return ()

    def finished(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        """Column → SQL over the combined accumulators, where the column is not simply an accumulator."""
        return {}

    def expected(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        """Column → SQL aggregate over all clean events, for the measure and its hidden columns."""
        raise NotImplementedError


def hidden_columns(event: Event, measures: Sequence[Measure]) -> list[tuple[str, pa.DataType]]:
    """The accumulators of a table that are no measures: (name, type)."""
    visible = {measure.name for measure in measures}
    return [
        (part.column, part.type)
        for measure in measures
        for part in measure.accumulators(event, measures)
        if part.column not in visible
    ]


_M = TypeVar("_M", bound="Measure")


def _sibling(kind: type[_M], field: str | None, measures: Sequence[Measure]) -> _M | None:
    """The first measure of a kind (and a field) in a table."""
    for measure in measures:
        if isinstance(measure, kind) and (field is None or getattr(measure, "field", None) == field):
            return measure
    return None


@dataclass(frozen=True)
class Count(Measure):
    """The number of events. BIGINT. `Count("orders")`."""

    def accumulators(self, _event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return (Accumulator(self.name, pa.int64(), "count(*)", _summed),)

    def expected(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: "count(*)"}


@dataclass(frozen=True)
class OfField(Measure):
    """A measure of one field."""

    field: str = ""

    def _column(self, event: Event) -> str:
        """The field's column in the clean events."""
        return quoted(event.field(self.field).clean_name)


@dataclass(frozen=True)
class Sum(OfField):
    """The sum of a number. BIGINT of an Integer, DECIMAL(28, scale) of a decimal or money.

    DECIMAL(38, …) of numbers so large that some of them would not fit those. NULL for no value.

    `Sum("revenue", "total")`.
    """

    def type_in(self, event: Event) -> pa.DataType:
        return _total_type(event, self.field)

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return (Accumulator(self.name, self.type_in(event), f"sum({self._column(event)})", _summed),)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: f"sum({self._column(event)})"}


@dataclass(frozen=True)
class Mean(OfField):
    """The mean of a number, half up to `scale` decimals. DECIMAL(18, scale), (38, scale) of larger numbers.

    NULL for no value. It is computed from a Sum and a Count of the same table if the field is not optional; else from
    the hidden columns _<name>_sum and _<name>_count.

    `Mean("delay_mean", "delay", scale=1)`: of -1, NULL and 2 it is 0.5.
    """

    scale: int = 2

    def type_in(self, event: Event) -> pa.DataType:
        fits = _whole_digits(event, self.field) + self.scale < MEAN_DIGITS
        return pa.decimal128(MEAN_DIGITS if fits else MOST_DIGITS, self.scale)

    def check(self) -> None:
        super().check()
        if not 0 <= self.scale <= 6:
            raise self.refuse(f"measure {self.name}: scale must be 0 to 6")

    def _shared(self, event: Event, measures: Sequence[Measure]) -> tuple[Sum | None, Count | None]:
        if event.field(self.field).optional:
            return None, None
        return _sibling(Sum, self.field, measures), _sibling(Count, None, measures)

    def accumulators(self, event: Event, measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        total, count = self._shared(event, measures)
        column = self._column(event)
        own = []
        if total is None:
            own.append(Accumulator(f"_{self.name}_sum", _total_type(event, self.field), f"sum({column})", _summed))
        if count is None:
            there = f"count({column})" if event.field(self.field).optional else "count(*)"
            own.append(Accumulator(f"_{self.name}_count", pa.int64(), there, _summed))
        return tuple(own)

    def finished(self, event: Event, measures: Sequence[Measure]) -> dict[str, str]:
        total, count = self._shared(event, measures)
        number = quoted(count.name if count else f"_{self.name}_count")
        dividend = quoted(total.name if total else f"_{self.name}_sum")
        return {self.name: rounded_quotient(dividend, _total_type(event, self.field), number, self.scale)}

    def expected(self, event: Event, measures: Sequence[Measure]) -> dict[str, str]:
        column = self._column(event)
        hidden = {f"_{self.name}_sum": f"sum({column})", f"_{self.name}_count": f"count({column})"}
        own = {part.column for part in self.accumulators(event, measures)}
        kind = event.field(self.field).clean_type
        decimals = kind.scale if pa.types.is_decimal(kind) else 0
        # both as whole numbers of 10^-most, so that nothing has decimals
        most = max(decimals, self.scale)
        digits = f"replace(sum({column}::DECIMAL(38, {decimals}))::VARCHAR, '.', '')"
        total = f"{digits}::HUGEINT * {10 ** (most - decimals)}"
        count = f"nullif(count({column}), 0)::HUGEINT * {10 ** (most - self.scale)}"
        mean = f"sign({total}) * ((abs({total}) * 2 + {count}) // (2 * {count}))"
        return {self.name: scaled(f"({mean})", self.scale)} | {n: sql for n, sql in hidden.items() if n in own}


@dataclass(frozen=True)
class _OneValue(OfField):
    """A measure whose value is one of the field's."""

    def type_in(self, event: Event) -> pa.DataType:
        return event.field(self.field).clean_type


@dataclass(frozen=True)
class Min(_OneValue):
    """The smallest value. The type of the field; NULL for no value. `Min("first_day", "due")`."""

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return (Accumulator(self.name, self.type_in(event), f"min({self._column(event)})", _smallest),)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: f"min({self._column(event)})"}


@dataclass(frozen=True)
class Max(_OneValue):
    """The largest value. The type of the field; NULL for no value. `Max("longest", "delay")`."""

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return (Accumulator(self.name, self.type_in(event), f"max({self._column(event)})", _largest),)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: f"max({self._column(event)})"}


@dataclass(frozen=True)
class Distinct(OfField):
    """The exact number of different values, NULL not counted. BIGINT. `Distinct("customers", "customer_id")`.

    Without a Values of the same field in the table the values of every row are kept in memory, 8 bytes each and some
    100 bytes a row: for tables with few rows and many values. For many rows with few values add a Values.
    """

    def values(self, measures: Sequence[Measure]) -> Values | None:
        """The list of the table that is counted; None: the values are kept in memory."""
        return _sibling(Values, self.field, measures)

    def finished(self, _event: Event, measures: Sequence[Measure]) -> dict[str, str]:
        counted = self.values(measures)
        return {self.name: f"len({quoted(counted.name)})"} if counted else {}

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: f"count(DISTINCT {self._column(event)})"}


@dataclass(frozen=True)
class Values(OfField):
    """The different values, sorted: a list. For few values per row; a Distinct of the same field counts the list.

    `Values("cities", "city")`: ["Lyon", "Paris"]; [] for no value.
    """

    def type_in(self, event: Event) -> pa.DataType:
        return pa.list_(event.field(self.field).clean_type)

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        column = self._column(event)
        # not list(DISTINCT …), which keeps a table of values for each key and takes twice the time
        found = f"list_sort(list_distinct(list({column}) FILTER (WHERE {column} IS NOT NULL)))"
        return (Accumulator(self.name, self.type_in(event), found, _united),)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        column = self._column(event)
        return {self.name: f"list_sort(list_filter(list(DISTINCT {column}), lambda x: x IS NOT NULL))"}


@dataclass(frozen=True)
class Share(Measure):
    """The share of events for which `where` is true, a fraction half up to 0.001. DECIMAL(4, 3).

    `where`: an SQL condition over the columns of the clean events. The hidden columns are _<name>_part and, without a
    Count in the table, _<name>_count.

    `Share("late", where="delay >= 15")`: 0.236 where 236 of 1,000 events are late; an event without a delay is not.
    """

    where: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        return pa.decimal128(4, 3)

    def check(self) -> None:
        super().check()
        if not self.where.strip():
            raise self.refuse(f"measure {self.name}: where must be an SQL condition")

    def _count_name(self, measures: Sequence[Measure]) -> str:
        count = _sibling(Count, None, measures)
        return count.name if count else f"_{self.name}_count"

    def accumulators(self, _event: Event, measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        part = Accumulator(f"_{self.name}_part", pa.int64(), f"count(*) FILTER (WHERE {self.where})", _summed)
        if _sibling(Count, None, measures):
            return (part,)
        return part, Accumulator(self._count_name(measures), pa.int64(), "count(*)", _summed)

    def finished(self, _event: Event, measures: Sequence[Measure]) -> dict[str, str]:
        part, count = quoted(f"_{self.name}_part"), quoted(self._count_name(measures))
        return {self.name: rounded_quotient(part, pa.int64(), count, 3)}

    def expected(self, _event: Event, measures: Sequence[Measure]) -> dict[str, str]:
        part = f"sum(CASE WHEN {self.where} THEN 1 ELSE 0 END)"
        share = f"({part} * 2000 + count(*)) // (2 * count(*))"
        columns = {self.name: scaled(f"({share})", 3), f"_{self.name}_part": part}
        return columns if _sibling(Count, None, measures) else columns | {f"_{self.name}_count": "count(*)"}


def _order() -> list[tuple[str, pa.DataType]]:
    return [("at", instant()), ("topic_id", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]


@dataclass(frozen=True)
class _ByTime(_OneValue):
    """The value of one event; a struct of its time, position and value is the hidden column _<name>_event."""

    def _event_type(self, event: Event) -> pa.DataType:
        return pa.struct([*_order(), ("value", event.field(self.field).clean_type)])

    def _struct(self, event: Event) -> str:
        at = quoted(event.field(event.at).clean_name)
        position = ", ".join(f"'{name}': {quoted(name)}" for name, _ in _order()[1:])
        return f"{{'at': {at}, {position}, 'value': {self._column(event)}}}"

    def _accumulator(self, event: Event, aggregate: Callable[[str], str]) -> tuple[Accumulator, ...]:
        found = f"{aggregate(self._struct(event))} FILTER (WHERE {self._column(event)} IS NOT NULL)"
        return (Accumulator(f"_{self.name}_event", self._event_type(event), found, aggregate),)

    def finished(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {self.name: f"struct_extract({quoted(f'_{self.name}_event')}, 'value')"}

    def _ordered(self, event: Event, direction: str) -> dict[str, str]:
        at = quoted(event.field(event.at).clean_name)
        order = ", ".join(f"{name} {direction}" for name in (at, '"topic_id"', '"partition"', '"offset"'))
        there = f"FILTER (WHERE {self._column(event)} IS NOT NULL)"
        return {
            self.name: f"first({self._column(event)} ORDER BY {order}) {there}",
            f"_{self.name}_event": f"first({self._struct(event)} ORDER BY {order}) {there}",
        }


@dataclass(frozen=True)
class First(_ByTime):
    """The value of the earliest event that has one, by time, then by position in Kafka. The type of the field.

    `First("first_city", "city")`.
    """

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return self._accumulator(event, _smallest)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return self._ordered(event, "ASC")


@dataclass(frozen=True)
class Last(_ByTime):
    """The value of the latest event that has one, by time, then by position in Kafka. The type of the field.

    `Last("last_status", "status")`.
    """

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        return self._accumulator(event, _largest)

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return self._ordered(event, "DESC")


@dataclass(frozen=True)
class Top(OfField):
    """The `most` most frequent values, as a list of {value, events}; ties in ascending order of the value.

    The hidden column _<name>_counts has the count of every value: use it for fields with few values.

    `Top("best", "category", most=2)`: [{"value": "toys", "events": 9}, {"value": "books", "events": 7}].
    """

    most: int = 3

    def type_in(self, event: Event) -> pa.DataType:
        return pa.list_(pa.struct([("value", event.field(self.field).clean_type), ("events", pa.int64())]))

    def check(self) -> None:
        super().check()
        if not 1 <= self.most <= 100:
            raise self.refuse(f"measure {self.name}: most must be 1 to 100")

    def accumulators(self, event: Event, _measures: Sequence[Measure]) -> tuple[Accumulator, ...]:
        counted = _counts(self._column(event))
        return (Accumulator(f"_{self.name}_counts", self.type_in(event), counted, _joined),)

    def finished(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        parts = quoted(f"_{self.name}_counts")
        values = f"list_sort(list_distinct(list_transform({parts}, lambda p: p.value)))"
        events = f"list_sum(list_transform(list_filter({parts}, lambda p: p.value = v), lambda p: p.events))::BIGINT"
        counts = f"list_transform({values}, lambda v: {{'value': v, 'events': {events}}})"
        ranked = f"list_sort(list_transform({counts}, lambda c: {{'less': -c.events, 'value': c.value}}))"
        top = f"list_transform({ranked}[1:{self.most}], lambda r: {{'value': r.value, 'events': -r.less}})"
        return {f"_{self.name}_counts": counts, self.name: top}

    def expected(self, event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        counts = f"coalesce(list_sort({_counts(self._column(event))}), [])"
        # ascending by value, then stably descending by events: the places of the largest counts
        events = f"list_transform({counts}, lambda c, place: c.events * 1000000000 - place)"
        places = f"list_transform(list_reverse_sort({events}), lambda n: list_position({events}, n))"
        return {
            f"_{self.name}_counts": counts,
            self.name: f"list_transform({places}[1:{self.most}], lambda place: {counts}[place])",
        }


def _counts(column: str) -> str:
    entries = f"map_entries(histogram({column}))"
    return f"list_transform({entries}, lambda e: {{'value': e.key, 'events': e.value::BIGINT}})"


@dataclass(frozen=True)
class Expression(Measure):
    """A column computed from the other columns of the same row, in SQL.

    `:rules.loyal_from` in `sql` is that setting of ventes.toml. `check_sql`: the same in other words, for
    `verify`: it is evaluated over recomputed columns. The columns of Distinct without Values can be used too.
    `type`: BOOLEAN, TEXT, "int64" or "date32".

    `Expression("regular", BOOLEAN, "orders >= 3", "NOT orders < 3")` beside `Count("orders")`.
    """

    type: str = BOOLEAN
    sql: str = ""
    check_sql: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        kind: pa.DataType = pa.type_for_alias(self.type)
        return kind

    def check(self) -> None:
        super().check()
        if not self.sql.strip():
            raise self.refuse(f"measure {self.name}: sql must be an SQL expression")
        if self.type not in _TYPES:
            raise self.refuse(f"measure {self.name}: type {self.type!r} is not one of {', '.join(_TYPES)}")

    def expected(self, _event: Event, _measures: Sequence[Measure]) -> dict[str, str]:
        return {}


# -- types ------------------------------------------------------------------------------------


def _total_type(event: Event, field: str) -> pa.DataType:
    """Of the exact sum of a field."""
    kind = event.field(field).clean_type
    if pa.types.is_decimal(kind):
        return pa.decimal128(TOTAL_DIGITS if kind.precision <= 18 else MOST_DIGITS, kind.scale)
    return pa.int64() if _whole_digits(event, field) <= SUMMED_DIRECTLY else pa.decimal128(MOST_DIGITS, 0)


def _whole_digits(event: Event, name: str) -> int:
    """Digits before the point of the largest value of a number."""
    field = event.field(name)
    kind = field.clean_type
    if pa.types.is_decimal(kind):
        return int(kind.precision - kind.scale)
    return len(str(max(abs(getattr(field, "least", 0)), abs(getattr(field, "most", 0)))))
