"""The page, in order: freshness line, five figures, tabs. `render()` is one run of the script for one session.

Streamlit runs the script anew for each session and interaction but keeps imported modules, so what all sessions
share lives in module state here. What refreshes by itself is in fragments: they run on a timer, find their results by
table version, and so do no work while nothing was committed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import duckdb
import streamlit as st

from ventes.config import Settings, load
from ventes.dashboard import freshness, headline, sidebar
from ventes.dashboard.sidebar import Choices
from ventes.dashboard.source import Lake, NotReadable
from ventes.dashboard.spark import Spark
from ventes.dashboard.tabs import country, products, raw, timeline
from ventes.dashboard.view import View

TITLE = "Sales, live"
BUILT_IN = (country, products, timeline, raw)

_shared: dict[str, Lake] = {}
_guard = threading.Lock()


def lake_of(settings: Settings) -> Lake:
    """The one Lake of these settings in this process."""
    key = settings.model_dump_json()
    with _guard:
        if key not in _shared:
            _shared[key] = Lake(settings)
        return _shared[key]


def render() -> None:
    st.set_page_config(page_title=TITLE, page_icon="📊", layout="wide")
    settings = load()
    lake = lake_of(settings)
    st.title(TITLE, anchor=False)
    choices = sidebar.show(settings, lake)
    every = None if choices.paused or choices.as_of else choices.refresh_seconds

    def view() -> View:
        moment = lake.moment(choices.as_of)
        return View(settings, moment, choices.filters, Spark(moment))

    st.fragment(_top, run_every=every)(view, choices)
    tabs = st.tabs([module.LABEL for module in BUILT_IN], key="tab", bind="query-params")
    for module, tab in zip(BUILT_IN, tabs, strict=True):
        if tab.open:
            with tab:
                st.fragment(_tab, run_every=every, key=f"tab-{module.LABEL}")(module.render, view)


def _top(view: Callable[[], View], choices: Choices) -> None:
    now = view()
    freshness.show(now, choices)
    _guarded(lambda: headline.show(now))


def _tab(render_tab: Callable[[View], None], view: Callable[[], View]) -> None:
    _guarded(lambda: render_tab(view()))


def _guarded(show: Callable[[], None]) -> None:
    """A table that cannot be read now is a sentence, and the next refresh tries again."""
    try:
        show()
    except NotReadable as reason:
        st.info(str(reason), icon=":material/hourglass_empty:")
    except duckdb.IOException:
        # a file was vacuumed between the look at the log and the reading: the next refresh sees the new files
        st.info("The tables are being tidied up; this comes back at the next refresh.", icon=":material/sync:")
