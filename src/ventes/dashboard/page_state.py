"""Objects of the page that exist as long as the process and are shared by all sessions.

Streamlit runs the script again for each session and interaction but keeps imported modules, so they are in this one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path

from ventes.config import Settings, config_path, load
from ventes.dashboard import COMPOSED_BY
from ventes.dashboard.page_heartbeat import PageHeartbeat
from ventes.dashboard.source import LiveTables
from ventes.dashboard.status_poller import StatusPoller
from ventes.dashboard.troubles import Explain
from ventes.runtime.pipeline_status import Status

AskStatus = Callable[[Settings], Status]
"""Asks every service of the pipeline of these settings, and returns the answers."""


def composed_ask_status() -> AskStatus:
    """The function that COMPOSED_BY has for this page."""
    ask: AskStatus = import_module(COMPOSED_BY).ask_status
    return ask


def composed_explain() -> Explain:
    """The function that COMPOSED_BY has for the troubleshooting."""
    found: Explain = import_module(COMPOSED_BY).explain
    return found


@dataclass(frozen=True)
class PageState:
    """The long-lived objects of the page of one pipeline."""

    settings: Settings
    tables: LiveTables
    status: StatusPoller
    heartbeat: PageHeartbeat


_states: dict[str, PageState] = {}
_guard = threading.Lock()


def state_of(settings: Settings, ask_status: AskStatus) -> PageState:
    """The state for these settings, made when first asked for."""
    key = settings.fingerprint()
    with _guard:
        if key not in _states:
            _states[key] = PageState(
                settings,
                LiveTables(settings),
                StatusPoller(partial(ask_status, settings)),
                PageHeartbeat(settings.state),
            )
        return _states[key]


def settings_in_force() -> Settings:
    """The settings, read again when their file or the environment changed. Raises ConfigError."""
    path = config_path()
    changed = path.stat().st_mtime if path.exists() else 0.0
    return _loaded(path, changed, frozenset(item for item in os.environ.items() if item[0].startswith("VENTES_")))


@lru_cache(maxsize=8)
def _loaded(config: Path, changed: float, environment: frozenset[tuple[str, str]]) -> Settings:
    return load()
