"""The wall view, `?view=wall`: large, without a sidebar, one screen; it turns the tabs that are one chart by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from ventes.stream.page import Bars, Ranking, Tab, Timeline

SHOWN = (Bars, Ranking, Timeline)
"""A screen holds one chart; tables and forms are nothing for a wall."""
_NEXT = f"{__name__}.next"
"""Key of the session's state: when the next tab is due (monotonic seconds)."""


def asked_for() -> bool:
    return st.query_params.get("view") == "wall"


def turn(tabs: Sequence[Tab], seconds: float, now: float | None = None) -> None:
    """Open the next tab if it is due. Call it in each run before the tabs are drawn."""
    now = time.monotonic() if now is None else now
    due = st.session_state.setdefault(_NEXT, now + seconds)
    labels = [tab.label for tab in tabs if isinstance(tab, SHOWN)]
    if now < due or not labels:
        return
    st.session_state[_NEXT] = now + seconds
    opened = st.session_state.get("tab")
    st.session_state["tab"] = labels[(labels.index(opened) + 1) % len(labels)] if opened in labels else labels[0]


def run_again_when_due() -> None:
    """A fragment that draws nothing: the tabs are outside of it."""
    if time.monotonic() >= st.session_state.get(_NEXT, float("inf")):
        st.rerun()
