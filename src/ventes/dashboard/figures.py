"""The numbers of the page: functions over DuckDB relations, no Streamlit.

Sums are exact; means and shares are those of contract/arithmetic.py. The relations are the answers to questions
(questions.py) in the connection of `query_sources.narrowed`: rows that are sums, whose keys may repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa

from ventes.dashboard.filters import DAY
from ventes.dashboard.first_rows import ROWS, Order
from ventes.dashboard.questions import Grouped, Question, Row, as_stored, columns_of, expressions, finished
from ventes.stream.declaration import Event
from ventes.stream.grains import ByDay
from ventes.stream.measures import Count, Distinct, Measure, Sum
from ventes.stream.page import Figure
from ventes.stream.sql_text import quoted

POINTS = 400
"""Points per line at most: more than a screen can show."""
STEPS = (1, 5, 15, 60, 360, 1440, 10080)
"""Minutes between two points; the smallest value that gives at most POINTS points is used."""


@dataclass(frozen=True)
class Headline:
    """The values of the figures: of all events that pass the filters, and of one business day, each by figure.

    None where there is none: a mean of no event, or the day's value of a figure that shows none.
    """

    total: tuple[Any, ...]
    day: tuple[Any, ...]


@dataclass(frozen=True)
class HeadlineQuery:
    """What the figures ask, and the statement that computes them; see `headline_query`."""

    figures: tuple[Figure, ...]
    questions: tuple[Question, ...]
    sql: str
    columns: tuple[str, ...]

    def question_of(self, number: int) -> Question:
        """The question from whose answer a figure is computed."""
        return next(q for q, those in zip(self.questions, _together(self.figures), strict=True) if number in those)

    def of(self, con: duckdb.DuckDBPyConnection, day: date, views: str = "") -> Headline:
        """The figures, from a connection with the views of `questions`; `views`: the missing ones as a WITH clause."""
        values = {"day": day} if any(figure.by_day for figure in self.figures) else {}
        row = dict(zip(self.columns, _row(con, views + self.sql, values), strict=True))
        total, of_day = [], []
        for number, figure in enumerate(self.figures):
            total.append(value_of(row, figure, number, ""))
            of_day.append(value_of(row, figure, number, _DAYS) if figure.by_day else None)
        return Headline(tuple(total), tuple(of_day))


_DAYS = "day "
"""Before the columns with the values of one day."""


@lru_cache(maxsize=8)
def headline_query(figures: tuple[Figure, ...], event: Event) -> HeadlineQuery:
    """One question for each field that is counted; the other figures are computed from the rows of the first.

    A figure without a value of the day is asked without days: a roll-up without days may then answer it.
    """
    questions: list[Question] = []
    selects: list[str] = []
    names: list[str] = []
    for view, numbers in enumerate(_together(figures)):
        measures = {number: numbered(figures[number], number) for number in numbers}
        days = [ByDay()] if any(figures[number].by_day for number in numbers) else []
        fields = dict.fromkeys(measure.field for measure in measures.values() if isinstance(measure, Distinct))
        columns = columns_of(measures.values(), event)
        questions.append(Question(f"figures {view}", (*fields, *days), columns))
        listed: dict[str, str] = {}
        for number, measure in measures.items():
            listed |= totals(measure, event)
            if figures[number].by_day:
                of_day = totals(measure, event, f"{DAY} = $day")
                listed |= {_DAYS + name: sql for name, sql in of_day.items()}
        names += listed
        selects.append(f"(SELECT {', '.join(listed.values())} FROM {quoted(questions[-1].view)})")
    return HeadlineQuery(figures, tuple(questions), f"SELECT * FROM {' CROSS JOIN '.join(selects)}", tuple(names))


def _together(figures: tuple[Figure, ...]) -> list[list[int]]:
    """The numbers of the figures that are computed from the same rows."""
    counted: dict[tuple[bool, str], list[int]] = {}
    others = []
    for number, figure in enumerate(figures):
        if isinstance(figure.measure, Distinct):
            counted.setdefault((figure.by_day, figure.measure.field), []).append(number)
        else:
            others.append(number)
    first = next((key for key in counted if key[0]), None)
    together = [[*others, *(counted.pop(first) if first is not None else [])], *counted.values()]
    return [numbers for numbers in together if numbers]


def numbered(figure: Figure, number: int) -> Measure:
    """The measure under a name of its own: two figures may have measures of one name."""
    return replace(figure.measure, name=f"figure_{number}_")


def totals(measure: Measure, event: Event, only: str = "") -> dict[str, str]:
    """As `expressions`; counts and sums of no event are 0."""
    found = expressions(measure, event, only)
    if isinstance(measure, Count | Sum):
        return {name: f"coalesce({sql}, 0)" for name, sql in found.items()}
    return found


def value_of(row: Row, figure: Figure, number: int, before: str) -> Any:
    """The figure's value from columns that are called as `totals` does, with `before` in front."""
    measure = numbered(figure, number)
    found = {name.removeprefix(before): value for name, value in row.items() if name.startswith(before + measure.name)}
    return finished(found, [measure])[measure.name]


def grouped(
    con: duckdb.DuckDBPyConnection,
    asked: Grouped,
    event: Event,
    order_by: str,
    limit: int | None = None,
    *,
    stored: bool = False,
) -> list[Row]:
    """A row for each combination of `asked.by`: its fields and measures. The largest of `order_by` first.

    `stored`: the view is the answer to `asked.stored_question`.
    """
    rows = rows_of(con.execute(asked.sql(event, order_by, limit, stored=stored)).to_arrow_table())
    return [finished(row, asked.measures) for row in rows]


@dataclass(frozen=True)
class Overall:
    """All combinations of a Grouped together: how many there are, and its measure of all of them.

    `total`: None where the measure does not add up, or where shares of it would mislead, because one is below zero.
    """

    combinations: int
    total: Any


def overall(
    con: duckdb.DuckDBPyConnection, asked: Grouped, measure: Measure, event: Event, *, stored: bool = False
) -> Overall:
    """From the view `grouped`; `stored` as for `grouped`."""
    value = _added(measure, event, stored)
    if stored:
        rows = "grouped"
    else:
        rows, value = f"(SELECT {value} AS value FROM grouped GROUP BY {', '.join(map(quoted, asked.by))})", "value"
    return _overall(_row(con, f"SELECT count(*), min({value}), sum({value}) FROM {rows}"), measure)


def largest_first(asked: Grouped, measure: Measure, event: Event) -> Order:
    """The rows of `asked.stored_question` in the order of `grouped`; the sums are those for `overall_of`."""
    value = _added(measure, event, stored=True)
    return Order(asked.stored_rank(event, measure.name), sums=f", min({value}) AS least, sum({value}) AS total")


def overall_of(con: duckdb.DuckDBPyConnection, measure: Measure) -> Overall:
    """The same as `overall` from the view `totals`: what `largest_first` adds up in each file."""
    return _overall(_row(con, f"SELECT sum({ROWS}), min(least), sum(total) FROM totals"), measure)


def _added(measure: Measure, event: Event, stored: bool) -> str:
    """SQL of a Count or Sum of a combination; of other measures 0, as they do not add up."""
    if not isinstance(measure, Count | Sum):
        return "0"
    (value,) = (as_stored if stored else expressions)(measure, event).values()
    return value


def _overall(found: tuple[Any, ...], measure: Measure) -> Overall:
    count, least, total = found
    adds_up = isinstance(measure, Count | Sum)
    return Overall(int(count or 0), total if adds_up and least is not None and least >= 0 else None)


def of_all(con: duckdb.DuckDBPyConnection, measure: Measure, event: Event) -> Any:
    """A Count or Sum of all rows of the view `grouped`; None for other measures, which do not add up."""
    if not isinstance(measure, Count | Sum):
        return None
    (expression,) = expressions(measure, event).values()
    return _row(con, f"SELECT {expression} FROM grouped")[0]


@dataclass(frozen=True)
class Reconciliation:
    """messages = clean + duplicates + conflicts + invalid + waiting (taken by Bronze, not yet by Silver)."""

    messages: int
    clean: int
    duplicates: int
    conflicts: int
    invalid: int

    @property
    def rejected(self) -> int:
        return self.duplicates + self.conflicts + self.invalid

    @property
    def waiting(self) -> int:
        return self.messages - self.clean - self.rejected


def reconciliation(messages: int, clean: int, kinds: pa.Table) -> Reconciliation:
    """`kinds`: kind (duplicate, conflict, invalid), messages; keys may repeat."""
    sums = {"duplicate": 0, "conflict": 0, "invalid": 0}
    for row in kinds.to_pylist():
        sums[row["kind"]] += row["messages"]
    return Reconciliation(messages, clean, sums["duplicate"], sums["conflict"], sums["invalid"])


def reasons(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """motif, messages; most frequent first. From the view `motifs` (motif, minute, messages)."""
    return con.execute(
        "SELECT motif, sum(messages)::BIGINT AS messages FROM motifs GROUP BY ALL ORDER BY messages DESC, motif"
    ).to_arrow_table()


def reasons_over_time(con: duckdb.DuckDBPyConnection, zone: str, points: int = 120, top: int = 6) -> pa.Table:
    """start (business zone, naive), motif (rare ones as 'other'), messages. From the view `motifs`."""
    step = step_of(con, "minute", "motifs", points)
    return con.execute(
        f"WITH ranked AS (SELECT motif FROM motifs GROUP BY 1 ORDER BY sum(messages) DESC, 1 LIMIT {top:d}) "
        f"SELECT time_bucket(INTERVAL {step} MINUTE, timezone(?, minute)) AS start, "
        "CASE WHEN motif IN (FROM ranked) THEN motif ELSE 'other' END AS motif, sum(messages)::BIGINT AS messages "
        "FROM motifs GROUP BY ALL ORDER BY start, motif",
        [zone],
    ).to_arrow_table()


def delays(con: duckdb.DuckDBPyConnection, at: str, zone: str, points: int = 120) -> pa.Table:
    """start (business zone, naive) and p50/p95 in seconds of three ways, from the view `recent`. `at`: its event time.

    event_p50, event_p95 (event → Kafka), bronze_p50, … (Kafka → Bronze), silver_p50, … (Bronze → Silver), and
    total_p50, total_p95 (Kafka → Silver), with events.
    """
    step = step_of(con, "kafka_ts", "recent", points)
    spans = {
        "event": f"epoch_us(kafka_ts) - epoch_us({quoted(at)})",
        "bronze": "epoch_us(date_ingestion) - epoch_us(kafka_ts)",
        "silver": "epoch_us(date_traitement) - epoch_us(date_ingestion)",
        "total": "epoch_us(date_traitement) - epoch_us(kafka_ts)",
    }
    columns = ", ".join(
        f"quantile_cont({sql}, 0.5) / 1e6 AS {name}_p50, quantile_cont({sql}, 0.95) / 1e6 AS {name}_p95"
        for name, sql in spans.items()
    )
    return con.execute(
        f"SELECT time_bucket(INTERVAL {step} MINUTE, timezone(?, kafka_ts)) AS start, {columns}, count(*) AS events "
        "FROM recent GROUP BY 1 ORDER BY 1",
        [zone],
    ).to_arrow_table()


def step_of(con: duckdb.DuckDBPyConnection, time: str, view: str, points: int) -> int:
    """Minutes between two points, so that the times of a view give at most so many points."""
    first, last = _row(con, f"SELECT min({time}), max({time}) FROM {view}")
    span = (last - first).total_seconds() / 60 if first else 0
    return next((step for step in STEPS if span / step < points), STEPS[-1])


def rows_of(table: pa.Table) -> list[Row]:
    """The rows as dictionaries."""
    listed: list[Row] = table.to_pylist()
    return listed


def _row(
    con: duckdb.DuckDBPyConnection, query: str, values: list[Any] | Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    row = con.execute(query, values or []).fetchone()
    assert row is not None  # an aggregate without GROUP BY has one row
    return row
