"""The viewer's filters: the period and the values of fields. Pure; the widgets are in sidebar.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timezone

ALL_ROWS = "true"
"""The condition of filters that narrow nothing."""
DAY = "jour"
"""The column with the business day; in `Filters.used` it stands for the period."""
INSTANT = "at "
"""The column with the event's time, where a period is not of whole days. No field has a name with a blank."""


@dataclass(frozen=True)
class Chosen:
    """The values of a dimension that pass, as texts; none means all. `many`: what people call them ("countries")."""

    field: str
    many: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """Empty means everything. Days are business days (`jour`), both ends included.

    `start` and `end`: instants, the end not included, where the period is not one of whole days; its days are `since`
    and `until` then.

    The values of a dimension are also an attribute, by the plural of its label: `filters.countries`.
    """

    since: date | None = None
    until: date | None = None
    chosen: tuple[Chosen, ...] = ()
    start: datetime | None = None
    end: datetime | None = None

    def __getattr__(self, name: str) -> tuple[str, ...]:
        if not name.startswith("_") and name != "chosen":
            for dimension in self.chosen:
                if dimension.many.replace(" ", "_") == name:
                    return dimension.values
        raise AttributeError(name)

    @property
    def used(self) -> frozenset[str]:
        """The fields that are narrowed; DAY if the period is."""
        fields = {dimension.field for dimension in self.chosen if dimension.values}
        return frozenset(fields | ({DAY} if self.since or self.until else set()))

    @property
    def fields(self) -> frozenset[str]:
        """The fields that are narrowed, without the period."""
        return self.used - {DAY}

    @property
    def times(self) -> tuple[datetime, ...]:
        """The instants at which the period begins or ends."""
        return tuple(moment for moment in (self.start, self.end) if moment is not None)

    @property
    def time_condition(self) -> str:
        """SQL over INSTANT: from `start` to before `end`."""
        parts = [f'"{INSTANT}" >= {instant(self.start)}'] if self.start else []
        parts += [f'"{INSTANT}" < {instant(self.end)}'] if self.end else []
        return " AND ".join(parts) or ALL_ROWS

    def condition(self, by_day: bool = True) -> tuple[str, list[object]]:
        """SQL over jour, INSTANT and the fields (those that are used), and its parameters.

        Without `by_day` the days of `start` and `end` are left out: they follow from them.
        """
        parts: list[str] = [self.time_condition] if self.times else []
        values: list[object] = []
        if self.since and (by_day or not self.start):
            parts.append(f"{DAY} >= ?")
            values.append(self.since)
        if self.until and (by_day or not self.end):
            parts.append(f"{DAY} <= ?")
            values.append(self.until)
        for dimension in self.chosen:
            if dimension.values:
                parts.append(f'list_contains(?::VARCHAR[], CAST("{dimension.field}" AS VARCHAR))')
                values.append(list(dimension.values))
        return " AND ".join(parts) or ALL_ROWS, values

    def within_day(self, day: date) -> Filters | None:
        """These filters and that day; None if the period has none of it."""
        return replace(self, since=day, until=day) if self.takes_day(day) else None

    def takes_day(self, day: date | None) -> bool:
        """Whether rows of this `jour` may pass: to leave out whole partitions."""
        return day is None or ((self.since is None or day >= self.since) and (self.until is None or day <= self.until))


def instant(moment: datetime) -> str:
    """An instant as SQL."""
    return f"TIMESTAMPTZ '{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f}+00'"
