"""Sales over time: the cumulative count, or sales and revenue of each span of time."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import Timeline
from ventes.dashboard.query_sources import narrowed, tables_for
from ventes.dashboard.view import View

LABEL = "Sales Timeline"
SPAN = {1: "minute", 5: "5 minutes", 15: "15 minutes", 60: "hour", 360: "6 hours", 1440: "day", 10080: "week"}
SHOWS = ("cumulative", "sales", "revenue")


def render(view: View) -> None:
    show = view.choice("Show", SHOWS, "show")
    timeline = view.shared("timeline", tables_for(view.filters, "minutes"), lambda: _timeline(view))
    rows = timeline.points.to_pylist()
    if not rows:
        view.nothing()
        return
    span = SPAN[timeline.step_minutes]
    times = [row["start"].isoformat() for row in rows]
    hover = [
        f"<b>{row['start']:%Y-%m-%d %H:%M}</b><br>{row['cumulative']:,} sales so far<br>{row['sales']:,} in this "
        f"{'span' if timeline.step_minutes in (5, 15, 360) else span}<br>"
        f"Revenue {text.plotly(view.money(row['revenue']))}"
        for row in rows
    ]
    time_title = f"Time ({text.plotly(view.settings.rules.time_zone)}), one point per {span}"
    if show == "cumulative":
        st.subheader("Sales volume over time")
        figure = charts.line(times, [row["cumulative"] for row in rows], hover, "Cumulative sales count", time_title)
    elif show == "sales":
        st.subheader(f"Sales per {span}")
        figure = charts.columns(times, [row["sales"] for row in rows], hover, f"Sales per {span}", time_title)
    else:
        st.subheader(f"Revenue per {span}")
        title = f"Revenue per {span} ({view.settings.page.currency})".replace("$", "&#36;")
        axis = charts.money_axis(view.settings.page.currency)
        figure = charts.columns(times, [float(row["revenue"]) for row in rows], hover, title, time_title, axis)
    view.chart(figure, f"timeline-{show}", alt=f"Chart of {show} over time", zoom=True)


def _timeline(view: View) -> Timeline:
    with narrowed(view.snapshots, view.filters, "minutes") as con:
        return figures.timeline(con, view.settings.rules.time_zone)
