"""Plotly charts that are updated in place.

Streamlit's own chart is removed and created again whenever its data changes (1.65 computes its identity from the data,
with or without a key): with each sale it flickers, and the viewer's zoom is lost. This component passes the figure to
Plotly.react, which updates it in place. Bars and lines are drawn by a part of Plotly's script (chart_script), others,
and all on a page started by hand, by the whole one, which Streamlit's component route serves from the plotly package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v1 import declare_component
from streamlit.components.v2.types import ComponentRenderer
from streamlit.runtime import Runtime, get_instance

from ventes.dashboard import chart_script

_SCRIPT = Path(__file__).with_name("plot.js").read_text(encoding="utf-8")
_STYLE = ".sales-plot { width: 100%; } .sales-plot text { fill: var(--st-text-color) !important; }"


@cache
def _component(_runtime: Runtime) -> tuple[ComponentRenderer, str]:
    """The component and the path of its files, made known to this runtime: there is one in a process, but for tests.

    The files belong to a component that is never drawn: declaring it makes their folder reachable. To be called in a
    session, where Streamlit registers it.
    """
    files = declare_component("plotly_files", path=chart_script.WHOLE.parent)
    plot = st.components.v2.component("sales_plot", js=_SCRIPT, css=_STYLE, isolate_styles=False)
    return plot, f"component/{files.name}"


@dataclass(frozen=True)
class Click:
    """A click on a bar or a point. `x`: its place; `pick` and `span`: what belongs to it."""

    x: str
    pick: str | None
    span: int


def show(
    figure: Any,
    key: str,
    config: Mapping[str, Any],
    label: str,
    picks: Sequence[str] = (),
    spans: Sequence[int] = (),
    on_click: Callable[[Click], None] | None = None,
    fill: bool = False,
) -> bool:
    """Draw `figure`: a Plotly figure, or the dictionary of one. Returns whether it was clicked just now.

    One `key`, one chart. `label` is the text alternative for screen readers. `on_click` is called, before the page is
    drawn again, with what stands in `picks` and `spans` for the bar or point. `fill`: down to the end of the window.
    """
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    draw, files = _component(get_instance())
    if isinstance(figure, dict):
        text, traces = json.dumps(figure), {trace.get("type", "scatter") for trace in figure["data"]}
    else:
        text, traces = figure.to_json(), {trace.type for trace in figure.data}
    script = chart_script.address(traces)
    if script is None:
        script = f"{'/' + base if base else ''}/{files}/{chart_script.WHOLE.name}"
    data = {"script": script, "figure": text, "config": config, "label": label, "fill": fill}
    name = f"plot-{key}"
    if on_click is not None:
        data |= {"picks": list(picks), "spans": list(spans), "clickable": True}

    def clicked() -> None:
        found = (st.session_state.get(name) or {}).get("clicked")
        if found and on_click is not None:
            on_click(Click(str(found["x"]), found.get("pick"), int(found.get("span") or 0)))

    answer = draw(key=name, data=data, on_clicked_change=clicked, on_zoom_change=lambda: None)
    return bool(answer.get("clicked"))


def zoomed(key: str) -> tuple[str, str] | None:
    """From where to where the viewer zoomed the axis of time of a chart, as the axis has it; None if not at all."""
    found = (st.session_state.get(f"plot-{key}") or {}).get("zoom")
    return (str(found[0]), str(found[1])) if found else None
