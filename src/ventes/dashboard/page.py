"""The page, in order: line at the top, figures, tabs. `render()` is one run of the script for one session.

The parts that refresh automatically are Streamlit fragments: they run on a timer and cache their results by table
version, so they compute nothing while nothing was committed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import address, downloads, freshness, headline, page_state, sidebar, style, text
from ventes.dashboard.board import Board, OwnTab, tabs_to_show
from ventes.dashboard.own_tabs import tab_of, tabs_of
from ventes.dashboard.page_state import AskStatus, PageState
from ventes.dashboard.source import NotReadable
from ventes.dashboard.spark import Spark
from ventes.dashboard.tabs import Tab, bars, delays, ranking, raw, rejects, sql, timeline
from ventes.dashboard.view import View
from ventes.errors import VentesError
from ventes.runtime.umask import keep_private
from ventes.stream import page as declared

GUIDE = 4
"""The first built-in tabs are tab1 … tab4 of streamlit_dashboard.py."""
LINE_SECONDS = 5
"""The line at the top is refreshed at least this often, however slowly the figures are."""
IDLE_SECONDS = 60
"""A paused page runs this often, which keeps its download links valid."""


def render(own_tabs: Sequence[str] = (), ask_status: AskStatus | None = None) -> Board:
    """Draw the page.

    `own_tabs`: labels of tabs that the script itself may fill; unused ones are not shown. `ask_status` asks the
    pipeline's services; without it (a script of an earlier release calls this function itself) COMPOSED_BY has it.
    """
    keep_private()
    try:
        settings = page_state.settings_in_force()
        title = settings.stream.shown.title
    except VentesError as error:
        st.set_page_config(page_icon=style.ICON, layout="wide")
        st.error(text.markdown(text.problem(error), 900), icon=":material/settings_alert:")
        st.stop()
    st.set_page_config(page_title=title, page_icon=style.ICON, layout="wide")
    state = page_state.state_of(settings, ask_status or page_state.composed_ask_status())
    state.heartbeat.beat()
    st.html(style.SHEET)
    st.title(title, anchor=False)
    choices = sidebar.show(settings, state.tables)
    for sentence in choices.refused:
        st.warning(sentence, icon=":material/link_off:")
    every = None if choices.as_of else choices.refresh_seconds

    def read() -> View:
        snapshots = state.tables.read_shared(choices.as_of)
        return View(settings, snapshots, choices.filters, Spark(snapshots))

    # what an earlier view shows stays the same: only its age is counted on
    view: Callable[[], View] = read if choices.as_of is None else cache(read)
    line = st.container(
        key="status"
    )  # filled last: the pipeline's status may take seconds, and the figures must not wait for it
    st.fragment(_figures, run_every=every, key="figures")(view)
    shown = _tabs(settings, own_tabs, every, view)
    with line:
        line_every = min(every or LINE_SECONDS, LINE_SECONDS)
        st.fragment(_line, run_every=line_every, key="line")(view, choices, state)
    spark = Spark(view().snapshots)
    _exempt_loaded_modules_from_collection()
    st.fragment(_pulse, run_every=every or IDLE_SECONDS, key="pulse")(state, spark, follow=every is not None)
    return Board(spark, shown)


def built_in(settings: Settings) -> list[Tab]:
    """The declared tabs, then those of every page."""
    folder = settings.declaration.parent
    modules: list[Any] = [rejects, delays, *([sql] if settings.page.sql else [])]
    return [
        *(_declared(tab, folder) for tab in settings.stream.shown.tabs),
        *(Tab(module.LABEL, module.render, getattr(module, "LIVE", True)) for module in modules),
    ]


_RENDERED: Mapping[type[declared.Tab], Callable[[Any, View], None]] = {
    declared.Bars: bars.render,
    declared.Ranking: ranking.render,
    declared.Timeline: timeline.render,
    declared.Raw: raw.render,
}


def _declared(tab: declared.Tab, folder: Path) -> Tab:
    if isinstance(tab, declared.TabFile):
        return replace(tab_of(folder / tab.file), label=tab.label)
    return Tab(tab.label, partial(_RENDERED[type(tab)], tab))


def _tabs(settings: Settings, own: Sequence[str], every: int | None, view: Callable[[], View]) -> list[Any]:
    """Draw all tabs, and fill the one that is open; returns the tabs for the script: tab1 … tab4, then its own."""
    ours, from_files = built_in(settings), tabs_of(settings.tabs)
    tabs = [*ours, *from_files]
    labels = [*(tab.label for tab in ours), *(text.markdown(tab.label, 40) for tab in from_files)]
    mine = tabs_to_show(own)
    missing = address.refused("tab", frozenset([*labels, *mine]).__contains__)
    if missing and st.session_state.get("tab", labels[0]) == labels[0]:
        st.warning(address.sentence("Tab", missing, f"{labels[0]} is shown"), icon=":material/link_off:")
    containers = st.tabs([*labels, *mine], key="tab", bind="query-params")
    for number, (tab, container) in enumerate(zip(tabs, containers, strict=False)):
        if container.open:
            with container:
                st.fragment(_tab, run_every=every if tab.live else None, key=f"tab-{number}")(tab, view)
    shown = dict(zip(mine, containers[len(tabs) :], strict=True))
    return [*containers[:GUIDE], *(OwnTab(label, shown.get(label)) for label in own)]


@cache
def _exempt_loaded_modules_from_collection() -> None:
    """Once: Streamlit collects garbage after every run, through all that the process has loaded. That took 60–100 ms of
    each refresh and of each new viewer, most of it for modules, which stay anyway."""
    gc.collect()
    gc.freeze()


def _line(view: Callable[[], View], choices: sidebar.Choices, state: PageState) -> None:
    _guarded(lambda: freshness.show(view(), choices, state.status))


def _figures(view: Callable[[], View]) -> None:
    _guarded(lambda: headline.show(view()))


def _tab(tab: Tab, view: Callable[[], View]) -> None:
    def show() -> None:
        found = view()
        if found.snapshots.by_name or not found.snapshots.absent:  # otherwise the figures say why there is nothing
            tab.render(found)

    _guarded(show)


def _pulse(state: PageState, spark: Spark, follow: bool) -> None:
    """Draws nothing. The script's own output is outside the fragments: the script is run again if it queried tables
    that have changed (`follow`: unless the page is paused)."""
    state.heartbeat.beat()
    downloads.keep_links()
    if follow and spark.used and state.tables.read_shared().versions != spark.versions:
        st.rerun()


def _guarded(show: Callable[[], None]) -> None:
    """Shows a message for a table that cannot be read now; the next refresh tries again."""
    try:
        show()
    except NotReadable as reason:
        st.info(text.markdown(str(reason), 400), icon=":material/hourglass_empty:")
    except VentesError as error:
        st.error(text.markdown(text.problem(error), 400), icon=":material/error:")
