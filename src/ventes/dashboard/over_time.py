"""Events over time: points of a second to a week. Functions over DuckDB relations, no Streamlit.

Minutes come from the roll-up by minute where it has the measures. Where the whole span is so short that points of
seconds fit, the clean events of the span are summed by second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from ventes.dashboard import period
from ventes.dashboard.figures import POINTS, STEPS, rows_of
from ventes.dashboard.filters import Filters, instant
from ventes.dashboard.questions import (
    MINUTE,
    SECOND,
    BySecond,
    Column,
    Question,
    Row,
    columns_of,
    expressions,
    finished,
)
from ventes.stream.declaration import Event
from ventes.stream.grains import ByMinute
from ventes.stream.measures import Measure
from ventes.stream.page import EVENTS
from ventes.stream.sql_text import quoted

STEP_SECONDS = (1, 5, 15, *(60 * minutes for minutes in STEPS))
"""Seconds between two points; the smallest value that gives at most POINTS points is used."""
_MINUTE = 60
LATE_EVENTS, STEP = "late events", "step seconds"
"""Columns of a point. They have a blank, so that no measure is called so."""
_LATE = Column("late", "count")


@dataclass(frozen=True)
class Timeline:
    """`points`: start (business zone, naive), STEP (how long it is), events, LATE_EVENTS (of them), cumulative (events
    so far), the measures; in time order.

    `step_seconds`: that of the points, where the chart is zoomed in that of those that are visible.
    """

    points: list[Row]
    step_seconds: int


@dataclass(frozen=True)
class Questions:
    """What a timeline asks, by minute or by second."""

    measures: tuple[Measure, ...]
    event: Event

    @property
    def minutes(self) -> Question:
        return Question("minutes", (ByMinute(),), columns_of((EVENTS, *self.measures), self.event))

    @property
    def seconds(self) -> Question:
        return Question("seconds", (BySecond(),), columns_of((EVENTS, *self.measures), self.event))

    @property
    def late_minutes(self) -> Question:
        return Question("late minutes", (ByMinute(),), (_LATE,), only_late=True)

    @property
    def late_seconds(self) -> Question:
        return Question("late seconds", (BySecond(),), (_LATE,), only_late=True)


Sums = Callable[..., AbstractContextManager[duckdb.DuckDBPyConnection]]
"""`sums(filters, *questions)`: a connection with the views of the questions, narrowed to the filters."""


def timeline(
    sums: Sums,
    filters: Filters,
    asked: Questions,
    zone: str,
    zoom: tuple[datetime, datetime] | None = None,
    points: int = POINTS,
) -> Timeline:
    """The points of the events that pass `filters`, and between the instants of `zoom` as fine as fits that alone."""
    with sums(filters, asked.minutes, asked.late_minutes) as con:
        whole = _span(con, "")
        if whole is None:
            return Timeline([], STEP_SECONDS[0])
        coarse = _step(whole, points)
        if zoom is None:
            if coarse >= _MINUTE:
                return Timeline(_counted(_points(con, asked, zone, coarse, MINUTE, "")), coarse)
            rows: list[Row] = []
            before: list[Row] = []
            after: list[Row] = []
            fine, part = coarse, whole
        else:
            since, until = f"{MINUTE} < {instant(zoom[0])}", f"{MINUTE} >= {instant(zoom[1])}"
            within = f"WHERE NOT ({since}) AND NOT ({until})"
            minutes = max(coarse, _MINUTE)
            before = _points(con, asked, zone, minutes, MINUTE, f"WHERE {since}")
            after = _points(con, asked, zone, minutes, MINUTE, f"WHERE {until}")
            _cut(before, after, *(moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in zoom))
            part = _span(con, within) or zoom
            fine = _step(part, points)
            rows = _points(con, asked, zone, fine, MINUTE, within) if fine >= _MINUTE else []
    if fine < _MINUTE:
        narrowed = replace(filters, start=_later(filters.start, part[0]), end=_earlier(filters.end, part[1]))
        with sums(narrowed, asked.seconds, asked.late_seconds) as con:
            rows = _points(con, asked, zone, fine, SECOND, "")
    return Timeline(_counted([*before, *rows, *after]), fine)


def _span(con: duckdb.DuckDBPyConnection, within: str) -> tuple[datetime, datetime] | None:
    """From the first minute with an event to after the last one; None without events."""
    row = con.execute(f"SELECT min({MINUTE}), max({MINUTE}) FROM minutes {within}").fetchone()
    if row is None or row[0] is None:
        return None
    return row[0], row[1] + timedelta(seconds=_MINUTE)


def _step(span: tuple[datetime, datetime], points: int) -> int:
    seconds = (span[1] - span[0]).total_seconds()
    return next((step for step in STEP_SECONDS if seconds / step <= points), STEP_SECONDS[-1])


def _cut(before: list[Row], after: list[Row], start: datetime, end: datetime) -> None:
    """The last point before a zoom ends where it starts, the first one after it starts where it ends."""
    if before:
        last = before[-1]
        last[STEP] = min(last[STEP], max(1, int((start - last["start"]).total_seconds())))
    if after and after[0]["start"] < end:
        first = after[0]
        first[STEP] = max(1, first[STEP] - int((end - first["start"]).total_seconds()))
        first["start"] = end


def _counted(points: list[Row]) -> list[Row]:
    """The points, each with the number of events so far."""
    so_far = 0
    for point in points:
        so_far += point["events"]
        point["cumulative"] = so_far
    return points


def zoomed(zoom: tuple[str, str] | None, zone: Any) -> tuple[datetime, datetime] | None:
    """The whole minutes of a zoom; its times are those of the axis: of the business zone, without offset."""
    if zoom is None:
        return None
    try:
        first, last = (datetime.fromisoformat(text.replace(" ", "T")[:26]) for text in zoom)
    except ValueError:
        return None
    start = period.minute_of(first.replace(tzinfo=zone))
    end = period.minute_of(last.replace(tzinfo=zone, fold=1)) + timedelta(minutes=1)
    return start, max(end, start + timedelta(minutes=1))


def _later(start: datetime | None, first: datetime) -> datetime:
    return first if start is None else max(start, first)


def _earlier(end: datetime | None, last: datetime) -> datetime:
    return last if end is None else min(end, last)


def _points(
    con: duckdb.DuckDBPyConnection, asked: Questions, zone: str, step: int, time: str, within: str
) -> list[Row]:
    """`within`: a WHERE clause over the time of the views.

    Offsets of zones are multiples of 15 minutes, so times are summed to at most quarters of an hour before the
    expensive conversion to the zone."""
    view = f"{time}s"
    values = {n: sql for one in (EVENTS, *asked.measures) for n, sql in expressions(one, asked.event).items()}
    listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in values.items())
    columns = columns_of((EVENTS, *asked.measures), asked.event)
    sums = ", ".join(f"{column.merge}({quoted(column.name)}) AS {quoted(column.name)}" for column in columns)
    coarse = f"time_bucket(INTERVAL {math.gcd(step, 900)} SECOND, {time}) AS {time}"
    start = f"time_bucket(INTERVAL {step} SECOND, timezone($zone, {time})) AS start"
    tardy = quoted(LATE_EVENTS)
    rows = con.execute(
        f"WITH coarse AS (SELECT {coarse}, {sums} FROM {view} {within} GROUP BY 1), "
        f"buckets AS (SELECT {start}, {listed} FROM coarse GROUP BY 1), "
        f"tardy AS (SELECT {start}, sum(late)::BIGINT AS {tardy} FROM {quoted(f'late {view}')} {within} GROUP BY 1) "
        f"SELECT buckets.*, coalesce(tardy.{tardy}, 0) AS {tardy}, {step} AS {quoted(STEP)} "
        "FROM buckets LEFT JOIN tardy USING (start) ORDER BY start",
        {"zone": zone},
    ).to_arrow_table()
    return [finished(row, asked.measures) for row in rows_of(rows)]
