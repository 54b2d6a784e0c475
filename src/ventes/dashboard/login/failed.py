"""A login that failed at the provider: the page says so, where Streamlit answers with a bare line or with nothing.

The server notes it in a cookie that lasts some seconds, and the page that says "not logged in" reads it (gate.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from starlette.datastructures import MutableHeaders

Why = Literal["silent", "answer", "cancelled"]
"""The provider did not answer; what it answered was not accepted; it answered that the person, or it, refused."""
COOKIE = "_ventes_login_failed"
SECONDS = 15
"""Long enough for the page to be loaded again by a slow browser; a later visit is told nothing of it."""


def note(headers: MutableHeaders, why: Why, path: str) -> None:
    """Into an answer that sends the browser to the page. `path`: of the page, ending in a slash."""
    headers.append("set-cookie", f"{COOKIE}={why}; Path={path}; Max-Age={SECONDS}; HttpOnly; SameSite=Lax")


def noted(cookies: Mapping[str, str]) -> Why | None:
    """Why the login of this browser failed just now, if it did."""
    found = cookies.get(COOKIE)
    known: tuple[Why, ...] = get_args(Why)
    return next((why for why in known if why == found), None)
