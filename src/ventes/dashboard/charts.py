"""Plotly figures from numbers, as the dictionaries that Plotly's JavaScript takes. One colour, thin lines. Pure.

Plain dictionaries, because building and checking graph_objects costs 20 ms a figure, more than all queries of a
refresh. Names from the data go through text.plotly and stand as tick labels over numeric positions, so that two equal
names stay two bars and no name is read as a date, a number or a tag. `uirevision` keeps zoom while data changes;
colours of text and grid come from the page's theme (plot.js).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ventes.dashboard import language, text

Figure = dict[str, Any]
Axis = dict[str, Any]

ACCENT = "#2f6fde"
SOFT = "rgba(47, 111, 222, 0.16)"
SERIES = ("#2f6fde", "#e08a2c", "#2a9d8f", "#c2528b", "#8a6fd1", "#6b7785", "#b5a642")
COUNT: Axis = {"tickformat": ",~s"}
ROW = 34
"""Pixels per horizontal bar."""
CHARACTER = 6
"""Pixels of a character beside a bar."""
MARGIN = {"l": 8, "r": 16, "t": 16, "b": 8}
LEGEND: Axis = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0}
"""Below the chart: above it, the seven entries of a phone's three lines lie over the bars."""


PERCENT_AXIS: Axis = {"tickformat": ".0%"}


def money_axis(currency: str) -> Axis:
    """`$12k` for a one-character currency, else `12k EUR`."""
    safe, before = text.plotly(currency), len(currency) == 1 and language.current() == "en"
    place = {"tickprefix": safe} if before else {"ticksuffix": f" {safe}"}
    return {"tickformat": "~s", **place}


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    hover: Sequence[str],
    title: str,
    axis: Axis | None = None,
    texts: Sequence[str] = (),
) -> Figure:
    """Horizontal bars, the first on top. `hover` is ready HTML: its makers escape. `texts` stand beside the bars."""
    places = list(range(len(labels)))
    trace: dict[str, Any] = {
        "type": "bar",
        "x": list(values),
        "y": places,
        "orientation": "h",
        "marker": {"color": ACCENT, "cornerradius": 4},
        "customdata": list(hover),
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    if texts:
        trace |= {
            "text": [text.plotly(words) for words in texts],
            "textposition": "outside",
            "cliponaxis": False,
            "textfont": {"size": 11.5},
        }
    names = {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [text.plotly(label, 24) for label in labels],
        "autorange": "reversed",
        "showgrid": False,
        "zeroline": False,
    }
    height = max(180, ROW * len(places) + 90)
    margin = MARGIN | {"r": MARGIN["r"] + CHARACTER * max(map(len, texts), default=0)}
    layout = {"hovermode": "closest", "bargap": 0.32, "margin": margin}
    return _base_layout([trace], _values(title, axis), names, height, **layout)


def line(times: Sequence[str], values: Sequence[float], hover: Sequence[str], title: str, time_title: str) -> Figure:
    """A count over time, filled to zero. Times are ISO texts."""
    trace = {
        "type": "scatter",
        "x": list(times),
        "y": list(values),
        "mode": "lines" if len(times) > 1 else "lines+markers",
        "line": {"color": ACCENT, "width": 2},
        "fill": "tozeroy",
        "fillcolor": SOFT,
        "customdata": list(hover),
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return _base_layout([trace], _time(time_title), _values(title, None), height=420, hovermode="x")


def columns(
    times: Sequence[str],
    values: Sequence[float],
    hover: Sequence[str],
    title: str,
    time_title: str,
    axis: Axis | None = None,
    seconds: Sequence[int] = (),
) -> Figure:
    """One value per span of time; `seconds`: how long each is, which is how wide its column is."""
    trace: dict[str, Any] = {
        "type": "bar",
        "x": list(times),
        "y": list(values),
        "marker": {"color": ACCENT},
        "customdata": list(hover),
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    if seconds:
        trace |= {"width": [each * 850 for each in seconds]}  # milliseconds, and a gap
    return _base_layout([trace], _time(time_title), _values(title, axis), height=420, hovermode="x", bargap=0.15)


def mark(figure: Figure, points: Sequence[tuple[str, float]], name: str) -> None:
    """Add a triangle at points (time, value) of a chart over time."""
    figure["data"].append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [time for time, _ in points],
            "y": [value for _, value in points],
            "name": text.plotly(name),
            "marker": {"color": SERIES[1], "size": 10, "symbol": "triangle-up"},
            "hoverinfo": "skip",
        }
    )


def stacked(rows: pa.Table, series: str, value: str, title: str, time_title: str) -> Figure:
    """`value` per span of time (`start`), one colour for each value of the column `series`."""
    listed = rows.to_pylist()
    traces = []
    for index, name in enumerate(sorted({row[series] for row in listed})):
        mine = [row for row in listed if row[series] == name]
        traces.append(
            {
                "type": "bar",
                "x": [row["start"].isoformat() for row in mine],
                "y": [row[value] for row in mine],
                "name": text.plotly(name),
                "marker": {"color": SERIES[index % len(SERIES)]},
            }
        )
    layout = {"hovermode": "x unified", "bargap": 0.15, "showlegend": True, "barmode": "stack"}
    return _base_layout(traces, _time(time_title), _values(title, None), height=320, **layout)


def lines(times: Sequence[str], series: Mapping[str, Sequence[float | None]], title: str, time_title: str) -> Figure:
    """Several values over time. Keys are our own names; those ending in p95 are dotted, in the colour of their p50."""
    colours: dict[str, str] = {}
    traces = []
    for name, values in series.items():
        colour = colours.setdefault(name.rsplit(" ", 1)[0], SERIES[len(colours) % len(SERIES)])
        traces.append(
            {
                "type": "scatter",
                "x": list(times),
                "y": list(values),
                "mode": "lines",
                "name": name,
                "line": {"color": colour, "width": 1.8, "dash": "dot" if name.endswith("p95") else "solid"},
                "hovertemplate": "%{y:.2f} s",
            }
        )
    axis = _values(title, {})
    return _base_layout(traces, _time(time_title), axis, height=380, hovermode="x unified", showlegend=True)


def _time(title: str) -> Axis:
    return {"title": {"text": title, "standoff": 12}, "type": "date", "showgrid": False}


def _values(title: str, axis: Axis | None) -> Axis:
    return {"title": {"text": title, "standoff": 12}, "rangemode": "tozero", **(COUNT if axis is None else axis)}


def _base_layout(traces: list[dict[str, Any]], x: Axis, y: Axis, height: int, **layout: Any) -> Figure:
    return {
        "data": traces,
        "layout": {
            "height": height,
            "margin": MARGIN,
            "uirevision": "kept",
            "dragmode": False,
            "legend": LEGEND,
            "xaxis": {"automargin": True, "zeroline": False, **x},
            "yaxis": {"automargin": True, "zeroline": False, **y},
            "showlegend": False,
            **layout,
        },
    }
