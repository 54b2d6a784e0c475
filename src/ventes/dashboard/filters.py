"""The viewer's filters: the period and the dimensions of the stream. Pure; the widgets are in sidebar.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

PERIODS = {
    "All time": None,
    "Today": 1,
    "Last 7 days": 7,
    "Last 30 days": 30,
    "Last 365 days": 365,
    "Custom": -1,
}
"""Choice → days back, today included."""
ALL_ROWS = "true"
"""The condition of filters that narrow nothing."""
DAY = "jour"
"""The column with the business day; in `Filters.used` it stands for the period."""


@dataclass(frozen=True)
class Chosen:
    """The values of a dimension that pass, as texts; none means all. `many`: what people call them ("countries")."""

    field: str
    many: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """Empty means everything. Days are business days (`jour`), both ends included.

    The values of a dimension are also an attribute, by the plural of its label: `filters.countries`.
    """

    since: date | None = None
    until: date | None = None
    chosen: tuple[Chosen, ...] = ()

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

    def condition(self) -> tuple[str, list[object]]:
        """SQL over jour and the fields (those that are used), and its parameters."""
        parts: list[str] = []
        values: list[object] = []
        if self.since:
            parts.append(f"{DAY} >= ?")
            values.append(self.since)
        if self.until:
            parts.append(f"{DAY} <= ?")
            values.append(self.until)
        for dimension in self.chosen:
            if dimension.values:
                parts.append(f'list_contains(?::VARCHAR[], CAST("{dimension.field}" AS VARCHAR))')
                values.append(list(dimension.values))
        return " AND ".join(parts) or ALL_ROWS, values

    def takes_day(self, day: date | None) -> bool:
        """Whether rows of this `jour` may pass: to leave out whole partitions."""
        return day is None or ((self.since is None or day >= self.since) and (self.until is None or day <= self.until))


def period(choice: str, today: date, custom: tuple[date, ...] = ()) -> tuple[date | None, date | None]:
    """First and last day of a choice of PERIODS."""
    days = PERIODS.get(choice)
    if days is None:
        return None, None
    if days == -1:
        return (custom[0], custom[-1]) if custom else (None, None)
    return today - timedelta(days=days - 1), None
