"""The figures and charts in SQL, to check them by hand: one SELECT in Spark's dialect each, over the clean table. Pure.

It is written a second time, from the declaration alone: nothing of questions.py is in it, so that both cannot share a
mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone

from ventes.dashboard.filters import DAY, Filters
from ventes.stream.declaration import BRONZE_VIEW, Event
from ventes.stream.kinds import Text
from ventes.stream.measures import Count, Distinct, Max, Mean, Measure, Min, Share, Sum
from ventes.stream.page import Bars, Figure, Ranking, Records, Timeline

STEP_NAMES = {1: "SECOND", 60: "MINUTE", 3_600: "HOUR", 86_400: "DAY", 604_800: "WEEK"}
"""Seconds between two points → the unit to which date_trunc cuts."""


def figure(shown: Figure, event: Event, clean: str, filters: Filters) -> str:
    """The value at the top. Of Records without filters all messages."""
    if isinstance(shown, Records) and not filters.used:
        return f"SELECT COUNT(*) AS value\nFROM {BRONZE_VIEW}"
    return f"SELECT {_measure(shown.measure, event)} AS value\nFROM `{clean}`{where(filters, event)}"


def bars(tab: Bars, event: Event, clean: str, filters: Filters) -> str:
    return _grouped((tab.by,), tab.measures, tab.measures[0], event, clean, filters)


def ranking(tab: Ranking, by: Measure, event: Event, clean: str, filters: Filters) -> str:
    return f"{_grouped(tab.by, tab.measures, by, event, clean, filters)}\nLIMIT {tab.most}"


def timeline(tab: Timeline, step: int, event: Event, clean: str, filters: Filters, zone: str) -> str:
    """`step`: seconds between two points; the times are those of the business zone."""
    local = f"convert_timezone('UTC', {_text(zone)}, {_column(event.at, event)})"
    if step in STEP_NAMES:
        start = f"date_trunc('{STEP_NAMES[step]}', {local})"
    else:  # from midnight on
        of_day = f"hour({local}) * 3600 + minute({local}) * 60 + second({local})"
        past = f"CAST(FLOOR(({of_day}) / {step}) * {step} AS INT)"
        start = f"timestampadd(SECOND, {past}, date_trunc('DAY', {local}))"
    listed = [f"{start} AS start", "COUNT(*) AS events", *_listed(tab.measures, event)]
    return f"SELECT {', '.join(listed)}\nFROM `{clean}`{where(filters, event)}\nGROUP BY 1\nORDER BY 1"


def newest(rows: int) -> str:
    """The newest messages."""
    return f"SELECT *\nFROM {BRONZE_VIEW}\nORDER BY kafka_ts DESC\nLIMIT {rows}"


def rejected(rejets: str) -> str:
    """Messages for each reason."""
    return (
        f"SELECT reason, COUNT(*) AS messages\nFROM (SELECT explode(motifs) AS reason FROM `{rejets}`)\n"
        "GROUP BY reason\nORDER BY messages DESC, reason"
    )


def delays(event: Event, clean: str, rows: int) -> str:
    """Median and 95th percentile of the three ways and of all together, over the newest events, in seconds."""
    spans = {
        "event": f"unix_micros(kafka_ts) - unix_micros({_column(event.at, event)})",
        "bronze": "unix_micros(date_ingestion) - unix_micros(kafka_ts)",
        "silver": "unix_micros(date_traitement) - unix_micros(date_ingestion)",
        "total": "unix_micros(date_traitement) - unix_micros(kafka_ts)",
    }
    listed = ",\n  ".join(
        f"percentile({sql}, 0.{part}) / 1e6 AS {name}_p{part}" for name, sql in spans.items() for part in (50, 95)
    )
    return f"SELECT\n  {listed}\nFROM (SELECT * FROM `{clean}` ORDER BY kafka_ts DESC LIMIT {rows})"


def _grouped(
    by: Sequence[str], measures: Sequence[Measure], first: Measure, event: Event, clean: str, filters: Filters
) -> str:
    keys = ", ".join(_column(name, event) for name in by)
    place = len(by) + 1 + list(measures).index(first)
    listed = ", ".join([keys, *_listed(measures, event)])
    return f"SELECT {listed}\nFROM `{clean}`{where(filters, event)}\nGROUP BY {keys}\nORDER BY {place} DESC"


def _listed(measures: Sequence[Measure], event: Event) -> list[str]:
    return [f"{_measure(measure, event)} AS `{measure.name}`" for measure in measures]


def _measure(measure: Measure, event: Event) -> str:
    if isinstance(measure, Share):
        return _rounded(f"COUNT_IF({measure.where}) / COUNT(*)", 3)
    if isinstance(measure, Mean):
        column = _column(measure.field, event)
        return _rounded(f"SUM({column}) / COUNT({column})", measure.scale)
    if isinstance(measure, Count):
        return "COUNT(*)"
    if isinstance(measure, Distinct):
        return f"COUNT(DISTINCT {_column(measure.field, event)})"
    assert isinstance(measure, Sum | Min | Max)  # the measures that a page shows (stream/page.py)
    return f"{type(measure).__name__.upper()}({_column(measure.field, event)})"


def _rounded(quotient: str, scale: int) -> str:
    """Half up. Ten decimals first: the nearest double of a half may be below it."""
    return f"ROUND(CAST({quotient} AS DECIMAL(38, 10)), {scale})"


def _column(field: str, event: Event) -> str:
    return f"`{event.field(field).clean_name}`"


def where(filters: Filters, event: Event) -> str:
    """The filters as a WHERE clause over the clean table, on a line of its own; "" without any."""
    at = _column(event.at, event)
    parts = []
    if filters.start is not None:
        parts.append(f"{at} >= TIMESTAMP '{filters.start.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}Z'")
    elif filters.since is not None:
        parts.append(f"{DAY} >= DATE '{filters.since}'")
    if filters.end is not None:
        parts.append(f"{at} < TIMESTAMP '{filters.end.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}Z'")
    elif filters.until is not None:
        parts.append(f"{DAY} <= DATE '{filters.until}'")
    for chosen in filters.chosen:
        if chosen.values:
            column = _column(chosen.field, event)
            of_text = isinstance(event.field(chosen.field), Text)
            listed = ", ".join(map(_text, chosen.values))
            parts.append(f"{column if of_text else f'CAST({column} AS STRING)'} IN ({listed})")
    return "\nWHERE " + "\n  AND ".join(parts) if parts else ""


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
