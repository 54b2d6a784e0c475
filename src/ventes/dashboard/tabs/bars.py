"""A bar for each value of a field, and all values as a table."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ventes.dashboard import charts, explained, figures, help_text, text
from ventes.dashboard.language import in_words, tr
from ventes.dashboard.questions import Grouped, Row
from ventes.dashboard.tabs.hovers import axis_of, beside, hover, key_of, pick_of, title_of
from ventes.dashboard.view import View
from ventes.stream.measures import Count, Measure, Sum
from ventes.stream.page import Bars

SHOWN = 25


def render(tab: Bars, view: View) -> None:
    asked = Grouped((tab.by,), tab.measures)
    rows = view.shared(tab, view.answered_by(asked.question(view.stream.event)), lambda: _rows(view, tab, asked))
    if not rows:
        view.nothing()
        return
    first, label = tab.measures[0], view.page.label(tab.by)
    axis = tab.axis or in_words(first.name)
    figure = charts.bars(
        [key_of(row[tab.by]) for row in rows[:SHOWN]],
        [float(row[first.name] or 0) for row in rows[:SHOWN]],
        [hover(view, tab.hover, (tab.by,), tab.by, tab.measures, row) for row in rows[:SHOWN]],
        title_of(view, axis, first),
        axis_of(view, first),
        beside(view, first, [row[first.name] for row in rows], _total(rows, first))[:SHOWN],
    )
    heading = tr("{what} by {field}", what=axis, field=label.one.lower())
    help_text.heading(
        view,
        heading,
        label.slug,
        f"{tr('For each {field}:', field=text.markdown(label.one.lower()))}\n"
        f"{help_text.of_measures(view, tab.measures)}\n\n{help_text.of_clicks()}",
        view.answered_by(asked.question(view.stream.event)),
        explained.bars(tab, view.stream.event, view.contract.clean.name, view.filters),
    )
    picks = [pick_of((tab.by,), row) for row in rows[:SHOWN]]
    view.chart(
        figure,
        label.slug,
        alt=tr("Bar chart of {what}", what=f"{heading[:1].lower()}{heading[1:]}"),
        picks=picks,
        fill=True,
    )
    if len(rows) > SHOWN:
        many = label.plural
        st.caption(
            tr(
                "The {n} largest of {all} {many}; all of them in the table.",
                n=SHOWN,
                all=text.count(len(rows)),
                many=many,
            )
        )
    columns = {in_words(measure.name): measure for measure in tab.measures}
    view.as_table(
        lambda: [
            {
                label.one: text.cell(key_of(row[tab.by])),
                **{name: row[measure.name] for name, measure in columns.items()},
            }
            for row in rows
        ],
        label.slug,
        money={name: unit for name, measure in columns.items() if (unit := view.currency(measure)) is not None},
    )


def _total(rows: list[Row], measure: Measure) -> Any:
    """Of all rows; of no use for a measure that does not add up."""
    return sum(row[measure.name] or 0 for row in rows) if isinstance(measure, Count | Sum) else None


def _rows(view: View, tab: Bars, asked: Grouped) -> list[Row]:
    with view.sums(asked.question(view.stream.event)) as con:
        return figures.grouped(con, asked, view.stream.event, tab.measures[0].name)
