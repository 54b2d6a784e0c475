"""One SELECT in Spark's dialect, over bronze_data and the Silver tables; the answer as table, chart and CSV.

A query in the address is run only after a click: opening a link must not run another person's query.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import streamlit as st

from ventes.dashboard import downloads, language, states, text
from ventes.dashboard.download_links import Download
from ventes.dashboard.language import tr, tr_n
from ventes.dashboard.login import gate
from ventes.dashboard.spark import Result, ask, counts_of, offered, tables_read
from ventes.dashboard.view import View
from ventes.errors import VentesError
from ventes.query.csv_child import CsvTask
from ventes.query.readable import TableToRead
from ventes.stream.measures import Count, Distinct, Sum

LABEL = "SQL"
LIVE = False
"""Runs on request, not at each refresh."""


def render(view: View) -> None:
    page = view.settings.page
    if not (page.sql and gate.person().analyst):
        states.empty(tr("SQL is switched off here (page.sql in ventes.toml, or your role)."))
        return
    st.subheader(tr("Ask the tables"))
    examples = {example.label: example.sql for example in view.page.examples}
    st.selectbox(
        tr("Examples"),
        list(examples),
        index=None,
        key="_example",
        placeholder=tr("Choose one to start from"),
        on_change=_take_example,
        args=(examples,),
    )
    query = st.text_area(
        tr("One SELECT, in Spark's dialect"),
        key="q",
        height=160,
        bind="query-params",
        placeholder="SELECT … FROM bronze_data …",
        on_change=_run,
    )
    st.button(
        tr("Run"),
        type="primary",
        icon=":material/play_arrow:",
        help=tr("Or press Ctrl+Enter in the text."),
        on_click=_run,
    )
    st.caption(
        tr(
            "Tables: {tables}. At most {seconds} s, {rows} rows, {mb} MB.",
            tables=", ".join(f"`{name}`" for name in offered(view.snapshots)),
            seconds=f"{page.sql_seconds:g}",
            rows=text.count(page.sql_rows),
            mb=page.sql_memory_mb,
        )
    )
    if not query or not query.strip():
        if _TO_RUN in st.session_state:
            states.note(tr("Write a SELECT above, or choose an example."))
        return
    if st.session_state.get(_TO_RUN) != query:
        states.note(tr("This query came with the address. *Run* runs it."))
        return
    gate.note("sql", query=query)
    try:
        with states.loading():
            answer = ask(view.snapshots, query)
    except VentesError as error:
        states.wrong(error, 600)
        return
    _shown(view, query, answer.table, answer.truncated, answer.seconds)


_TO_RUN = f"{__name__}.to_run"
"""Key of the session's state: the query that the viewer asked to run."""


def open_with(query: str) -> None:
    """Open this tab with `query` and run it: the callback of a button."""
    st.session_state.update({"tab": language.word(LABEL), "q": query, _TO_RUN: query})


def _run() -> None:
    st.session_state[_TO_RUN] = st.session_state.get("q")


def _take_example(examples: dict[str, str]) -> None:
    chosen = st.session_state.get("_example")
    if chosen in examples:
        st.session_state["q"] = examples[chosen]
        _run()


def _shown(view: View, query: str, table: pa.Table, truncated: bool, seconds: float) -> None:
    more = tr_n("{n} row", "{n} rows", table.num_rows)
    if truncated:
        more = tr("the first {n} rows", n=text.count(table.num_rows))
    st.caption(f"{more}, {seconds:.2f} s")
    view.table(_for_the_grid(table), "sql", formats=_formats(table, _counted(view, query)))
    numbers = [f.name for f in table.schema if _is_number(f.type)]
    if numbers and 1 < table.num_rows <= 1000:
        kind = view.choice(tr("Chart"), ("bar", "line", "none"), "chart")
        frame = Result(table).to_pandas()
        frame = frame[[name for name in frame.columns if name in numbers]]
        if kind == "bar" and len(frame.columns):
            st.bar_chart(frame, sort=False)  # in the order of the query
        elif kind == "line" and len(frame.columns):
            st.line_chart(frame)
    _offer_file(view, query, table.num_rows, truncated)


def _offer_file(view: View, query: str, rows: int, truncated: bool) -> None:
    tables = tables_read(query, view.snapshots)

    def task() -> CsvTask:
        read = {name: TableToRead.of(table) for name, table in tables.items()}
        return CsvTask(read, query, view.settings.page.sql_memory_mb)

    linked = downloads.offer(
        tr("CSV, all rows") if truncated else tr_n("CSV, all {n} row", "CSV, all {n} rows", rows),
        ("sql", query, view.snapshots.key(*(table.table.name for table in tables.values()))),
        Download(f"{view.stream.name}.csv", task, query),
    )
    if truncated or not linked:
        if linked:
            st.caption(tr("For all rows the query runs once more, for at most an hour. Or on the command line:"))
        st.code(f"ventes query {shlex.quote(query)} --format csv > result.csv", language="bash", wrap_lines=True)


def _counted(view: View, query: str) -> frozenset[str]:
    """Names of counts and sums: those of the query, and the measures of the roll-ups."""
    measures = {
        measure.name
        for table in view.stream.tables
        for measure in table.measures
        if isinstance(measure, Count | Sum | Distinct)
    }
    return frozenset({*counts_of(query, view.snapshots), *measures})


def _formats(table: pa.Table, counted: Collection[str]) -> dict[str, str]:
    """Counts and sums with separators; other integers as they are: a year, an id."""
    return {
        field.name: "%,d" if field.name.lower() in counted or _COUNT.match(field.name) else "%d"
        for field in table.schema
        if pa.types.is_integer(field.type)
    }


_COUNT = re.compile(r"(?i)(count|sum)\w*\(")
"""A count without a name of its own."""


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _for_the_grid(table: pa.Table) -> pa.Table:
    """Numbers and times as they are, all else as text that is safe to show."""
    return pa.table(dict(zip(table.column_names, map(_safe, table.columns), strict=True)))


def _safe(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    kind = column.type
    if _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column
    return pa.array([_text(value) for value in column.to_pylist()], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return text.raw(value, 300)
    if isinstance(value, list | dict):
        return text.cell(json.dumps(value, ensure_ascii=False, default=str))
    return None if value is None else text.cell(str(value))
