"""Events over time: the cumulative count, or the count or a measure of each span of time."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import Timeline as Points
from ventes.dashboard.questions import Row
from ventes.dashboard.tabs.hovers import axis_of, choice_key, title_of
from ventes.dashboard.view import View
from ventes.stream.page import Timeline, in_words

SPAN = {1: "minute", 5: "5 minutes", 15: "15 minutes", 60: "hour", 360: "6 hours", 1440: "day", 10080: "week"}


def render(tab: Timeline, view: View) -> None:
    many = view.page.many
    measures = {measure.name: measure for measure in tab.measures}
    show = view.choice("Show", ("cumulative", many, *measures), choice_key(view, tab, "show"))
    asked = figures.timeline_question(tab.measures, view.stream.event)
    points = view.shared(tab, view.answered_by(asked), lambda: _points(view, tab))
    rows = points.points
    if not rows:
        view.nothing()
        return
    span = SPAN[points.step_minutes]
    times = [row["start"].isoformat() for row in rows]
    hover = [_hover(view, tab, row, points.step_minutes) for row in rows]
    time_title = f"Time ({text.plotly(view.settings.rules.time_zone)}), one point per {span}"
    if show == "cumulative":
        st.subheader(f"{many.capitalize()} volume over time")
        figure = charts.line(times, [row["cumulative"] for row in rows], hover, f"Cumulative {many} count", time_title)
    elif show in measures:
        title = f"{in_words(show)} per {span}"
        st.subheader(title)
        values = [float(row[show] or 0) for row in rows]
        title, axis = title_of(view, title, measures[show]), axis_of(view, measures[show])
        figure = charts.columns(times, values, hover, title, time_title, axis)
    else:
        title = f"{many.capitalize()} per {span}"
        st.subheader(title)
        figure = charts.columns(times, [row["events"] for row in rows], hover, title, time_title)
    view.chart(figure, f"timeline-{show}", alt=f"Chart of {show} over time", zoom=True)
    view.as_table(
        lambda: [
            {
                "Start": row["start"],
                in_words(many): row["events"],
                "So far": row["cumulative"],
                **{in_words(measure.name): row[measure.name] for measure in tab.measures},
            }
            for row in reversed(rows)
        ],
        choice_key(view, tab, "timeline"),
        money={in_words(m.name): unit for m in tab.measures if (unit := view.currency(m)) is not None},
    )


def _hover(view: View, tab: Timeline, row: Row, step_minutes: int) -> str:
    many = text.plotly(view.page.many)
    span = "span" if step_minutes in (5, 15, 360) else SPAN[step_minutes]
    lines = [
        f"<b>{row['start']:%Y-%m-%d %H:%M}</b>",
        f"{row['cumulative']:,} {many} so far",
        f"{row['events']:,} in this {span}",
        *(f"{in_words(m.name)} {text.plotly(view.written(m, row[m.name]))}" for m in tab.measures),
    ]
    return "<br>".join(lines)


def _points(view: View, tab: Timeline) -> Points:
    with view.sums(figures.timeline_question(tab.measures, view.stream.event)) as con:
        return figures.timeline(con, tab.measures, view.stream.event, view.settings.rules.time_zone)
