"""What an address asks for and the page does not have. It is said, because the page then shows something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from ventes.dashboard import text

_KEPT = "_refused"
"""Key of the session's state: widget → its values of the address that were refused."""


def refused(key: str, offered: Callable[[str], bool]) -> tuple[str, ...]:
    """The values of the widget `key` in the address that are not `offered`, until `forget`.

    Call it before the widget is drawn: Streamlit corrects the address then.
    """
    kept: dict[str, tuple[str, ...]] = st.session_state.setdefault(_KEPT, {})
    if key not in st.session_state and key not in kept:
        kept[key] = tuple(value for value in st.query_params.get_all(key) if not offered(value))
    return kept.get(key, ())


def forget(key: str) -> None:
    """The viewer has chosen: the callback of the widget."""
    st.session_state.get(_KEPT, {}).pop(key, None)


def sentence(what: str, values: Sequence[str], instead: str) -> str:
    """One Markdown sentence; "" without values. `what`: the kind of value; `instead`: what the page shows."""
    if not values:
        return ""
    listed = ", ".join(f"“{text.markdown(value, 60)}”" for value in values[:3])
    more = f" and {len(values) - 3:,} more" if len(values) > 3 else ""
    return f"{text.markdown(what)} {listed}{more} of the address is not here: {text.markdown(instead)}."
