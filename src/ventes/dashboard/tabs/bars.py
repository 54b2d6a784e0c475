"""A bar for each of the largest values of a field, and more of them as a table."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, explained, figures, help_text, query_sources, text
from ventes.dashboard.figures import Overall
from ventes.dashboard.language import in_words, tr
from ventes.dashboard.questions import Grouped, Question, Row
from ventes.dashboard.tabs.hovers import axis_of, beside, hover, key_of, pick_of, title_of
from ventes.dashboard.view import View
from ventes.stream.page import Bars

SHOWN = 25
LISTED = 1_000
"""Rows of the table, which are asked for while it is open: a field may have 400,000 values, whose rows took a second of
each refresh."""


def render(tab: Bars, view: View) -> None:
    asked = Grouped((tab.by,), tab.measures)
    question, stored = view.grouped(asked)
    tables = view.answered_by(question)
    rows, overall = view.shared(tab, tables, lambda: _found(view, tab, asked, question, stored, SHOWN))
    if not rows:
        view.nothing()
        return
    first, label = tab.measures[0], view.page.label(tab.by)
    axis = tab.axis or in_words(first.name)
    figure = charts.bars(
        [key_of(row[tab.by]) for row in rows],
        [float(row[first.name] or 0) for row in rows],
        [hover(view, tab.hover, (tab.by,), tab.by, tab.measures, row) for row in rows],
        title_of(view, axis, first),
        axis_of(view, first),
        beside(view, first, [row[first.name] for row in rows], overall.total),
    )
    heading = tr("{what} by {field}", what=axis, field=label.one.lower())
    help_text.heading(
        view,
        heading,
        label.slug,
        f"{tr('For each {field}:', field=text.markdown(label.one.lower()))}\n"
        f"{help_text.of_measures(view, tab.measures)}\n\n{help_text.of_clicks()}",
        tables,
        explained.bars(tab, view.stream.event, view.contract.clean.name, view.filters),
    )
    picks = [pick_of((tab.by,), row) for row in rows]
    view.chart(
        figure,
        label.slug,
        alt=tr("Bar chart of {what}", what=f"{heading[:1].lower()}{heading[1:]}"),
        picks=picks,
        fill=True,
    )
    if overall.combinations > SHOWN:
        of_all = {"n": SHOWN, "all": text.count(overall.combinations), "many": label.plural}
        st.caption(
            tr("The {n} largest of {all} {many}; all of them in the table.", **of_all)
            if overall.combinations <= LISTED
            else tr("The {n} largest of {all} {many}; {m} in the table.", m=text.count(LISTED), **of_all)
        )
    columns = {in_words(measure.name): measure for measure in tab.measures}
    view.as_table(
        lambda: [
            {
                label.one: text.cell(key_of(row[tab.by])),
                **{name: row[measure.name] for name, measure in columns.items()},
            }
            for row in view.shared((tab, LISTED), tables, lambda: _found(view, tab, asked, question, stored, LISTED)[0])
        ],
        label.slug,
        money={name: unit for name, measure in columns.items() if (unit := view.currency(measure)) is not None},
    )


def _found(
    view: View, tab: Bars, asked: Grouped, question: Question, stored: bool, most: int
) -> tuple[list[Row], Overall]:
    """The rows of the largest, at most so many, and what all of them are together."""
    first, event = tab.measures[0], view.stream.event
    if stored:
        order = figures.largest_first(asked, first, event)
        with view.snapshots.tables.connection() as con:
            kept = query_sources.first_rows(con, view.snapshots, view.filters, question, order, LISTED)
            if kept is not None:
                con.register("grouped", kept.first)
                con.register("totals", kept.totals)
                largest = figures.grouped(con, asked, event, first.name, most, stored=True)
                return largest, figures.overall_of(con, first)
    with view.sums(question) as con:
        largest = figures.grouped(con, asked, event, first.name, most, stored=stored)
        return largest, figures.overall(con, asked, first, event, stored=stored)
