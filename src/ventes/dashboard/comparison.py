"""The figures against the same time of an earlier day: which windows of time are compared, and their exact values.

Windows end at the start of the running minute, so that the windows before it are cut at the same time of day and the
table by minute can answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from ventes.contract.arithmetic import share
from ventes.dashboard import period
from ventes.dashboard.figures import HeadlineQuery, headline_query, numbered, totals, value_of
from ventes.dashboard.filters import DAY, Filters, instant
from ventes.dashboard.language import tr
from ventes.dashboard.query_sources import Part, views_of_several
from ventes.dashboard.questions import MINUTE, Column, Question, columns_of
from ventes.dashboard.source import TableSnapshots
from ventes.stream.declaration import Event
from ventes.stream.grains import ByDay, ByMinute
from ventes.stream.measures import Count, Distinct, Max, Mean, Min, Share, Sum
from ventes.stream.page import Figure
from ventes.stream.sql_text import quoted

FIRST = "first"
"""The column with the time of the first event of a day that has a value."""


@dataclass(frozen=True)
class Window:
    """From `start` to before `end`, UTC. `name`: "yesterday", to be read after "than"."""

    start: datetime
    end: datetime
    name: str = ""


@dataclass(frozen=True)
class Windows:
    """What is compared: the period until now, and the same time of earlier days."""

    current: Window
    before: tuple[Window, ...]
    whole_days: bool
    """Whether each begins at midnight."""

    @property
    def all(self) -> tuple[Window, ...]:
        return (self.current, *self.before)


def windows_of(filters: Filters, now: datetime, zone: ZoneInfo) -> Windows | None:
    """The windows for the period of `filters`; without one, today. None for a period that has not begun.

    A period of at most a day is compared with the same time yesterday and a week ago, one of at most a week with the
    week before, a longer one with as many days before it.
    """
    until = period.minute_of(now)
    start, end = period.bounds_of(filters, zone)
    named = {1: tr("a day before"), 7: tr("a week before")}
    if start is None:
        start = period.midnight(until.astimezone(zone).date(), zone)
        named = {1: tr("yesterday"), 7: tr("last week")}
        if end is not None and end <= start:
            return None  # everything until an earlier day: nothing is as long
    elif not filters.times and filters.since == until.astimezone(zone).date():
        named = {1: tr("yesterday"), 7: tr("last week")}
    end = until if end is None else min(end, until)
    if end <= start:
        return None
    days = math.ceil(((end.astimezone(zone)).replace(tzinfo=None) - start.astimezone(zone).replace(tzinfo=None))
                     / timedelta(days=1))  # fmt: skip
    shifts = named
    if days > 1:
        shifts = {7: tr("a week before")} if days <= 7 else {days: tr("the {n} days before", n=days)}
    before = tuple(
        Window(period.days_back(start, shift, zone), period.days_back(end, shift, zone), name)
        for shift, name in shifts.items()
    )
    whole_days = all(one.start == period.midnight(one.start.astimezone(zone).date(), zone)
                     for one in (Window(start, end), *before))  # fmt: skip
    return Windows(Window(start, end), before, whole_days)


def change(measure: object, now: Any, before: Any) -> Decimal | None:
    """(now - before) / before as an exact fraction, half up to 0.1 %; of a Share the difference of both.

    None where there is none: no event before, or a value that is not above 0 and so no base.
    """
    if now is None or before is None or not isinstance(measure, Count | Sum | Mean | Min | Max | Share | Distinct):
        return None
    if not isinstance(now, int | Decimal) or not isinstance(before, int | Decimal):
        return None  # an earliest time
    if isinstance(measure, Share):
        return Decimal(now) - Decimal(before)
    return share(Decimal(now) - Decimal(before), Decimal(before)) if before > 0 else None


Values = tuple[tuple[Any, ...], ...]
"""For each window (the current one first) the value of each figure."""


@dataclass(frozen=True)
class Compared:
    """One comparison, as questions with the filters that each is asked with."""

    figures: tuple[Figure, ...]
    event: Event
    windows: Windows
    filters: Filters
    zone: ZoneInfo

    def parts(self) -> Iterator[Part]:
        """What is asked."""
        if self.windows.whole_days:
            plain, counted = _by_day(self.figures, self.event)
            yield self._outer(), (plain,) if plain.columns else ()
            for place, window in enumerate(self.windows.all):
                yield self._days(window), tuple(_of_window(asked, place) for asked in counted.values())
        else:
            for window in self.windows.all:
                yield self._within(window), self._headline.questions

    def values(self, snapshots: TableSnapshots) -> Values:
        """Raises NotReadable."""
        if self.windows.whole_days:
            with snapshots.tables.connection() as con:
                return self._of_days(con, views_of_several(con, snapshots, self.parts()))
        found = []
        for part in self.parts():
            with snapshots.tables.connection() as con:
                found.append(self._headline.of(con, date.min, views_of_several(con, snapshots, [part])).total)
        return tuple(found)

    def _of_days(self, con: duckdb.DuckDBPyConnection, views: str) -> Values:
        plain, counted = _by_day(self.figures, self.event)
        listed: dict[str, dict[str, str]] = {}
        for place, window in enumerate(self.windows.all):
            minutes = f"{MINUTE} >= {instant(window.start)} AND {MINUTE} < {instant(window.end)}"
            first, last = (moment.astimezone(self.zone).date() for moment in (window.start, _last(window)))
            days = f"{DAY} BETWEEN DATE '{first}' AND DATE '{last}' AND {quoted(FIRST)} < {instant(window.end)}"
            for number, figure in enumerate(self.figures):
                view = (
                    _of_window(counted[figure.measure.field], place) if isinstance(figure.measure, Distinct) else plain
                )
                only = days if isinstance(figure.measure, Distinct) else minutes
                of_view = listed.setdefault(view.view, {})
                for name, sql in totals(numbered(figure, number), self.event, only).items():
                    of_view[f"{place} {name}"] = sql
        selects = [
            f"(SELECT {', '.join(f'{sql} AS {quoted(name)}' for name, sql in columns.items())} FROM {quoted(view)})"
            for view, columns in listed.items()
        ]
        found = con.execute(f"{views}SELECT * FROM {' CROSS JOIN '.join(selects)}")
        names = [name for columns in listed.values() for name in columns]
        values = found.fetchone()
        assert values is not None  # aggregates without GROUP BY have one row
        row = dict(zip(names, values, strict=True))
        return tuple(
            tuple(value_of(row, figure, number, f"{place} ") for number, figure in enumerate(self.figures))
            for place in range(len(self.windows.all))
        )

    def _outer(self) -> Filters:
        """All windows together, from the first midnight on: the same all day, so that its sums stay cached."""
        start = min(window.start for window in self.windows.all)
        return replace(self.filters, since=start.astimezone(self.zone).date(), until=None, start=start, end=None)

    def _days(self, window: Window) -> Filters:
        """The days of a window: of an earlier one nothing changes any more, so that its values stay cached."""
        first, last = (moment.astimezone(self.zone).date() for moment in (window.start, _last(window)))
        return replace(self.filters, since=first, until=last, start=None, end=None)

    def _within(self, window: Window) -> Filters:
        first, last = (moment.astimezone(self.zone).date() for moment in (window.start, _last(window)))
        return replace(self.filters, since=first, until=last, start=window.start, end=window.end)

    @property
    def _headline(self) -> HeadlineQuery:
        return headline_query(tuple(replace(figure, note="") for figure in self.figures), self.event)


def _of_window(asked: Question, place: int) -> Question:
    """The question about the days of one window: the days between two windows are not read."""
    return replace(asked, view=f"{asked.view} {place}")


def _last(window: Window) -> datetime:
    return window.end - timedelta(microseconds=1)


@lru_cache(maxsize=8)
def _by_day(figures: tuple[Figure, ...], event: Event) -> tuple[Question, Mapping[str, Question]]:
    """The question of all figures that need no field among the keys, and one for each field that is counted.

    A value counts for a part of a day if its first event of the day comes before the end of the part; so the answer is
    the same all day, and a new file is only added to it.
    """
    others = [numbered(figure, n) for n, figure in enumerate(figures) if not isinstance(figure.measure, Distinct)]
    fields = dict.fromkeys(figure.measure.field for figure in figures if isinstance(figure.measure, Distinct))
    first = Column(FIRST, "min", event.at)
    return (
        Question("compared", (ByMinute(),), columns_of(others, event)),
        {name: Question(f"compared {name}", (name, ByDay()), (first,)) for name in fields},
    )
