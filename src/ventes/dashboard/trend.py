"""The small lines of the figures: each figure per unit of time, over one span of time for all. Pure, but for the query.

The span is that of the period, else the last half hour; it does not depend on how many events there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from ventes.dashboard import period
from ventes.dashboard.figures import numbered, rows_of
from ventes.dashboard.filters import DAY, Filters, instant
from ventes.dashboard.language import marked
from ventes.dashboard.query_sources import Part
from ventes.dashboard.questions import MINUTE, Question, Row, columns_of, expressions, finished
from ventes.stream.declaration import Event
from ventes.stream.grains import ByDay, ByMinute
from ventes.stream.measures import Distinct
from ventes.stream.page import Figure
from ventes.stream.sql_text import quoted

SLICES = 30
"""Slices at most: a card is some 200 pixels wide."""
SPAN = timedelta(minutes=30)
"""Without a period."""
COUNTED_ROWS = 500_000
"""So many events of the span may be read to count the different values of each slice."""
DAY_SECONDS = 86_400
UNITS = {
    60: marked("minute"),
    120: marked("2 min"),
    300: marked("5 min"),
    900: marked("15 min"),
    1_800: marked("30 min"),
    3_600: marked("hour"),
    7_200: marked("2 h"),
    14_400: marked("4 h"),
    21_600: marked("6 h"),
    43_200: marked("12 h"),
    86_400: marked("day"),
    172_800: marked("2 days"),
    604_800: marked("week"),
    1_209_600: marked("2 weeks"),
    2_419_200: marked("4 weeks"),
    15_724_800: marked("26 weeks"),
}
"""Seconds of a slice → what it is called."""

Line = list[Any]
"""A value for each slice; None where there is none: a mean of no event. Empty for a figure without a line."""


@dataclass(frozen=True)
class Slices:
    """`count` slices of `unit` seconds from `start`, an instant; of whole days from `first` where the unit has days."""

    unit: int
    start: datetime
    first: date
    count: int

    @property
    def of_days(self) -> bool:
        return self.unit >= DAY_SECONDS

    @property
    def days(self) -> int:
        return self.unit // DAY_SECONDS

    @property
    def end(self) -> datetime:
        """Of the last slice, if they are no days."""
        return self.start + timedelta(seconds=self.unit * self.count)

    @property
    def condition(self) -> str:
        """SQL: whether a row of an answer lies in the slices."""
        if self.of_days:
            return f"{DAY} >= DATE '{self.first}'"
        return f"{MINUTE} >= {instant(self.start)} AND {MINUTE} < {instant(self.end)}"

    @property
    def place(self) -> str:
        """SQL: the number of the slice of a row of an answer."""
        if self.of_days:
            return f"({DAY} - DATE '{self.first}') // {self.days}"
        return f"(epoch_us({MINUTE}) - epoch_us({instant(self.start)})) // {self.unit * 1_000_000}"

    def begins(self, number: int, zone: ZoneInfo) -> datetime:
        """When a slice begins, in the business zone, naive."""
        if self.of_days:
            day = self.first + timedelta(days=number * self.days)
            return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - of the business zone, as all times here
        return (self.start + timedelta(seconds=number * self.unit)).astimezone(zone).replace(tzinfo=None)


def slices_of(filters: Filters, now: datetime, newest: datetime | None, zone: ZoneInfo) -> Slices | None:
    """The slices for the period of `filters`: whole ones, that are over at `now`. None if there are not two.

    Without a period that has a beginning the last half hour; if nothing is as new, the one before the newest event.
    """
    start, end = period.bounds_of(filters, zone)
    until = now if end is None else min(now, end)
    if start is None:
        if newest is not None and newest < until - SPAN:
            until = period.minute_of(newest) + timedelta(minutes=1)
        until = period.minute_of(until)
        start = until - SPAN
    span = (until - start).total_seconds()
    unit = next((unit for unit in UNITS if span / unit <= SLICES), max(UNITS))
    first = start.astimezone(zone).date()
    if unit >= DAY_SECONDS:
        last = until.astimezone(zone).date()
        if until == end and until == period.midnight(last, zone):
            last -= timedelta(days=1)
        count = -(-((last - first).days + 1) // (unit // DAY_SECONDS))
        return Slices(unit, start, first, count) if count >= 2 else None
    begin = period.midnight(first, zone)
    step = timedelta(seconds=unit)
    start = begin + -(-(start - begin) // step) * step
    count = (until - start) // step
    return Slices(unit, start, first, count) if count >= 2 else None


@dataclass(frozen=True)
class Lines:
    """The questions of the lines over some slices, and their filters."""

    figures: tuple[Figure, ...]
    event: Event
    slices: Slices
    filters: Filters
    zone: ZoneInfo

    def of_sums(self) -> Part:
        """All figures but those that count different values."""
        plain = _questions(self.figures, self.event, self.slices.of_days)[0]
        return self._narrowed(exact=True), (plain,) if plain.columns else ()

    def of_counted(self) -> Part:
        """The others: one for each field. Its filters change once an hour, so that sums of files stay cached."""
        counted = _questions(self.figures, self.event, self.slices.of_days)[1]
        return self._narrowed(exact=False), tuple(counted.values())

    def _narrowed(self, exact: bool) -> Filters:
        if self.slices.of_days:
            return self.filters
        start, end = self.slices.start, self.slices.end
        if not exact:
            start, end = (moment.replace(minute=0, second=0) for moment in (start, end + timedelta(hours=1)))
        first, last = start.astimezone(self.zone).date(), end.astimezone(self.zone).date()
        return replace(self.filters, since=first, until=last, start=start, end=end)

    def values(self, con: duckdb.DuckDBPyConnection, views: str, counted: bool) -> tuple[Line, ...]:
        """A line for each figure, from the views of the questions; without `counted` none that counts values."""
        plain, of_field = _questions(self.figures, self.event, self.slices.of_days)
        numbers = [n for n, figure in enumerate(self.figures) if not isinstance(figure.measure, Distinct)]
        asked = [(plain, numbers)] + [
            (question, [n for n, figure in enumerate(self.figures) if _counts(figure, name)])
            for name, question in of_field.items()
            if counted
        ]
        lines: list[Line] = [[] for _ in self.figures]
        for numbers, rows in self._asked(con, views, [(question, numbers) for question, numbers in asked if numbers]):
            for n in numbers:
                empty = 0 if _adds_up(self.figures[n]) else None
                name = numbered(self.figures[n], n).name
                lines[n] = [rows[i][name] if i in rows else empty for i in range(self.slices.count)]
        return tuple(lines)

    def _asked(
        self, con: duckdb.DuckDBPyConnection, views: str, asked: Sequence[tuple[Question, list[int]]]
    ) -> Iterator[tuple[list[int], dict[int, Row]]]:
        """For each question, about the figures with these numbers: slice → its row. One statement for all of them:
        most of its time is planning."""
        selects, measures = [], []
        for number, (question, numbers) in enumerate(asked):
            measures.append([numbered(self.figures[n], n) for n in numbers])
            listed = {name: sql for one in measures[-1] for name, sql in expressions(one, self.event).items()}
            columns = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in listed.items())
            selects.append(
                f"SELECT {number} AS question, ({self.slices.place})::INTEGER AS place, {columns} "
                f"FROM {quoted(question.view)} WHERE {self.slices.condition} GROUP BY 2"
            )
        if not selects:
            return
        found = rows_of(con.execute(views + " UNION ALL BY NAME ".join(selects)).to_arrow_table())
        for number, (_, numbers) in enumerate(asked):
            mine = (row for row in found if row["question"] == number)
            yield numbers, {row["place"]: finished(row, measures[number]) for row in mine}


def _counts(figure: Figure, field: str) -> bool:
    return isinstance(figure.measure, Distinct) and figure.measure.field == field


def _adds_up(figure: Figure) -> bool:
    return type(figure.measure).__name__ in ("Count", "Sum", "Distinct")


@lru_cache(maxsize=8)
def _questions(figures: tuple[Figure, ...], event: Event, of_days: bool) -> tuple[Question, Mapping[str, Question]]:
    grain = ByDay() if of_days else ByMinute()
    others = [numbered(figure, n) for n, figure in enumerate(figures) if not isinstance(figure.measure, Distinct)]
    fields = dict.fromkeys(figure.measure.field for figure in figures if isinstance(figure.measure, Distinct))
    return (
        Question("lines", (grain,), columns_of(others, event)),
        {name: Question(f"lines {name}", (name, grain)) for name in fields},
    )
