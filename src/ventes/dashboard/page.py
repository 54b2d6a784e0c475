"""The page, in order: line at the top, figures, tabs. `render()` is one run of the script for one session.

The parts that refresh automatically are Streamlit fragments: they run on a timer and cache their results by table
version, so they compute nothing while nothing was committed.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import (
    address,
    chips,
    downloads,
    freshness,
    headline,
    language,
    page_state,
    page_tools,
    script_run,
    sidebar,
    states,
    style,
    text,
    translated,
    wall,
)
from ventes.dashboard.board import Board, OwnTab, tabs_to_show
from ventes.dashboard.language import tr
from ventes.dashboard.login import gate
from ventes.dashboard.own_tabs import tab_of, tabs_of
from ventes.dashboard.page_heartbeat import PageHeartbeat
from ventes.dashboard.page_state import AskStatus, PageState
from ventes.dashboard.source import NotReadable
from ventes.dashboard.spark import Spark
from ventes.dashboard.tabs import Tab, alerts, bars, delays, ranking, raw, rejects, sql, timeline
from ventes.dashboard.view import View
from ventes.errors import VentesError
from ventes.runtime.umask import keep_private
from ventes.stream import page as declared
from ventes.stream.page import SYSTEM_TABS

GUIDE = 4
"""The first built-in tabs are tab1 … tab4 of streamlit_dashboard.py."""
LINE_SECONDS = 5
"""The line at the top is refreshed at least this often, however slowly the figures are."""
WALL_TICK_SECONDS = 1
"""How exactly the wall view keeps its time."""
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
        settings.stream.shown  # noqa: B018 - raises for a declaration that cannot be used
    except VentesError as error:
        st.set_page_config(page_icon=style.ICON, layout="wide")
        states.wrong(error, 900)
        script_run.end()
    language.begin(settings)
    title = translated.page_of(settings.stream).title
    on_a_wall = wall.asked_for()
    st.set_page_config(page_title=title, page_icon=style.ICON, layout="wide")
    person = gate.admit(settings)  # ends the run for everybody who may not come in
    state = page_state.state_of(settings, ask_status or page_state.composed_ask_status())
    state.heartbeat.beat(_session(state.heartbeat))
    st.html(style.SHEET + (style.WALL if on_a_wall else ""))
    with st.container(key="top", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(title, anchor=False)
        wide = page_tools.show(on_a_wall)
    settings = gate.for_role(settings, person)
    choices = sidebar.show(settings, state)
    gate.account(person)
    for sentence in choices.refused:
        states.refused(sentence)
    every = None if choices.as_of else choices.refresh_seconds

    def read() -> View:
        snapshots = state.tables.read_shared(choices.as_of)
        now = snapshots.as_of or datetime.now(timezone.utc)
        filters = choices.period.narrowed(choices.filters, now, settings.business_zone)
        return View(settings, snapshots, filters, Spark(snapshots))

    # what an earlier view shows stays the same: only its age is counted on
    view: Callable[[], View] = read if choices.as_of is None else cache(read)
    line = st.container(
        key="status"
    )  # filled last: the pipeline's status may take seconds, and the figures must not wait for it
    chips.show(choices.chips)
    gate.fragment(_figures, run_every=every, key="figures")(view, state)
    shown = _tabs(settings, state, own_tabs, every, view, wide, on_a_wall)
    with line:
        line_every = min(every or LINE_SECONDS, LINE_SECONDS)
        gate.fragment(_line, run_every=line_every, key="line")(view, choices, state)
    spark = Spark(view().snapshots)
    _exempt_loaded_modules_from_collection()
    gate.fragment(_pulse, run_every=every or IDLE_SECONDS, key="pulse")(state, spark, follow=every is not None)
    return Board(spark, shown)


def built_in(settings: Settings, wide: bool = False) -> list[Tab]:
    """The declared tabs, then those of every page, in the viewer's language."""
    folder = settings.declaration.parent
    modules: list[Any] = [
        rejects,
        delays,
        *([sql] if settings.page.sql else []),
        *([alerts] if settings.alerts else []),
    ]
    declared_tabs = translated.page_of(settings.stream).tabs
    timeline_tab = next((tab for tab in declared_tabs if isinstance(tab, declared.Timeline)), None)
    return [
        *(_declared(tab, folder, timeline_tab if wide else None) for tab in declared_tabs),
        *(Tab(language.word(module.LABEL), module.render, getattr(module, "LIVE", True)) for module in modules),
    ]


_RENDERED: Mapping[type[declared.Tab], Callable[[Any, View], None]] = {
    declared.Bars: bars.render,
    declared.Ranking: ranking.render,
    declared.Timeline: timeline.render,
    declared.Raw: raw.render,
}


def _declared(tab: declared.Tab, folder: Path, beside: declared.Timeline | None) -> Tab:
    """`beside`: stands at the right of bars, where the window is wide."""
    if isinstance(tab, declared.TabFile):
        return replace(tab_of(folder / tab.file), label=tab.label)
    if isinstance(tab, declared.Bars) and beside is not None:
        return Tab(tab.label, partial(_side_by_side, tab, beside))
    return Tab(tab.label, partial(_RENDERED[type(tab)], tab))


def _side_by_side(left: declared.Bars, right: declared.Timeline, view: View) -> None:
    first, second = st.columns(2, gap="medium")
    with first:
        bars.render(left, view)
    with second:
        timeline.render(right, view)


def _tabs(
    settings: Settings,
    state: PageState,
    own: Sequence[str],
    every: int | None,
    view: Callable[[], View],
    wide: bool,
    on_a_wall: bool,
) -> list[Any]:
    """Draw all tabs, and fill the one that is open; returns the tabs for the script: tab1 … tab4, then its own.

    `settings`: those of the viewer's role.
    """
    ours, from_files = built_in(settings, wide and not on_a_wall), tabs_of(settings.tabs)
    tabs = [*ours, *from_files]
    labels = [*(tab.label for tab in ours), *(text.markdown(tab.label, 40) for tab in from_files)]
    mine = tabs_to_show(own)
    names = [*(tab.label for tab in settings.stream.shown.tabs), *SYSTEM_TABS, alerts.LABEL]
    address.adopt("tab", {name: language.word(name) for name in names}, language.word)
    missing = address.refused("tab", frozenset([*labels, *mine]).__contains__)
    if missing and st.session_state.get("tab", labels[0]) == labels[0]:
        states.refused(address.sentence(tr("Tab"), missing, tr("{tab} is shown", tab=labels[0])))
    if on_a_wall:
        wall.turn(translated.page_of(settings.stream).tabs, settings.page.wall_seconds)
        gate.fragment(wall.run_again_when_due, run_every=WALL_TICK_SECONDS, key="wall")()
    containers = st.tabs([*labels, *mine], key="tab", bind="query-params")
    for number, (tab, container) in enumerate(zip(tabs, containers, strict=False)):
        if container.open:
            with container:
                gate.fragment(_tab, run_every=every if tab.live else None, key=f"tab-{number}")(tab, view, state)
    shown = dict(zip(mine, containers[len(tabs) :], strict=True))
    return [*containers[:GUIDE], *(OwnTab(label, shown.get(label)) for label in own)]


@cache
def _exempt_loaded_modules_from_collection() -> None:
    """Once: Streamlit collects garbage after every run, through all that the process has loaded. That took 60–100 ms of
    each refresh and of each new viewer, most of it for modules, which stay anyway."""
    gc.collect()
    gc.freeze()


def _line(view: Callable[[], View], choices: sidebar.Choices, state: PageState) -> None:
    with state.heartbeat.timed("line"):
        _guarded(lambda: freshness.show(view(), choices, state.status))


def _figures(view: Callable[[], View], state: PageState) -> None:
    with state.heartbeat.timed("figures"):
        _guarded(lambda: headline.show(view()))


def _tab(tab: Tab, view: Callable[[], View], state: PageState) -> None:
    def show() -> None:
        found = view()
        if found.snapshots.by_name or not found.snapshots.absent:  # otherwise the figures say why there is nothing
            tab.render(found)

    with state.heartbeat.timed("tab"):
        _guarded(show)


def _session(heartbeat: PageHeartbeat) -> str:
    """The key of this viewer's session, new for each time that a browser connects."""
    key: str = st.session_state.setdefault(f"{__name__}.session", secrets.token_hex(8))
    _connected(partial(heartbeat.left, key))
    return key


@st.cache_resource(scope="session", on_release=lambda left: left(), show_spinner=False)
def _connected(_left: Callable[[], None]) -> Callable[[], None]:
    """Cached per session: Streamlit clears that cache when the browser disconnects, and `_left` is called."""
    return _left


def _pulse(state: PageState, spark: Spark, follow: bool) -> None:
    """Draws nothing. The script's own output is outside the fragments: the script is run again if it queried tables
    that have changed (`follow`: unless the page is paused)."""
    state.heartbeat.beat(_session(state.heartbeat))
    downloads.keep_links()
    if follow and spark.used and state.tables.read_shared().versions != spark.versions:
        st.rerun()


def _guarded(show: Callable[[], None]) -> None:
    """Shows a message for a table that cannot be read now; the next refresh tries again."""
    try:
        show()
    except NotReadable as reason:
        states.waiting(text.markdown(str(reason), 400))
    except VentesError as error:
        states.wrong(error)
