"""How long an event takes: event → Kafka → Bronze → Silver."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import rows_of
from ventes.dashboard.filters import Filters
from ventes.dashboard.query_sources import recent_events
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View

LABEL = "Freshness"
RECENT = 20_000
"""Number of newest events that are read: the cost does not grow with the table."""
WAYS = {
    "total": "Kafka → Silver",
    "event": "Event → Kafka",
    "bronze": "Kafka → Bronze",
    "silver": "Bronze → Silver",
}


def render(view: View) -> None:
    rows = view.shared("delays", (view.contract.clean.name,), lambda: _rows(view))
    if not rows:
        view.nothing()
        return
    last = rows[-1]
    st.subheader(f"How long {view.page.a_one} takes")
    view.say_unfiltered(f"these are the newest {view.page.many} of all")
    for card, (name, label) in zip(st.columns(4, gap="small"), WAYS.items(), strict=True):
        card.metric(
            label,
            _seconds(last[f"{name}_p50"]),
            delta=f"p95 {_seconds(last[f'{name}_p95'])}",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    series = {
        f"{label} {q}": [row[f"{name}_{q}"] for row in rows] for name, label in WAYS.items() for q in ("p50", "p95")
    }
    times = [row["start"].isoformat() for row in rows]
    zone = text.plotly(view.settings.rules.time_zone)
    view.chart(
        charts.lines(times, series, "Seconds", f"Time of arrival in Kafka ({zone})"),
        "delays",
        alt="Median and 95th percentile of the delays over time",
        zoom=True,
    )
    view.as_table(
        lambda: [
            {
                "Start": row["start"],
                **{f"{label} {q}": row[f"{name}_{q}"] for name, label in WAYS.items() for q in ("p50", "p95")},
                "Events": row["events"],
            }
            for row in reversed(rows)
        ],
        "delays",
        formats={f"{label} {q}": "%.2f s" for label in WAYS.values() for q in ("p50", "p95")},
    )
    newest = min(RECENT, view.snapshots[view.contract.clean.name].rows)
    st.caption(
        f"Over the newest {newest:,} {view.page.many}; above: the last point. "
        "A producer whose clock is wrong shows in Event → Kafka."
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _rows(view: View) -> list[Row]:
    recent = recent_events(view.snapshots, Filters(), RECENT)
    with view.snapshots.tables.connection() as con:
        con.register("recent", recent)
        return rows_of(figures.delays(con, view.stream.event.at, view.settings.rules.time_zone))
