"""The figures at the top, each with a small line of recent activity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone

import streamlit as st

from ventes.dashboard import figures
from ventes.dashboard.figures import Headline, HeadlineQuery
from ventes.dashboard.query_sources import recent_events, tables_for, views_of
from ventes.dashboard.view import View
from ventes.stream.page import Figure, Records

RECENT = 2000
"""Events behind the small lines."""


def show(view: View) -> None:
    query = figures.headline_query(view.page.figures, view.stream.event)
    used = tables_for(view.snapshots, view.filters, *query.questions)
    today = (view.snapshots.as_of or datetime.now(timezone.utc)).astimezone(view.settings.business_zone).date()
    found = view.shared(("headline", today), used, lambda: _headline(view, query, today))
    lines = view.shared("trend", (view.contract.clean.name,), lambda: _trend(view))
    with st.container(key="figures"):
        cards = st.columns(len(query.figures), gap="small")
    for card, figure, total, day, line in zip(cards, query.figures, found.total, found.day, lines, strict=True):
        with card:
            _figure(view, figure, total, day, line)


def _figure(view: View, figure: Figure, total: object, day: object, line: Sequence[float]) -> None:
    of_day = view.written(figure.measure, day)
    if isinstance(figure, Records):
        records = total if view.filters.used else view.snapshots[view.contract.bronze.name].rows
        note = f"{of_day} {view.page.many} today" if figure.note is None else figure.note
        _card(figure.label, view.written(figure.measure, records), note, line, _about(view))
    else:
        note = f"{of_day} today" if figure.note is None else figure.note
        _card(figure.label, view.written(figure.measure, total), note, line)


def _about(view: View) -> str:
    if view.filters.used:
        return f"{view.page.many.capitalize()} that match the filters."
    return "Messages in Bronze: every one that Kafka delivered, rejected ones included."


def _card(label: str, value: str, note: str, line: Sequence[float], about: str | None = None) -> None:
    st.metric(
        label,
        value,
        delta=note,
        delta_color="blue",
        delta_arrow="off",
        border=True,
        chart_data=line or None,
        chart_type="area",
        help=about,
    )


def _headline(view: View, query: HeadlineQuery, day: date) -> Headline:
    with view.snapshots.tables.connection() as con:
        return query.of(con, day, views_of(con, view.snapshots, view.filters, *query.questions))


def _trend(view: View) -> list[list[float]]:
    return figures.trend(recent_events(view.snapshots, view.filters, RECENT), view.page.figures)
