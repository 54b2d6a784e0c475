"""The largest combinations of some fields."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.questions import Grouped, Row
from ventes.dashboard.tabs.hovers import axis_of, beside, choice_key, hover, key_of, title_of
from ventes.dashboard.view import View
from ventes.stream.kinds import Integer
from ventes.stream.measures import Measure
from ventes.stream.page import Ranking, in_words


def render(tab: Ranking, view: View) -> None:
    ranks = {rank.measure: rank for rank in tab.ranked}
    by = view.choice("Ranked by", tuple(ranks), choice_key(view, tab, "rank")) if len(ranks) > 1 else next(iter(ranks))
    rank = ranks.get(by, tab.ranked[0])
    measure = next(measure for measure in tab.measures if measure.name == rank.measure)
    asked = Grouped(tab.by, tab.measures)
    rows, total = view.shared(
        (tab, rank.measure),
        view.answered_by(asked.question(view.stream.event)),
        lambda: _rows(view, tab, asked, measure),
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
        beside(view, measure, [row[measure.name] for row in rows], total),
    )
    heading = rank.heading or f"Largest {view.page.label(tab.named).plural} by {measure.name}"
    st.subheader(heading)
    view.chart(figure, f"ranking-{rank.measure}", alt=tab.alt or f"Bar chart: {heading}")
    names = {name: view.page.label(name).one for name in tab.by}
    view.as_table(
        lambda: [
            {
                **{label: _cell(row[name]) for name, label in names.items()},
                **{in_words(measure.name): row[measure.name] for measure in tab.measures},
            }
            for row in rows
        ],
        choice_key(view, tab, "ranking"),
        money={in_words(m.name): unit for m in tab.measures if (unit := view.currency(m)) is not None},
        formats={label: "%d" for name, label in names.items() if isinstance(view.stream.event.field(name), Integer)},
    )


def _cell(value: object) -> object:
    """An integer stays one, so that the column sorts as numbers."""
    return value if isinstance(value, int) and not isinstance(value, bool) else text.cell(key_of(value))


def _rows(view: View, tab: Ranking, asked: Grouped, by: Measure) -> tuple[list[Row], Any]:
    """The rows of the largest, and the value of all together."""
    event = view.stream.event
    with view.sums(asked.question(event)) as con:
        return figures.grouped(con, asked, event, by.name, tab.most), figures.of_all(con, by, event)
