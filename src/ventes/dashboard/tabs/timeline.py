"""Events over time: the cumulative count, or the count or a measure of each span of time."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, explained, help_text, language, over_time, plot, text
from ventes.dashboard.language import in_words, marked, tr
from ventes.dashboard.over_time import LATE_EVENTS, STEP
from ventes.dashboard.over_time import Timeline as Points
from ventes.dashboard.questions import Row
from ventes.dashboard.tabs.hovers import axis_of, choice_key, title_of
from ventes.dashboard.view import View
from ventes.stream.page import Timeline

SPAN = {
    1: marked("second"),
    5: marked("5 seconds"),
    15: marked("15 seconds"),
    60: marked("minute"),
    300: marked("5 minutes"),
    900: marked("15 minutes"),
    3_600: marked("hour"),
    21_600: marked("6 hours"),
    86_400: marked("day"),
    604_800: marked("week"),
}
"""Seconds between two points → what they are called."""
_MINUTE = 60


def render(tab: Timeline, view: View) -> None:
    many, events = view.page.many, view.stream.shown.many  # `events`: its name in the address
    measures = {measure.name: measure for measure in tab.measures}
    show = view.choice(tr("Show"), ("cumulative", events, *measures), choice_key(view, tab, "show"))
    key = f"timeline-{show}"
    zoom = over_time.zoomed(plot.zoomed(key), view.zone)
    asked = over_time.Questions(tab.measures, view.stream.event)
    used = tuple(dict.fromkeys((*view.answered_by(asked.minutes), view.contract.clean.name)))
    found: Points = view.shared(
        (tab, zoom),
        used,
        lambda: over_time.timeline(view.sums_of, view.filters, asked, view.settings.rules.time_zone, zoom),
    )
    rows = found.points
    if not rows:
        view.nothing()
        return
    step = found.step_seconds
    span = language.word(SPAN[step])
    name = "cumulative" if show == "cumulative" else "events" if show == events else show
    title = tr("{What} per {span}", What=in_words(show), span=span)
    if name == "cumulative":
        title = tr("{Many} volume over time", Many=many.capitalize())
    help_text.heading(
        view,
        title,
        key,
        _about(view, tab, span),
        used if step >= _MINUTE else (view.contract.clean.name,),
        explained.timeline(
            tab, step, view.stream.event, view.contract.clean.name, view.filters, view.settings.rules.time_zone
        ),
    )
    times = [row["start"].isoformat() for row in rows]
    hover = [_hover(view, tab, row) for row in rows]
    steps = [row[STEP] for row in rows]
    zone = text.plotly(view.settings.rules.time_zone)
    time_title = tr("Time ({zone}), one point per {span}", zone=zone, span=span)
    if name == "cumulative":
        values = [row["cumulative"] for row in rows]
        figure = charts.line(times, values, hover, tr("Cumulative {many} count", many=many), time_title)
    else:
        values = [float(row[name] or 0) for row in rows]
        measure = measures.get(name)
        title, axis = (title_of(view, title, measure), axis_of(view, measure)) if measure else (title, None)
        figure = charts.columns(times, values, hover, title, time_title, axis, steps)
    tardy = sum(row[LATE_EVENTS] for row in rows)
    late = [(time, value) for time, value, row in zip(times, values, rows, strict=True) if row[LATE_EVENTS]]
    if tardy * 2 > sum(row["events"] for row in rows):
        late = []  # recorded events that are sent again: all of them are late
    if late:
        charts.mark(figure, late, tr("with late {many}", many=many))
    alt = tr("Chart of {what} over time", what=in_words(show).lower())
    view.chart(figure, key, alt=alt, zoom=True, spans=steps, fill=True)
    if tardy:
        limit = view.settings.rules.watermark_minutes
        counted = text.counted(view.page, tardy)
        came = tr("{counted} came more than {limit} minutes after the event.", counted=counted, limit=limit)
        st.caption(f"▲ {came}" if late else came)
    view.as_table(
        lambda: [
            {
                tr("Start"): row["start"],
                in_words(many): row["events"],
                tr("So far"): row["cumulative"],
                tr("Came late"): row[LATE_EVENTS],
                **{in_words(measure.name): row[measure.name] for measure in tab.measures},
            }
            for row in reversed(rows)
        ],
        choice_key(view, tab, "timeline"),
        money={in_words(m.name): unit for m in tab.measures if (unit := view.currency(m)) is not None},
    )


def _about(view: View, tab: Timeline, span: str) -> str:
    many = view.page.many
    counted = tr(
        "- Events: the number of clean {many} per {span}, by the time of the event; *cumulative* adds them up",
        many=many,
        span=span,
    )
    clicks = tr(
        "A triangle marks {many} that came late. A click on a point shows its {span} alone, a second click in the "
        "chart takes it back. Zoom in for finer points.",
        many=many,
        span=span,
    )
    return f"{counted}\n{help_text.of_measures(view, tab.measures)}\n\n{clicks}"


def _hover(view: View, tab: Timeline, row: Row) -> str:
    many, step = text.plotly(view.page.many), row[STEP]
    name = SPAN.get(step, "")  # the first and the last point of a zoomed chart stand for what is around it
    span = language.word(name) if name.isalpha() else tr("span")
    lines = [
        f"<b>{language.moment(row['start'], 'minute' if step >= _MINUTE else 'second')}</b>",
        tr("{n} {many} so far", n=text.count(row["cumulative"]), many=many),
        tr("{n} in this {span}", n=text.count(row["events"]), span=span),
        *([tr("{n} of them late", n=text.count(row[LATE_EVENTS]))] if row[LATE_EVENTS] else []),
        *(f"{in_words(m.name)} {text.plotly(view.written(m, row[m.name]))}" for m in tab.measures),
    ]
    return "<br>".join(lines)
