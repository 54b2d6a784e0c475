"""The viewer's filters: period, country, segment, category. Pure; the widgets are in sidebar.py."""

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


@dataclass(frozen=True)
class Filters:
    """Empty means everything. Days are business days (`jour`), both ends included."""

    since: date | None = None
    until: date | None = None
    countries: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def used(self) -> frozenset[str]:
        """The dimensions that are narrowed: of period, country, segment, category."""
        named = {
            "period": self.since or self.until,
            "country": self.countries,
            "segment": self.segments,
            "category": self.categories,
        }
        return frozenset(name for name, value in named.items() if value)

    def condition(self) -> tuple[str, list[object]]:
        """SQL over jour, pays, segment, categorie (those that are used) and its parameters."""
        parts: list[str] = []
        values: list[object] = []
        if self.since:
            parts.append("jour >= ?")
            values.append(self.since)
        if self.until:
            parts.append("jour <= ?")
            values.append(self.until)
        for column, chosen in (("pays", self.countries), ("segment", self.segments), ("categorie", self.categories)):
            if chosen:
                parts.append(f"list_contains(?::VARCHAR[], {column})")
                values.append(list(chosen))
        return " AND ".join(parts) or "true", values

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
