"""The line at the top."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard.sidebar import Choices
from ventes.dashboard.view import View


def show(view: View, choices: Choices) -> None:
    st.caption("…")
