"""The "?" beside a figure or a chart: what it counts, from which table, and the SQL that gives the same."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import explained, figures, text
from ventes.dashboard.language import in_words, tr
from ventes.dashboard.query_sources import tables_for
from ventes.dashboard.tabs import sql
from ventes.dashboard.view import View
from ventes.stream.measures import Count, Distinct, Max, Mean, Measure, Min, OfField, Share, Sum
from ventes.stream.page import Figure, Records


def figure(view: View, shown: Figure, number: int) -> None:
    """Of the figure `shown`, the one with this number."""

    def read() -> tuple[str, ...]:
        query = figures.headline_query(view.page.figures, view.stream.event)
        return tables_for(view.snapshots, view.filters, query.question_of(number))

    key = f"figure{number}"
    box = st.popover("?", key=f"help-{key}", type="tertiary", on_change="rerun")
    if not box.open:
        return
    with box:
        bronze = isinstance(shown, Records) and not view.filters.used
        if bronze:
            st.markdown(tr("Messages in Bronze: every one that Kafka delivered, rejected ones included."))
        else:
            what = of_measure(view, shown.measure)
            st.markdown(tr("{what} that pass the filters.", what=what) if view.filters.used else f"{what}.")
        tables = (view.contract.bronze.name,) if bronze else read()
        _sources(view, key, tables, explained.figure(shown, view.stream.event, view.contract.clean.name, view.filters))
        st.caption(
            tr(
                "The change compares the period until the start of this minute with the same time of the earlier day; "
                "the small line has whole units of time."
            )
        )


def heading(view: View, title: str, key: str, about: str, tables: tuple[str, ...], query: str) -> None:
    """The heading of a chart, and its "?". `about`: what it counts, as a sentence; `query`: "" where no SQL is."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"heading-{key}"):
        st.subheader(title, width="content")
        box = st.popover("?", key=f"help-{key}", type="tertiary", on_change="rerun")
    if box.open:
        with box:
            st.markdown(about)
            _sources(view, key, tables, query)


def of_measure(view: View, measure: Measure) -> str:
    """What a measure counts, as the beginning of a sentence, in Markdown."""
    many = view.page.many
    if isinstance(measure, Count):
        return tr("The number of clean {many}", many=many)
    if isinstance(measure, Share):
        condition = text.markdown(measure.where)
        return tr("The share of clean {many} for which {condition}, half up to 0.1%", many=many, condition=condition)
    assert isinstance(measure, OfField)
    name = text.markdown(measure.field)
    said: dict[type[Measure], str] = {
        Sum: tr("The exact sum of {field} of the clean {many}", field=name, many=many),
        Mean: tr("The exact mean of {field} of the clean {many}, rounded half up", field=name, many=many),
        Min: tr("The smallest {field} of the clean {many}", field=name, many=many),
        Max: tr("The largest {field} of the clean {many}", field=name, many=many),
        Distinct: tr("How many different values of {field} the clean {many} have", field=name, many=many),
    }
    return said[type(measure)]


def of_clicks() -> str:
    """What a click on a bar does."""
    return tr("A click on a bar filters the page by it; a second click takes it back.")


def of_measures(view: View, measures: tuple[Measure, ...]) -> str:
    """The same of several, one to a line, in Markdown."""
    return "\n".join(f"- {text.markdown(in_words(one.name))}: {of_measure(view, one)}" for one in measures)


def _sources(view: View, key: str, tables: tuple[str, ...], query: str) -> None:
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(tables))
    st.markdown(tr("Read from {tables}.", tables=names))
    if not query:
        return
    st.markdown(tr("The same in SQL:"))
    st.code(query, language="sql", wrap_lines=True)
    if view.settings.page.sql and st.button(
        tr("Run it on the SQL tab"), key=f"_run-{key}", icon=":material/play_arrow:", on_click=sql.open_with,
        args=(query,),
    ):  # fmt: skip
        st.rerun()  # the tabs are outside of this fragment
