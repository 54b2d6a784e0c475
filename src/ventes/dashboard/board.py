"""The objects for code in streamlit_dashboard.py: `spark`, and tabs to write into."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ventes.dashboard.spark import Spark


class Board:
    """`spark`: `spark.sql` for the script's code; `tabs`: the built-in tab1 … tab4, then the script's own tabs."""

    def __init__(self, spark: Spark, tabs: Sequence[DeltaGenerator | OwnTab]) -> None:
        self.spark = spark
        self.tabs = tuple(tabs)


class OwnTab:
    """A tab that appears as soon as something is written into it: `with tab5:` or `tab5.line_chart(…)`."""

    def __init__(self, label: str, shown: DeltaGenerator | None) -> None:
        self._label = label
        self._shown = shown

    def _container(self) -> DeltaGenerator:
        if self._shown is None:
            st.session_state.setdefault(_WRITTEN, set()).add(self._label)
            st.rerun()
        return self._shown

    def __enter__(self) -> DeltaGenerator:
        container = self._container()
        container.__enter__()
        return container

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container().__exit__(kind, error, trace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container(), name)


_WRITTEN = f"{__name__}.written"


def tabs_to_show(labels: Sequence[str]) -> list[str]:
    """The script's own tabs that were written into in this session, or that the link opens."""
    written: set[str] = st.session_state.get(_WRITTEN, set())
    return [label for label in labels if label in written or st.query_params.get("tab") == label]
