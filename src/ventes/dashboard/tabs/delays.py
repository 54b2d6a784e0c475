"""How long an event takes: event → Kafka → Bronze → Silver."""

from __future__ import annotations

from decimal import Decimal

import streamlit as st

from ventes.dashboard import charts, explained, figures, help_text, language, text
from ventes.dashboard.figures import rows_of
from ventes.dashboard.filters import Filters
from ventes.dashboard.language import tr
from ventes.dashboard.query_sources import recent_events
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View

LABEL = "Freshness"
RECENT = 20_000
"""Number of newest events that are read: the cost does not grow with the table."""


def ways() -> dict[str, str]:
    """The stages of an event: the beginning of their columns (figures.delays) → what they are called."""
    return {
        "total": "Kafka → Silver",
        "event": tr("Event → Kafka"),
        "bronze": "Kafka → Bronze",
        "silver": "Bronze → Silver",
    }


def render(view: View) -> None:
    rows = view.shared("delays", (view.contract.clean.name,), lambda: _rows(view))
    if not rows:
        view.nothing()
        return
    last, stages = rows[-1], ways()
    help_text.heading(
        view,
        tr("How long {one} takes", one=text.with_article(view.page)),
        "delays",
        tr(
            "Median and 95th percentile of the newest {n} {many}, by the time of arrival in Kafka. The SQL gives them "
            "over all of these; the cards are the last point of the chart.",
            n=text.count(RECENT),
            many=view.page.many,
        ),
        (view.contract.clean.name,),
        explained.delays(view.stream.event, view.contract.clean.name, RECENT),
    )
    view.say_unfiltered(tr("these are the newest {many} of all", many=view.page.many))
    for card, (name, label) in zip(st.columns(4, gap="small"), stages.items(), strict=True):
        card.metric(
            label,
            _seconds(last[f"{name}_p50"]),
            delta=f"p95 {_seconds(last[f'{name}_p95'])}",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    series = {
        f"{label} {q}": [row[f"{name}_{q}"] for row in rows] for name, label in stages.items() for q in ("p50", "p95")
    }
    times = [row["start"].isoformat() for row in rows]
    zone = text.plotly(view.settings.rules.time_zone)
    view.chart(
        charts.lines(times, series, tr("Seconds"), tr("Time of arrival in Kafka ({zone})", zone=zone)),
        "delays",
        alt=tr("Median and 95th percentile of the delays over time"),
        zoom=True,
    )
    view.as_table(
        lambda: [
            {
                tr("Start"): row["start"],
                **{f"{label} {q}": row[f"{name}_{q}"] for name, label in stages.items() for q in ("p50", "p95")},
                tr("Events"): row["events"],
            }
            for row in reversed(rows)
        ],
        "delays",
        formats={f"{label} {q}": "%.2f s" for label in stages.values() for q in ("p50", "p95")},
    )
    newest = min(RECENT, view.snapshots[view.contract.clean.name].rows)
    st.caption(
        tr(
            "Over the newest {n} {many}; above: the last point. A producer whose clock is wrong shows in "
            "Event → Kafka.",
            n=text.count(newest),
            many=view.page.many,
        )
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{language.decimal(Decimal(f'{value:.2f}'))} s"


def _rows(view: View) -> list[Row]:
    recent = recent_events(view.snapshots, Filters(), RECENT)
    with view.snapshots.tables.connection() as con:
        con.register("recent", recent)
        return rows_of(figures.delays(con, view.stream.event.at, view.settings.rules.time_zone))
