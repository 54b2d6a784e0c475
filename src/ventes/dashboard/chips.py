"""What narrows or holds the page, in one line above the figures: each with a click to take it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ventes.dashboard import text


@dataclass(frozen=True)
class Chip:
    """`words`: what is in force, not escaped. `back`: takes it back, as the callback of a button, with `arguments`."""

    key: str
    words: str
    back: Callable[..., None]
    arguments: tuple[Any, ...] = ()


def show(chips: tuple[Chip, ...]) -> None:
    """The chips, for a container of their own; without any it takes no room."""
    if not chips:
        return
    with st.container(key="chips", horizontal=True, gap="xsmall"):
        for chip in chips:
            st.button(
                text.markdown(chip.words, 120),
                key=f"_chip-{chip.key}",
                icon=":material/close:",
                on_click=chip.back,
                args=chip.arguments,
            )


def clear(key: str, value: object) -> None:
    """Take a choice back: the widget `key` gets the `value` it begins with."""
    st.session_state[key] = value
