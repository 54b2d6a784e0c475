"""What an aggregate table counts and sums, and the grains of time it groups by.

Each measure has one column. `field` is always a field of the event, by its name. Sums are exact; a mean is rounded half
up (away from zero) once, from exact sums. NULL values of optional fields are ignored, as in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ventes.stream.declared import RESERVED, Declared
from ventes.stream.kinds import UTC, WHOLE

if TYPE_CHECKING:
    from ventes.stream.declaration import Event

BOOLEAN, TEXT = pa.bool_(), pa.string()

TOTAL_DIGITS = 28
"""Of a sum of decimals: exact for 10^16 of the largest amounts."""
MEAN_DIGITS = 18


@dataclass(frozen=True)
class Measure(Declared):
    """A column of an aggregate table; use one of its kinds."""

    name: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        """The type of the column in an aggregate of such events."""
        return WHOLE

    def check(self) -> None:
        self.require_name(self.name, "measure")
        if self.name.lower() in RESERVED:
            raise self.refuse(f"measure {self.name}: this name belongs to the pipeline; choose another one")


@dataclass(frozen=True)
class Count(Measure):
    """The number of events. BIGINT."""


@dataclass(frozen=True)
class OfField(Measure):
    """A measure of one field."""

    field: str = ""


@dataclass(frozen=True)
class Sum(OfField):
    """The sum of a number. BIGINT of an Integer, DECIMAL(28, scale) of a decimal or money."""

    def type_in(self, event: Event) -> pa.DataType:
        kind = event.field(self.field).clean_type
        return pa.decimal128(TOTAL_DIGITS, kind.scale) if pa.types.is_decimal(kind) else WHOLE


@dataclass(frozen=True)
class Mean(OfField):
    """The mean of a number, half up to `scale` decimals. DECIMAL(18, scale). NULL for no value."""

    scale: int = 2

    def type_in(self, _event: Event) -> pa.DataType:
        return pa.decimal128(MEAN_DIGITS, self.scale)

    def check(self) -> None:
        super().check()
        if not 0 <= self.scale <= 6:
            raise self.refuse(f"measure {self.name}: scale must be 0 to 6")


@dataclass(frozen=True)
class _OneValue(OfField):
    """A measure whose value is one of the field's."""

    def type_in(self, event: Event) -> pa.DataType:
        return event.field(self.field).clean_type


@dataclass(frozen=True)
class Min(_OneValue):
    """The smallest value. The type of the field."""


@dataclass(frozen=True)
class Max(_OneValue):
    """The largest value. The type of the field."""


@dataclass(frozen=True)
class Distinct(OfField):
    """The exact number of different values. BIGINT."""


@dataclass(frozen=True)
class Values(OfField):
    """The different values, sorted: a list. For few values per row; a Distinct of the same field counts the list."""

    def type_in(self, event: Event) -> pa.DataType:
        return pa.list_(event.field(self.field).clean_type)


@dataclass(frozen=True)
class Share(Measure):
    """The share of events for which `where` is true, a fraction half up to 0.001. DECIMAL(4, 3).

    `where`: an SQL condition over the columns of the clean events.
    """

    where: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        return pa.decimal128(4, 3)


@dataclass(frozen=True)
class First(_OneValue):
    """The value of the earliest event, by time, then by position in Kafka. The type of the field."""


@dataclass(frozen=True)
class Last(_OneValue):
    """The value of the latest event, by time, then by position in Kafka. The type of the field."""


@dataclass(frozen=True)
class Top(OfField):
    """The `most` most frequent values, as a list of {value, events}; ties in ascending order of the value.

    The table keeps the count of every value: use it for fields with few values.
    """

    most: int = 3

    def type_in(self, event: Event) -> pa.DataType:
        return pa.list_(pa.struct([("value", event.field(self.field).clean_type), ("events", WHOLE)]))

    def check(self) -> None:
        super().check()
        if not 1 <= self.most <= 100:
            raise self.refuse(f"measure {self.name}: most must be 1 to 100")


@dataclass(frozen=True)
class Expression(Measure):
    """A column computed from the other columns of the same row, in SQL.

    `:rules.loyal_from` in `sql` is that setting of ventes.toml. `check_sql`: the same in other words, for
    `verify`: it is evaluated over recomputed columns.
    """

    type: Any = BOOLEAN
    sql: str = ""
    check_sql: str = ""

    def type_in(self, _event: Event) -> pa.DataType:
        kind: pa.DataType = self.type
        return kind


# -- grains -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grain(Declared):
    """A unit of the event's time to group by; the column's name is the grain's unless `name` is given."""

    name: str = ""

    unit = ""
    type = pa.date32()

    def check(self) -> None:
        if self.name:
            self.require_name(self.name, "grain")

    @property
    def column(self) -> str:
        return self.name or self.unit


@dataclass(frozen=True)
class ByMinute(Grain):
    """The start of the minute. TIMESTAMP, UTC."""

    unit = "minute"
    type = UTC


@dataclass(frozen=True)
class ByHour(Grain):
    """The start of the hour in the business zone, as an instant. TIMESTAMP, UTC."""

    unit = "heure"
    type = UTC


@dataclass(frozen=True)
class ByDay(Grain):
    """The business day. DATE. Its column is `jour`, as in every table."""

    unit = "jour"


@dataclass(frozen=True)
class ByWeek(Grain):
    """The Monday of the business day's week. DATE."""

    unit = "semaine"


@dataclass(frozen=True)
class ByMonth(Grain):
    """The first day of the business day's month. DATE."""

    unit = "mois"
