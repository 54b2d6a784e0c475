"""How the values of a ranking change: each against the period before, and what rises most. Exact, without Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from ventes.dashboard import comparison, period
from ventes.dashboard.comparison import Window
from ventes.dashboard.figures import rows_of
from ventes.dashboard.filters import Filters
from ventes.dashboard.language import tr
from ventes.dashboard.query_sources import Part
from ventes.dashboard.questions import Grouped, Question, Row, expressions, finished
from ventes.stream.declaration import Event
from ventes.stream.measures import Count, Measure, Sum
from ventes.stream.sql_text import quoted

RISING = 5
"""So many of those that rise are named."""
WEEK = 7
"""Days that are compared without a period."""


@dataclass(frozen=True)
class Spans:
    """`now` is compared with `before`, both of the same length."""

    now: Window
    before: Window


def spans_of(filters: Filters, now: datetime, zone: ZoneInfo) -> Spans | None:
    """The period of `filters` and the time before it; without a period the last seven days and the seven before.

    Where the period has days, it is cut at the full hour: the sums of the clean table stay the same for an hour.
    """
    hour = period.minute_of(now).replace(minute=0)
    if filters.since is None and filters.until is None and not filters.times:
        start = period.days_back(hour, WEEK, zone)
        current = Window(start, hour, tr("last {n} days", n=WEEK))
        return Spans(current, Window(period.days_back(start, WEEK, zone), start, tr("{n} days before", n=WEEK)))
    windows = comparison.windows_of(filters, now, zone)
    if windows is None:
        return None
    days = (windows.current.end - windows.current.start).total_seconds() / 86_400
    if days > 1 and windows.current.end > hour:
        windows = comparison.windows_of(filters, hour, zone)
        if windows is None:
            return None
    return Spans(windows.current, windows.before[0])


@dataclass(frozen=True)
class Grown:
    """A measure of one key in both spans; None where the key has no event."""

    key: tuple[Any, ...]
    now: Any
    before: Any
    place: int
    """Among those that rise, from 1; 0 for the others."""

    def by(self, measure: Measure) -> Decimal | None:
        """The change as a fraction; None where there is none."""
        return comparison.change(measure, self.now, self.before)

    @property
    def is_new(self) -> bool:
        return bool(self.now) and not self.before


@dataclass(frozen=True)
class Growth:
    """The questions about both spans. `by`: what ranks."""

    asked: Grouped
    by: Measure
    event: Event
    filters: Filters
    spans: Spans
    zone: ZoneInfo

    def parts(self) -> tuple[Part, Part]:
        return self._part("grown now", self.spans.now), self._part("grown before", self.spans.before)

    def _part(self, view: str, window: Window) -> Part:
        narrowed = replace(
            self.filters,
            since=window.start.astimezone(self.zone).date(),
            until=window.end.astimezone(self.zone).date(),
            start=window.start,
            end=window.end,
        )
        of_one: Question = Grouped(self.asked.by, (self.by,)).question(self.event)
        return narrowed, (replace(of_one, view=view),)

    def of(self, con: duckdb.DuckDBPyConnection, views: str, shown: Sequence[Row]) -> list[Grown]:
        """Those of the rows `shown`, and those that rise most: only of a measure that adds up."""
        names = self.asked.by
        keys = ", ".join(map(quoted, names))
        found = expressions(self.by, self.event)
        listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in found.items())
        both = ", ".join(
            f"n.{quoted(c)} AS {quoted(f'now {c}')}, b.{quoted(c)} AS {quoted(f'before {c}')}" for c in found
        )
        more = f"coalesce({quoted(f'now {self.by.name}')}, 0) - coalesce({quoted(f'before {self.by.name}')}, 0)"
        rising = (
            f"CASE WHEN {more} > 0 THEN row_number() OVER (ORDER BY {more} DESC, {keys}) ELSE 0 END"
            if isinstance(self.by, Count | Sum)
            else "0"
        )
        of_shown = pa.table({name: [row[name] for row in shown] for name in names}) if shown else None
        con.register("shown", of_shown if of_shown is not None else pa.table({name: [] for name in names}))
        same = " AND ".join(f"j.{quoted(name)} IS NOT DISTINCT FROM s.{quoted(name)}" for name in names)
        rows = con.execute(
            f"{f'{views}, ' if views else 'WITH '}"
            f"n AS (SELECT {keys}, {listed} FROM {quoted('grown now')} GROUP BY {keys}), "
            f"b AS (SELECT {keys}, {listed} FROM {quoted('grown before')} GROUP BY {keys}), "
            f"j AS (SELECT {keys}, {both} FROM n FULL JOIN b USING ({keys})), "
            f"p AS (SELECT *, {rising} AS place FROM j) "
            f"SELECT * FROM p AS j WHERE place BETWEEN 1 AND {RISING} OR EXISTS (SELECT 1 FROM shown AS s WHERE {same})"
        ).to_arrow_table()
        con.unregister("shown")
        return [self._grown(row) for row in rows_of(rows)]

    def _grown(self, row: Row) -> Grown:
        values = []
        for span in ("now ", "before "):
            one = {name.removeprefix(span): value for name, value in row.items() if name.startswith(span)}
            values.append(finished(one, [self.by])[self.by.name])
        place = row["place"] if row["place"] <= RISING else 0
        return Grown(tuple(row[name] for name in self.asked.by), values[0], values[1], place)
