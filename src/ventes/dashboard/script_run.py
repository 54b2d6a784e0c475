"""The end of a run of the script before its last line."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def end() -> NoReturn:
    """End this run of the script, and forget the fragments of the run before, which drew another page.

    Streamlit forgets them only after a run that came to its last line. A request to run one of them may still arrive;
    it would be drawn into a place that is gone, and then the browser shows nothing at all any more.
    """
    context = get_script_run_ctx()
    if context is not None:
        context.fragment_storage.clear()
    st.stop()
