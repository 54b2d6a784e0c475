"""The page, in order: freshness line, five figures, tabs. `render()` is one run of the script for one session.

Streamlit runs the script anew for each session and interaction but keeps imported modules, so what all sessions
share lives in module state here. What refreshes by itself is in fragments: they run on a timer, find their results by
table version, and so do no work while nothing was committed.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ventes.config import Settings, config_path, load
from ventes.dashboard import download_server, freshness, headline, sidebar, text
from ventes.dashboard.own_tabs import Tab, found
from ventes.dashboard.sidebar import Choices
from ventes.dashboard.source import Lake, NotReadable
from ventes.dashboard.spark import Spark
from ventes.dashboard.tabs import country, delays, loyalty, products, raw, rejects, sql, timeline
from ventes.dashboard.view import View
from ventes.errors import VentesError
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.umask import keep_private

TITLE = "Sales, live"
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2f6fde"/>'
    '<path d="M7 22l6-7 5 4 7-9" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)
"""Our own: a named icon would be fetched from the network."""
GUIDE = 4
"""The first tabs are the guide's: tab1 … tab4."""
REPORT_SECONDS = 5.0
LINE_SECONDS = 5
"""The line at the top is never older than this, however slowly the figures refresh."""

_STYLE = """<style>
.stMainBlockContainer { padding-top: 3.6rem; padding-bottom: 3rem; }
.stMainBlockContainer h1 { padding: 0; }
[data-testid="stMetricValue"] { font-size: clamp(1.15rem, 1.9vw, 1.75rem); }
[data-testid="stMetricValue"] * { white-space: normal; overflow: visible; overflow-wrap: anywhere; }
a.ventes-download { display: block; padding: 0.45rem 0.9rem; border: 1px solid var(--st-border-color, #c8ced6);
  border-radius: 0.5rem; text-align: center; text-decoration: none; color: inherit !important; }
a.ventes-download:hover, a.ventes-download:focus-visible { border-color: #2f6fde; color: #2f6fde !important; }
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .st-key-figures [data-testid="stHorizontalBlock"] { gap: 0.5rem; }
  .st-key-figures [data-testid="stColumn"] { min-width: calc(50% - 0.25rem); flex: 1 1 calc(50% - 0.25rem); }
}
</style>"""
"""Tighter than Streamlit's own; and nothing fades while a refresh is on its way."""

_lakes: dict[str, Lake] = {}
_guard = threading.Lock()


def built_in(settings: Settings) -> list[Tab]:
    modules: list[Any] = [country, products, timeline, raw, loyalty, rejects, delays]
    if settings.page.sql:
        modules.append(sql)
    return [Tab(module.LABEL, module.render, getattr(module, "LIVE", True)) for module in modules]


@cache
def _settings(config: Path, changed: float, environment: frozenset[tuple[str, str]]) -> Settings:
    return load()


def settings_now() -> Settings:
    """The settings in force; read anew when the file or the environment changed. Raises ConfigError."""
    path = config_path()
    changed = path.stat().st_mtime if path.exists() else 0.0
    return _settings(path, changed, frozenset(item for item in os.environ.items() if item[0].startswith("VENTES_")))


def lake_of(settings: Settings) -> Lake:
    """The one Lake of these settings in this process."""
    key = settings.fingerprint()
    with _guard:
        if key not in _lakes:
            _lakes[key] = Lake(settings)
        return _lakes[key]


class Board:
    """What streamlit_dashboard.py may build upon: `spark`, and the tabs to write into."""

    def __init__(self, spark: Spark, tabs: Sequence[DeltaGenerator | OwnTab]) -> None:
        self.spark = spark
        self.tabs = tuple(tabs)
        """tab1 … tab4 of the guide, then the own tabs."""


class OwnTab:
    """A tab that appears as soon as something is written into it: `with tab5:` or `tab5.line_chart(…)`."""

    def __init__(self, label: str, shown: DeltaGenerator | None) -> None:
        self._label = label
        self._shown = shown

    def _container(self) -> DeltaGenerator:
        if self._shown is None:
            st.session_state.setdefault("_own_tabs", set()).add(self._label)
            st.rerun()
        return self._shown

    def __enter__(self) -> DeltaGenerator:
        container = self._container()
        container.__enter__()
        return container

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container().__exit__(kind, error, trace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container(), name)


def render(own_tabs: Sequence[str] = ()) -> Board:
    """Draw the page. `own_tabs`: labels of tabs that the script itself may fill; unused ones are not shown."""
    keep_private()
    st.set_page_config(page_title=TITLE, page_icon=ICON, layout="wide")
    try:
        settings = settings_now()
    except VentesError as error:
        st.error(text.markdown(f"{error.message}. Next step: {error.hint}.", 900), icon=":material/settings_alert:")
        st.stop()
    lake = lake_of(settings)
    _report(lake)
    st.html(_STYLE)
    st.title(TITLE, anchor=False)
    choices = sidebar.show(settings, lake)
    every = None if choices.as_of else choices.refresh_seconds

    def view() -> View:
        moment = lake.look(choices.as_of)
        return View(settings, moment, choices.filters, Spark(moment))

    line = st.container()  # filled last: asking the pipeline may take a moment, and the figures need not wait for it
    st.fragment(_figures, run_every=every, key="figures")(view)
    others = found(settings.tabs)
    tabs = [*built_in(settings), *others]
    mine = _used(own_tabs)
    labels = [tab.label if tab not in others else text.markdown(tab.label, 40) for tab in tabs]
    containers = st.tabs([*labels, *mine], key="tab", bind="query-params")
    for number, (tab, container) in enumerate(zip(tabs, containers, strict=False)):
        if container.open:
            with container:
                st.fragment(_tab, run_every=every if tab.live else None, key=f"tab-{number}")(tab, view)
    with line:
        st.fragment(_line, run_every=min(every, LINE_SECONDS) if every else None, key="line")(view, choices)
    shown = dict(zip(mine, containers[len(tabs) :], strict=True))
    spark = Spark(view().moment)
    _keep_what_is_loaded()
    st.fragment(_pulse, run_every=every, key="pulse")(lake, spark, spark.versions)
    return Board(spark, [*containers[:GUIDE], *(OwnTab(name, shown.get(name)) for name in own_tabs)])


@cache
def _keep_what_is_loaded() -> None:
    """Once: Streamlit collects garbage after every run, through all that the process has loaded. That took 60–100 ms of
    each refresh and of each new viewer, most of it for modules, which stay anyway."""
    download_server.prepare()  # looks for the server among the objects that the collector knows
    gc.collect()
    gc.freeze()


def _used(named: Sequence[str]) -> list[str]:
    """Own tabs that were written into in this session, or that the link asks for."""
    written: set[str] = st.session_state.get("_own_tabs", set())
    return [name for name in named if name in written or st.query_params.get("tab") == name]


def _line(view: Callable[[], View], choices: Choices) -> None:
    _guarded(lambda: freshness.show(view(), choices))


def _figures(view: Callable[[], View]) -> None:
    _guarded(lambda: headline.show(view()))


def _tab(tab: Tab, view: Callable[[], View]) -> None:
    _guarded(lambda: tab.render(view()))


def _pulse(lake: Lake, spark: Spark, seen: object) -> None:
    """What the script itself draws is outside the fragments: run it anew when it asked the tables and they changed."""
    if spark.used and lake.look().versions != seen:
        st.rerun()


def _guarded(show: Callable[[], None]) -> None:
    """A table that cannot be read now is a sentence, and the next refresh tries again."""
    try:
        show()
    except NotReadable as reason:
        st.info(text.markdown(str(reason), 400), icon=":material/hourglass_empty:")
    except VentesError as error:
        st.error(text.markdown(f"{error.message}. Next step: {error.hint}.", 400), icon=":material/error:")


class _Pace:
    """The page's heartbeat record, written now and then while somebody looks."""

    def __init__(self, settings: Settings) -> None:
        self._reporter = Reporter(settings.state, "page")
        self._next = 0.0
        self._guard = threading.Lock()

    def beat(self) -> None:
        with self._guard:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + REPORT_SECONDS
                self._reporter.update(phase="running")


def _report(lake: Lake) -> None:
    lake.keep("pace", lambda: _Pace(lake.settings)).beat()
