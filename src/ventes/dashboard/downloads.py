"""Every table as CSV: from the browser while it is of a browser's size, by a command however large."""

from __future__ import annotations

import io
import shlex

import streamlit as st

from ventes.contract.tables import ALL
from ventes.dashboard.source import Moment
from ventes.lake import export

BROWSER_ROWS = 250_000
"""Streamlit holds a download in memory; beyond this the command streams it."""


def show(moment: Moment) -> None:
    """A choice of table and its button."""
    names = [table.name for table in ALL if moment.has(table.name)]
    if not names:
        st.caption("There is no table yet.")
        return
    name = str(st.selectbox("Table", names, key="_download"))
    rows = moment[name].rows
    if rows <= BROWSER_ROWS:
        st.download_button(
            f"CSV, {rows:,} rows",
            lambda: _csv(moment, name),
            file_name=f"{name}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )
        st.caption("Or on the command line:")
    else:
        st.caption(f"{rows:,} rows: the command line streams them, with progress.")
    st.code(f"ventes export {shlex.quote(name)} --format csv -o {name}.csv", language="bash", wrap_lines=True)


def _csv(moment: Moment, name: str) -> bytes:
    out = io.BytesIO()
    with export.batches(moment[name]) as (schema, rows):
        export.write_csv(schema, rows, out)
    return out.getvalue()
