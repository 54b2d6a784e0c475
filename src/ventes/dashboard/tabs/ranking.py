"""The largest combinations of some fields."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures
from ventes.dashboard.questions import Grouped, Row
from ventes.dashboard.tabs.hovers import axis_of, choice_key, hover, key_of, title_of
from ventes.dashboard.view import View
from ventes.stream.page import Ranking, in_words


def render(tab: Ranking, view: View) -> None:
    ranks = {rank.measure: rank for rank in tab.ranked}
    by = view.choice("Ranked by", tuple(ranks), choice_key(view, tab, "rank")) if len(ranks) > 1 else next(iter(ranks))
    rank = ranks.get(by, tab.ranked[0])
    measure = next(measure for measure in tab.measures if measure.name == rank.measure)
    asked = Grouped(tab.by, tab.measures)
    rows = view.shared(
        (tab, rank.measure),
        view.answered_by(asked.question(view.stream.event)),
        lambda: _rows(view, tab, asked, measure.name),
    )
    if not rows:
        view.nothing()
        return
    figure = charts.bars(
        [key_of(row[tab.named]) for row in rows],
        [float(row[measure.name] or 0) for row in rows],
        [hover(view, tab.hover, tab.by, tab.named, tab.measures, row) for row in rows],
        title_of(view, rank.axis or in_words(measure.name), measure),
        axis_of(view, measure),
    )
    heading = rank.heading or f"Largest {view.page.label(tab.named).plural} by {measure.name}"
    st.subheader(heading)
    view.chart(figure, f"ranking-{rank.measure}", alt=tab.alt or f"Bar chart: {heading}")


def _rows(view: View, tab: Ranking, asked: Grouped, by: str) -> list[Row]:
    with view.sums(asked.question(view.stream.event)) as con:
        return figures.grouped(con, asked, view.stream.event, by, tab.most)
