"""The figures at the top, each with a small line of recent activity."""

from __future__ import annotations

from datetime import date, datetime, timezone

import streamlit as st

from ventes.dashboard import figures, sparkline
from ventes.dashboard.figures import Headline, HeadlineQuery
from ventes.dashboard.query_sources import recent_events, tables_for, views_of
from ventes.dashboard.trend import UNITS, trend
from ventes.dashboard.view import View
from ventes.stream.page import Figure, Records

RECENT = 2000
"""Events behind the small lines."""
MINUTE_SECONDS = 60


def show(view: View) -> None:
    query = figures.headline_query(view.page.figures, view.stream.event)
    used = tables_for(view.snapshots, view.filters, *query.questions)
    today = (view.snapshots.as_of or datetime.now(timezone.utc)).astimezone(view.settings.business_zone).date()
    found = view.shared(("headline", today), used, lambda: _headline(view, query, today))
    lines = view.shared("trend", (view.contract.clean.name,), lambda: _lines(view))
    with st.container(key="figures"):
        cards = st.columns(len(query.figures), gap="small")
    for card, figure, total, day, line in zip(cards, query.figures, found.total, found.day, lines, strict=True):
        with card, st.container(border=True, gap="xsmall"):
            _figure(view, figure, total, day)
            st.html(line)


def _figure(view: View, figure: Figure, total: object, day: object) -> None:
    of_day = view.written(figure.measure, day)
    if isinstance(figure, Records):
        records = total if view.filters.used else view.snapshots[view.contract.bronze.name].rows
        note = f"{of_day} {view.page.many} today" if figure.note is None else figure.note
        _card(figure.label, view.written(figure.measure, records), note, _about(view))
    else:
        note = f"{of_day} today" if figure.note is None else figure.note
        _card(figure.label, view.written(figure.measure, total), note)


def _about(view: View) -> str:
    if view.filters.used:
        return f"{view.page.many.capitalize()} that match the filters."
    return "Messages in Bronze: every one that Kafka delivered, rejected ones included."


def _card(label: str, value: str, note: str, about: str | None = None) -> None:
    st.metric(label, value, delta=note, delta_color="blue", delta_arrow="off", help=about)


def _headline(view: View, query: HeadlineQuery, day: date) -> Headline:
    with view.snapshots.tables.connection() as con:
        return query.of(con, day, views_of(con, view.snapshots, view.filters, *query.questions))


def _lines(view: View) -> list[str]:
    """The small line of each figure, as HTML."""
    recent = recent_events(view.snapshots, view.filters, RECENT)
    found = trend(recent, view.page.figures, complete=view.snapshots[view.contract.clean.name].rows <= RECENT)
    zone = view.settings.business_zone
    times = [
        datetime.fromtimestamp(start, zone) for start in (*found.starts, *(s + found.unit for s in found.starts[-1:]))
    ]
    below, said = "", [""] * len(found.starts)
    if times:
        days = times[0].date() != times[-1].date()
        clock = "%H:%M" if found.unit >= MINUTE_SECONDS else "%H:%M:%S"
        ends = "%m-%d" if days else clock
        below = f"per {UNITS[found.unit]}, {times[0]:{ends}} – {times[-1]:{ends}}"
        said = [f"{time:{f'%m-%d {clock}' if days else clock}}" for time in times[:-1]]
    return [
        sparkline.html(
            line, [f"{time}: {_short(value)}" for time, value in zip(said, line, strict=False)], below if line else ""
        )
        for line in found.lines
    ]


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}".removesuffix(".00")
