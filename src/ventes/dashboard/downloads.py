"""Every table and every result as CSV, whatever its size: streamed to the browser, or written by a command."""

from __future__ import annotations

import html
import shlex
from collections.abc import Hashable

import streamlit as st

from ventes.dashboard import states
from ventes.dashboard.download_links import LINKS, Download, Viewer
from ventes.dashboard.language import tr, tr_n
from ventes.dashboard.login import gate
from ventes.dashboard.source import TableSnapshots
from ventes.query.csv_child import CsvTask
from ventes.query.readable import TableToRead


def show(snapshots: TableSnapshots) -> None:
    """A choice of table, its link and its command."""
    if not gate.person().analyst:
        states.note(tr("Your role, viewer, has no downloads."))
        return
    names = [table.name for table in snapshots.tables.contract.all if snapshots.has(table.name)]
    if not names:
        states.waiting(tr("There is no table yet."))
        return
    name = str(st.selectbox(tr("Table"), names, key="_download"))
    snapshot = snapshots[name]
    offer(
        tr_n("CSV, all {n} row", "CSV, all {n} rows", snapshot.rows),
        ("table", snapshots.key(name)),
        Download(f"{name}.csv", lambda: CsvTask({name: TableToRead.of(snapshot)}), name),
    )
    st.caption(tr("On the command line, with progress:"))
    st.code(f"ventes export {shlex.quote(name)} --format csv -o {name}.csv", language="bash", wrap_lines=True)


def offer(label: str, what: Hashable, download: Download) -> bool:
    """Show a link, or a message why there is none (False). `what` identifies the file."""
    if not gate.person().analyst:
        return False
    if LINKS.prefix is None:
        st.caption(tr("Download links need the page that `ventes start` runs. The command does the same:"))
        return False
    address = LINKS.issue(_viewer(), what, download)
    st.html(f'<a class="ventes-download" href="{html.escape(address)}" download>{html.escape(label)}</a>')
    return True


def keep_links() -> None:
    """Keep this session's links valid. Call it in every run of the page."""
    if LINKS.prefix is not None:
        LINKS.keep(_viewer())


def _viewer() -> Viewer:
    new = Viewer(st.context.headers.get("Host") or "", gate.person().name)
    viewer: Viewer = st.session_state.setdefault(f"{__name__}.viewer", new)
    _connected(viewer)
    return viewer


@st.cache_resource(scope="session", on_release=lambda viewer: viewer.leave(), show_spinner=False)
def _connected(_viewer: Viewer) -> Viewer:
    """Cached per session: Streamlit clears that cache when the browser disconnects, which ends the viewer's links."""
    _viewer.connected = True
    return _viewer
