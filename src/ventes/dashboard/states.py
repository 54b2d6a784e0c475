"""The states that a part of the page may be in, other than showing its data: each drawn in one way, everywhere.

A sentence is Markdown: what it has from the data, or from an error, has gone through text.markdown.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import streamlit as st

from ventes.dashboard import text
from ventes.dashboard.language import tr
from ventes.errors import VentesError


def empty(sentence: str) -> None:
    """There is nothing to show, and that is no mistake."""
    st.info(sentence, icon=":material/inbox:")


def waiting(sentence: str) -> None:
    """It will be there by itself: before the first data, or while files are replaced."""
    st.info(sentence, icon=":material/hourglass_empty:")


def loading() -> AbstractContextManager[None]:
    """While the block runs, which a viewer asked for and waits for."""
    return st.spinner(tr("Running …"))


def note(sentence: str) -> None:
    """What is shown is not what one would expect: the filters do not apply, a query waits for a click."""
    st.info(sentence, icon=":material/info:")


def refused(sentence: str) -> None:
    """The address asks for something that is not here; something else is shown. Nothing for an empty sentence."""
    if sentence:
        st.warning(sentence, icon=":material/link_off:")


def warn(sentence: str) -> None:
    """Something is not as it should be, and the page goes on."""
    st.warning(sentence, icon=":material/warning:")


def good(sentence: str) -> None:
    """Nothing is wrong, and that is worth saying."""
    st.success(sentence, icon=":material/task_alt:")


def wrong(problem: VentesError | str, limit: int = 400) -> None:
    """An error and its next step, in the words of the command line: in English. A text is Markdown."""
    sentence = text.markdown(text.problem(problem), limit) if isinstance(problem, VentesError) else problem
    st.error(sentence, icon=":material/error:")
