"""Every table and every result as CSV, however large: streamed to the browser, or by a command."""

from __future__ import annotations

import html
import shlex
from collections.abc import Hashable, Mapping

import streamlit as st

from ventes.contract.tables import ALL
from ventes.dashboard import download_server
from ventes.dashboard.download_server import Chunks, File
from ventes.dashboard.source import Moment
from ventes.deltalog.snapshot import Snapshot
from ventes.query import export, sandbox
from ventes.query.sandbox import Limits

SQL_SECONDS = 3600.0
"""A query whose rows are all asked for is ended after this; what a person looks at has settings.page.sql_seconds."""


def show(moment: Moment) -> None:
    """A choice of table and its link."""
    names = [table.name for table in ALL if moment.has(table.name)]
    if not names:
        st.caption("There is no table yet.")
        return
    name = str(st.selectbox("Table", names, key="_download"))
    snapshot = moment[name]
    offer(f"CSV, all {snapshot.rows:,} rows", ("table", moment.key(name)), File(f"{name}.csv", lambda: _rows(snapshot)))
    st.caption("Or on the command line, with progress:")
    st.code(f"ventes export {shlex.quote(name)} --format csv -o {name}.csv", language="bash", wrap_lines=True)


def offer(label: str, what: Hashable, file: File) -> None:
    """A link that downloads `file`. `what` tells it from other files."""
    address = download_server.link(what, file)
    if address is None:
        st.caption("This server cannot stream files to the browser; the command does.")
        return
    st.html(f'<a class="ventes-download" href="{html.escape(address)}" download>{html.escape(label)}</a>')


def of_query(query: str, tables: Mapping[str, Snapshot], memory_mb: int) -> Chunks:
    """All rows of a query: it runs once more, without a limit of rows. Raises SqlRefused or SqlFailed."""
    with sandbox.stream(query, tables, Limits(SQL_SECONDS, None, memory_mb, None)) as (schema, rows):
        yield from export.csv_chunks(schema, rows)


def _rows(snapshot: Snapshot) -> Chunks:
    with export.batches(snapshot) as (schema, rows):
        yield from export.csv_chunks(schema, rows)
