"""What only the browser can do for the page: print it, copy its link, notice that the server is another one.

One component without a frame. It also tells the server whether the window is wide, and screen readers the language.
"""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.runtime import Runtime, get_instance

from ventes.dashboard.language import current, tr

WIDE = 1600
"""Pixels of a window from which two charts stand side by side."""
STARTED = secrets.token_hex(8)
"""Tells this process from the one before it: after an upgrade, or a restart, open pages still run the old script."""
_SCRIPT = Path(__file__).with_name("page_tools.js").read_text(encoding="utf-8")


@cache
def _component(_runtime: Runtime) -> ComponentRenderer:
    return st.components.v2.component("page_tools", js=_SCRIPT, isolate_styles=False)


def show(wall: bool) -> bool:
    """Draw the buttons. Returns whether the window is wide; False until the browser has said so."""
    found = _component(get_instance())(
        key="page-tools",
        data={
            "language": current(),
            "started": STARTED,
            "wall": wall,
            "wide": WIDE,
            "words": {
                "print": tr("Print / PDF"),
                "share": tr("Copy link"),
                "copied": tr("Copied"),
                "link": tr("Link to this view: copy it with Ctrl+C"),
                "wall": tr("Wall view"),
                "newer": tr("The page was started again, perhaps in a new version."),
                "reload": tr("Reload"),
                "printed": tr("Printed"),
            },
        },
        default={"wide": False},
        on_wide_change=_nothing,
    )
    return bool(found.wide)


def _nothing() -> None:
    """The run that follows a change is what is wanted."""
