"""The claims in the cookie of Streamlit's login, as Streamlit itself reads them when a session of the page begins.

This is the only module that knows how Streamlit signs that cookie and splits it into several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME


def claims_in(cookies: Mapping[str, str], origin: str) -> dict[str, Any]:
    """The claims; {} if there is no such cookie, or none that this page signed for `origin` ("https://host")."""

    def signed(name: str) -> bytes | None:
        value = cookies.get(name)
        if value is None:
            return None
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", "replace"))

    try:
        found = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("origin") == origin else {}


def is_forged(cookies: Mapping[str, str]) -> bool:
    """Whether there is such a cookie, and this page has not signed it (or signed it too long ago)."""
    value = cookies.get(USER_COOKIE_NAME)
    if not value:
        return False
    return decode_signed_value(get_cookie_secret(), USER_COOKIE_NAME, value.encode("latin-1", "replace")) is None
