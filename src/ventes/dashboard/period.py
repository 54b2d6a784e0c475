"""The period: presets and ranges in the business zone. Pure; its widgets are in sidebar.py.

A day begins at midnight of the business zone, and a span of days is as long as its days are: with summer time one of
them has 23 or 25 hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from ventes.dashboard.filters import Filters
from ventes.dashboard.language import marked

ALL = marked("All time")
CUSTOM = marked("Custom")
"""Whole days, from … to."""
RANGE = marked("From … to")
"""Any times."""
MONTH = marked("This month")
YESTERDAY = marked("Yesterday")
_DAYS = {
    marked("Today"): 1,
    marked("Last 7 days"): 7,
    marked("Last 30 days"): 30,
    marked("Last 365 days"): 365,
}
"""Choice → days back, today included."""
_MINUTES = {marked("Last 15 minutes"): 15, marked("Last hour"): 60}
PERIODS = (ALL, *_MINUTES, "Today", YESTERDAY, "Last 7 days", MONTH, "Last 30 days", "Last 365 days", CUSTOM, RANGE)


@dataclass(frozen=True)
class Period:
    """A choice of PERIODS. `days`: of CUSTOM. `start`, `end`: of RANGE, instants, the end not included; None: open."""

    choice: str = ALL
    days: tuple[date, ...] = ()
    start: datetime | None = None
    end: datetime | None = None

    def narrowed(self, filters: Filters, now: datetime, zone: ZoneInfo) -> Filters:
        """`filters` for this period as it is at `now`."""
        since, until = days_of(self.choice, now.astimezone(zone).date(), self.days)
        start, end = None, None
        if self.choice in _MINUTES:
            start = minute_of(now) - timedelta(minutes=_MINUTES[self.choice])
        elif self.choice == RANGE:
            start, end = self.start, self.end
        if start is not None:
            since = start.astimezone(zone).date()
        if end is not None:
            until = (end - timedelta(microseconds=1)).astimezone(zone).date()
        return replace(filters, since=since, until=until, start=start, end=end)


def days_of(choice: str, today: date, custom: tuple[date, ...] = ()) -> tuple[date | None, date | None]:
    """First and last business day of a choice of whole days, both included; None is open."""
    if choice in _DAYS:
        return today - timedelta(days=_DAYS[choice] - 1), None
    if choice == YESTERDAY:
        return today - timedelta(days=1), today - timedelta(days=1)
    if choice == MONTH:
        return today.replace(day=1), None
    if choice == CUSTOM and custom:
        return custom[0], custom[-1]
    return None, None


def minute_of(moment: datetime) -> datetime:
    """The start of its minute."""
    return moment.astimezone(timezone.utc).replace(second=0, microsecond=0)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a business day begins."""
    return datetime.combine(day, time(), zone).astimezone(timezone.utc)


def bounds_of(filters: Filters, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The instants between which the period of `filters` lies, the end not included; None is open."""
    start, end = filters.start, filters.end
    if start is None and filters.since is not None:
        start = midnight(filters.since, zone)
    if end is None and filters.until is not None:
        end = midnight(filters.until + timedelta(days=1), zone)
    return start, end


def days_back(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same time of day, so many days before. A time that the clocks skip that day is the one an hour later."""
    local = moment.astimezone(zone)
    return datetime.combine(local.date() - timedelta(days=days), local.timetz()).astimezone(timezone.utc)


def to_address(moment: datetime) -> str:
    """An instant as it stands in the address: 2026-03-01T12:00:00Z."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def from_address(text: str | None) -> datetime | None:
    """The same, read; None if it is none."""
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(timezone.utc)
