"""What an address asks for and the page does not have; it is said, because the page then shows something else. And the
names that the page uses in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from ventes.dashboard import text
from ventes.dashboard.language import LANGUAGES, Language, current, tr
from ventes.stream.page import Label

KEYS = frozenset(
    {
        *("refresh", "pause", "period", "days", "from", "to", "only", "tab", "at", "rank", "show", "search", "reason"),
        *("q", "chart", "view"),
    }
)
"""Names that the page itself uses in the address."""

_KEPT = f"{__name__}.kept"
"""Key of the session's state: widget → its values of the address that were refused."""


def adopt(key: str, options: Mapping[str, str], shown: Callable[[str, Language], str]) -> None:
    """Take over a value of the address that a page in another language wrote. Call it before the widget `key` is drawn.

    Streamlit takes the foreign value out of the address; ours is in it from the viewer's next choice on.

    `options`: English name of an option → the widget's value of it. `shown(name, language)`: as the address has it.
    """
    asked = st.query_params.get(key)
    if asked is None or key in st.session_state or any(shown(name, current()) == asked for name in options):
        return
    for name, value in options.items():
        if any(shown(name, language) == asked for language in LANGUAGES):
            st.session_state[key] = value


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
    more = tr(" and {n} more", n=text.count(len(values) - 3)) if len(values) > 3 else ""
    return tr(
        "{what} {listed} of the address is not here: {instead}.",
        what=text.markdown(what),
        listed=f"{listed}{more}",
        instead=text.markdown(instead),
    )


def key_of(label: Label) -> str:
    """The name of a filter in the address."""
    return f"by_{label.slug}" if label.slug in KEYS else label.slug
