"""Plotly figures from numbers. Calm: one colour, thin lines, no legend where a title says it. No Streamlit.

Names from the data go through text.plotly and stand as tick labels over numeric positions, so that two equal names
stay two bars and no name is read as a date, a number or a tag. Each figure keeps zoom while its data changes
(`uirevision`); colours of text and grid come from the page's theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

from ventes.dashboard import text

ACCENT = "#2f6fde"
SOFT = "rgba(47, 111, 222, 0.16)"
WARM = "#e08a2c"
SERIES = ("#2f6fde", "#e08a2c", "#2a9d8f", "#c2528b", "#8a6fd1", "#6b7785", "#b5a642")
ROW = 34
"""Pixels a horizontal bar."""


def money_axis(currency: str) -> dict[str, Any]:
    """`$12k` for a one-character currency, else `12k EUR`."""
    safe = text.plotly(currency)
    place = {"tickprefix": safe} if len(currency) == 1 else {"ticksuffix": f" {safe}"}
    return {"tickformat": "~s", **place}


def bars(
    labels: Sequence[str], values: Sequence[float], hover: Sequence[str], title: str, axis: dict[str, Any] | None = None
) -> go.Figure:
    """Horizontal bars, the first on top. `hover` is ready HTML: its makers escape."""
    places = list(range(len(labels)))
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=places,
            orientation="h",
            marker={"color": ACCENT, "cornerradius": 4},
            customdata=list(hover),
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(title=title, rangemode="tozero", zeroline=False, **(axis or {"tickformat": ",~s"}))
    figure.update_yaxes(
        tickmode="array",
        tickvals=places,
        ticktext=[text.plotly(label, 24) for label in labels],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    return _calm(figure, height=max(180, ROW * len(places) + 90), hovermode="closest", bargap=0.32)


def line(
    times: Sequence[Any],
    values: Sequence[float],
    hover: Sequence[str],
    title: str,
    time_title: str,
    axis: dict[str, Any] | None = None,
    step: bool = False,
    height: int = 420,
) -> go.Figure:
    """One value over time, filled to zero."""
    figure = go.Figure(
        go.Scatter(
            x=list(times),
            y=list(values),
            mode="lines" if len(times) > 1 else "lines+markers",
            line={"color": ACCENT, "width": 2, "shape": "hv" if step else "linear"},
            fill="tozeroy",
            fillcolor=SOFT,
            customdata=list(hover),
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(title=time_title, type="date", showgrid=False)
    figure.update_yaxes(title=title, rangemode="tozero", zeroline=False, **(axis or {"tickformat": ",~s"}))
    return _calm(figure, height=height, hovermode="x")


def columns(
    times: Sequence[Any],
    values: Sequence[float],
    hover: Sequence[str],
    title: str,
    time_title: str,
    axis: dict[str, Any] | None = None,
) -> go.Figure:
    """One value a stretch of time."""
    figure = go.Figure(
        go.Bar(
            x=list(times),
            y=list(values),
            marker={"color": ACCENT},
            customdata=list(hover),
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(title=time_title, type="date", showgrid=False)
    figure.update_yaxes(title=title, rangemode="tozero", zeroline=False, **(axis or {"tickformat": ",~s"}))
    return _calm(figure, height=420, hovermode="x", bargap=0.15)


def stacked(rows: pa.Table, series: str, value: str, title: str, time_title: str) -> go.Figure:
    """`value` a stretch of time (`start`), one colour for each value of the column `series`."""
    names = list(dict.fromkeys(rows[series].to_pylist()))
    figure = go.Figure()
    for index, name in enumerate(sorted(names)):
        mine = [row for row in rows.to_pylist() if row[series] == name]
        figure.add_bar(
            x=[row["start"] for row in mine],
            y=[row[value] for row in mine],
            name=text.plotly(name),
            marker={"color": SERIES[index % len(SERIES)]},
        )
    figure.update_xaxes(title=time_title, type="date", showgrid=False)
    figure.update_yaxes(title=title, rangemode="tozero", tickformat=",~s")
    figure = _calm(figure, height=320, hovermode="x unified", bargap=0.15, showlegend=True)
    return figure.update_layout(barmode="stack")


def lines(times: Sequence[Any], series: Mapping[str, Sequence[float]], title: str, time_title: str) -> go.Figure:
    """Several values over time. Keys are our own names; those ending in p95 are dotted, in the colour of their p50."""
    figure = go.Figure()
    colours: dict[str, str] = {}
    for name, values in series.items():
        base = name.rsplit(" ", 1)[0]
        colour = colours.setdefault(base, SERIES[len(colours) % len(SERIES)])
        dash = "dot" if name.endswith("p95") else "solid"
        figure.add_scatter(
            x=list(times),
            y=list(values),
            mode="lines",
            name=name,
            line={"color": colour, "width": 1.8, "dash": dash},
            hovertemplate="%{y:.2f} s",
        )
    figure.update_xaxes(title=time_title, type="date", showgrid=False)
    figure.update_yaxes(title=title, rangemode="tozero")
    return _calm(figure, height=380, hovermode="x unified", showlegend=True)


def _calm(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    figure.update_xaxes(automargin=True, title_standoff=12)
    figure.update_yaxes(automargin=True, title_standoff=12)
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 16, "b": 8},
        uirevision="kept",
        transition={"duration": 0},
        dragmode=False,
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        **{"showlegend": False, **layout},
    )
