"""`make plots`: draws the results of the benchmarks (bench/results) as pictures in docs/bench.

    python bench/plot.py [--results bench/results] [--to docs/bench]

    soak-<engine>.json  → soak-<engine>.png   a long run of a pipeline
    day.json            → day.png             43,200 sales, each committed by itself
    compare.json        → freshness.png       sale → visible, the engines and the textbook job
    growth.json         → growth.png          the cost of a lot, by what is there already

Pictures without results are skipped. Plotly draws them in Chromium (`apt-get install chromium`), as on the page; the
Python packages of `make install` are enough.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plotly
from playwright.sync_api import sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
from harness.page_site import BROWSER_FLAGS  # noqa: E402

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
WIDTH = 1200
INK, SOFT_INK, GRID = "#1f2933", "#5f6c7b", "#e6e9ee"
BLUE, ORANGE, GREEN, GREY, VIOLET = "#2f6fde", "#e0782c", "#2a9d8f", "#8a94a3", "#8a5fc7"
LIGHT = "#9aa5b4"
CONTENDERS = {"embedded": BLUE, "spark": ORANGE, "textbook": GREY}
NAMES = {"embedded": "embedded engine", "spark": "Spark engine", "textbook": "textbook Spark job"}

Figure = dict[str, Any]


# -- small multiples ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    name: str
    y: Sequence[float | None]
    color: str
    width: float = 2
    dash: str = "solid"
    x: Sequence[float] | None = None
    """The x values of this line if it has its own: few points, drawn with markers."""


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    lines: list[Line]
    limit: tuple[float, str] | None = None
    """A limit, and its label."""
    top: float | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Further settings of the y axis."""


def multiples(title: str, subtitle: str, x: Sequence[float], x_title: str, panels: list[Panel]) -> Figure:
    """Panels in two columns with a common x axis; each has its own legend and a y axis from zero."""
    rows = (len(panels) + 1) // 2
    height = 170 + rows * 300
    top, bottom = 142 / height, 48 / height
    gap = 108 / height
    each = (1 - top - bottom - gap * (rows - 1)) / rows
    traces: list[dict[str, Any]] = []
    layout = _layout(title, subtitle, height)
    for number, panel in enumerate(panels):
        row, column = divmod(number, 2)
        left = 0.055 if column == 0 else 0.56
        right = left + 0.425
        high = 1 - top - row * (each + gap)
        suffix = "" if number == 0 else str(number + 1)
        peak = max((value for line in panel.lines for value in line.y if value is not None), default=1.0)
        peak = max(peak, panel.limit[0] if panel.limit else 0.0)
        last_row = number >= len(panels) - 2
        layout[f"xaxis{suffix}"] = {
            **_AXIS,
            "domain": [left, right],
            "anchor": f"y{suffix}",
            "range": [0, max(x) * 1.005],
            "showgrid": False,
            "title": {"text": x_title if last_row else "", "font": {"size": 13, "color": SOFT_INK}, "standoff": 6},
        }
        layout[f"yaxis{suffix}"] = {
            **_AXIS,
            "domain": [high - each, high],
            "anchor": f"x{suffix}",
            "range": [0, panel.top or peak * 1.12 or 1],
            "nticks": 6,
            **panel.more,
        }
        layout[f"legend{suffix}"] = {
            "x": left - 0.035,
            "xanchor": "left",
            "y": high + 3 / height,
            "yanchor": "bottom",
            "orientation": "h",
            "font": {"size": 13},
            "bgcolor": "rgba(255,255,255,0)",
        }
        layout["annotations"].append(
            _text(f"<b>{panel.title}</b>, {panel.unit}", left - 0.035, high + 32 / height, size=15, yanchor="bottom")
        )
        for line in panel.lines:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines" if line.x is None else "lines+markers",
                    "x": list(line.x if line.x is not None else x),
                    "y": list(line.y),
                    "name": line.name,
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                    "legend": f"legend{suffix}",
                    "showlegend": len(panel.lines) > 1,
                    "line": {"color": line.color, "width": line.width, "dash": line.dash},
                }
            )
        if panel.limit is not None:
            value, label = panel.limit
            layout["shapes"].append(
                {
                    "type": "line",
                    "xref": f"x{suffix} domain",
                    "yref": f"y{suffix}",
                    "x0": 0,
                    "x1": 1,
                    "y0": value,
                    "y1": value,
                    "line": {"color": "#c0392b", "width": 1.5, "dash": "dot"},
                }
            )
            layout["annotations"].append(
                {
                    **_text(label, 0.995, value, size=12, color="#c0392b"),
                    "xref": f"x{suffix} domain",
                    "yref": f"y{suffix}",
                    "xanchor": "right",
                    "yanchor": "bottom",
                }
            )
    return {"data": traces, "layout": layout}


_AXIS: dict[str, Any] = {
    "gridcolor": GRID,
    "linecolor": "#b8c0cc",
    "showline": True,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": "#b8c0cc",
    "ticklen": 4,
    "tickfont": {"size": 13, "color": SOFT_INK},
    "separatethousands": True,
}


def _layout(title: str, subtitle: str, height: int) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": height,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"family": "DejaVu Sans, Arial, sans-serif", "color": INK, "size": 13},
        "margin": {"l": 20, "r": 20, "t": 0, "b": 0},
        "annotations": [
            _text(f"<b>{title}</b>", 0.02, 1 - 14 / height, size=21, yanchor="top"),
            _text(subtitle, 0.02, 1 - 46 / height, size=13, yanchor="top", color=SOFT_INK),
        ],
        "shapes": [],
    }


def _text(text: str, x: float, y: float, size: int = 13, yanchor: str = "middle", color: str = INK) -> dict[str, Any]:
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": yanchor,
        "showarrow": False,
        "align": "left",
        "font": {"size": size, "color": color},
    }


# -- the pictures ---------------------------------------------------------------------------------------


def soak(data: dict[str, Any]) -> Figure:
    about, samples = data["about"], data["samples"]
    last = samples[-1]["minute"]
    unit, unit_name = (1, "minutes") if last <= 180 else (60, "hours")
    times = [sample["minute"] / unit for sample in samples]

    def curve(value: Callable[[dict[str, Any]], Any]) -> list[float | None]:
        return [value(sample) for sample in samples]

    def fresh(name: str) -> list[float | None]:
        return curve(lambda s: s["freshness_s"] and s["freshness_s"][name])

    def took(job: str) -> list[float | None]:
        return curve(lambda s: s["batch_ms"][job] and s["batch_ms"][job]["median"])

    rollups = [name for name in samples[0]["live_files"] if name not in ("bronze", "ventes_clean", "ventes_rejets")]
    panels = [
        Panel(
            "Sale → visible in Silver",
            "seconds",
            [Line("95 % of the sales within", fresh("p95"), LIGHT), Line("half of them", fresh("p50"), INK)],
        ),
        Panel(
            "Time a batch takes",
            "ms, median of each sample",
            [Line("Silver lot", took("silver"), ORANGE), Line("Bronze batch", took("bronze"), BLUE)],
        ),
        Panel(
            "Memory (RSS)",
            "MB a job",
            [
                Line("Silver", curve(lambda s: s["rss_mb"]["silver"]), ORANGE),
                Line("Bronze", curve(lambda s: s["rss_mb"]["bronze"]), BLUE),
            ],
        ),
        Panel(
            "CPU",
            "cores",
            [
                Line("whole machine", curve(lambda s: s["machine_cores"]), "#c3cad4", 1.5),
                Line("Silver", curve(lambda s: s["cores"]["silver"]), ORANGE),
                Line("Bronze", curve(lambda s: s["cores"]["bronze"]), BLUE),
            ],
        ),
        Panel(
            "Files that a reader opens",
            "live files of a table",
            [
                Line("Bronze", curve(lambda s: s["live_files"]["bronze"]), BLUE, 1.5),
                Line("ventes_clean", curve(lambda s: s["live_files"]["ventes_clean"]), ORANGE, 1.5),
                Line("largest roll-up", curve(lambda s: max(s["live_files"][name] for name in rollups)), GREEN, 1.5),
            ],
            limit=(200, "target: at most 200"),
        ),
        Panel(
            "Files on disk",
            "thousands, history and logs included",
            [_on_disk(data, unit, "Silver, seven tables", ORANGE), _on_disk(data, unit, "Bronze", BLUE)],
        ),
    ]
    sales = sum(sample["sales"] for sample in samples)
    return multiples(
        f"{about['rate']:,.0f} sales per second for {times[-1]:.3g} {unit_name}: {about['engine']} engine",
        f"{sales:,} sales; broker, producer and both jobs on one machine with {about['machine']}; "
        f"one sample every {about['every_s']:g} s; {about['began'][:10]}",
        times,
        unit_name,
        panels,
    )


def _on_disk(data: dict[str, Any], unit: float, name: str, color: str) -> Line:
    samples = data["samples"]
    counted = [(sample["minute"], sample["disk"]) for sample in samples if "disk" in sample]
    if "disk_at_end" in data:
        counted.append((samples[-1]["minute"], data["disk_at_end"]))

    def files(disk: dict[str, Any]) -> float:
        tables = {table: one["files"] for table, one in disk.items() if table != "kafka"}
        bronze = tables.pop("bronze")
        return float(bronze if name == "Bronze" else sum(tables.values())) / 1000

    return Line(name, [files(disk) for _, disk in counted], color, x=[minute / unit for minute, _ in counted])


def day(data: dict[str, Any]) -> Figure:
    about, steps = data["about"], data["steps"]
    hours = [step["hours"] for step in steps]
    tables = list(steps[-1]["live_files"])
    colors = {"bronze": BLUE, "ventes_clean": ORANGE, "ventes_rejets": VIOLET}
    shown = [name for name in colors if name in tables]
    rollups = [name for name in tables if name not in colors]

    each = f"in each {steps[0]['sales']:,} sales"

    def every(value: Callable[[dict[str, Any]], Any]) -> list[float | None]:
        return [value(step) for step in steps]

    def both(job: str, title: str) -> Panel:
        return Panel(
            title,
            f"ms, {each}",
            [
                Line("95 % within", every(lambda s: s["ms"][job]["p95"]), LIGHT),
                Line("median", every(lambda s: s["ms"][job]["median"]), INK),
            ],
        )

    def live_of(name: str) -> Line:
        return Line(name, every(lambda s: s["most_live_files"][name]), colors[name])

    live = [live_of(name) for name in shown]
    if rollups:
        live.append(Line("largest roll-up", every(lambda s: max(s["most_live_files"][n] for n in rollups)), GREEN))
    panels = [
        Panel(
            "Files that a reader opens", f"most live files of a table, {each}", live, limit=(200, "target: at most 200")
        ),
        Panel(
            "Files on disk",
            "thousands, all tables, six hours of history included",
            [
                Line("of the Delta logs", every(_disk("log_files")), LIGHT),
                Line("Parquet", every(_disk("data_files")), INK),
            ],
        ),
        both("bronze", "Bronze, one sale"),
        *([both("silver", "Silver with its roll-ups, one sale")] if "silver" in steps[0]["ms"] else []),
        Panel("Size on disk", "MB, all tables, history and logs included", [Line("MB", every(_disk("mb", 1)), INK)]),
        Panel("Memory (RSS)", "MB, both jobs in one process", [Line("RSS", every(lambda s: s["rss_mb"]), INK)]),
    ]
    return multiples(
        f"{steps[-1]['sales']:,} sales, each committed by itself: {hours[-1]:.3g} hours at 30 per minute",
        f"run {about['speed']:.0f} times as fast as the day, also the clock of maintenance; "
        f"{about['machine']}; {about['began'][:10]}",
        hours,
        "hours",
        panels,
    )


def _disk(key: str, unit: float = 1000) -> Callable[[dict[str, Any]], float]:
    return lambda step: float(sum(one[key] for one in step["disk"].values())) / unit


def freshness(data: dict[str, Any]) -> Figure | None:
    """A row for each contender at each rate: a bar from the median to p99, p95 marked. None if nothing was measured."""
    rows = [
        (int(rate), result["contender"], found)
        for result in data["results"]
        for rate, found in result["freshness"].items()
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: (row[0], list(CONTENDERS).index(row[1])))
    rates = sorted({rate for rate, _, _ in rows})
    height = 150 + 52 * len(rows) + 46 * len(rates)
    layout = _layout(
        "From a sale to the moment it can be read in Silver",
        f"● median   ◆ 95 %   ❘ 99 % of the sales; seconds, logarithmic, left is better; {data['about']['machine']};"
        f" {data['about']['date']}",
        height,
    )
    low, high = min(found["p50"] for *_, found in rows), max(found["p99"] for *_, found in rows)
    marks = [tick for power in range(-3, 4) for tick in (10**power, 2 * 10**power, 5 * 10**power)]
    near = [tick for tick in marks if low / 2.1 <= tick <= high * 2.1]
    layout["xaxis"] = {
        **_AXIS,
        "type": "log",
        "domain": [0.17, 0.97],
        "tickvals": near,
        "ticktext": [f"{tick:g} s" for tick in near],
        "range": [_log10(low / 1.5), _log10(high * 1.9)],
        "side": "bottom",
    }
    layout["yaxis"] = {"domain": [40 / height, 1 - 84 / height], "visible": False}
    traces: list[dict[str, Any]] = []
    place = 0.0
    for rate in rates:
        layout["annotations"].append(
            {**_text(f"<b>{rate:,} sales per second</b>", 0.02, place - 0.1, size=15), "yref": "y"}
        )
        place -= 0.9
        for _, contender, found in (row for row in rows if row[0] == rate):
            color = CONTENDERS[contender]
            p50, p95, p99 = found["p50"], found["p95"], found["p99"]
            traces += [
                _points([p50, p95], place, color, mode="lines", line={"width": 12, "color": color}, opacity=0.3),
                _points([p95, p99], place, color, mode="lines", line={"width": 3, "color": color}, opacity=0.5),
                _points([p50], place, color, marker={"size": 15, "color": color}),
                _points([p95], place, color, marker={"size": 14, "color": color, "symbol": "diamond"}),
                _points([p99], place, color, marker={"size": 14, "color": color, "symbol": "line-ns-open"}),
            ]
            layout["annotations"] += [
                {
                    **_text(NAMES[contender], 0.03, place, size=15, color=color if color != GREY else SOFT_INK),
                    "yref": "y",
                },
                {
                    **_text(f"{p50:.2g} · {p95:.2g} · {p99:.2g} s", _log10(p99), place, color=SOFT_INK),
                    "xref": "x",
                    "yref": "y",
                    "xshift": 14,
                },
            ]
            place -= 1
        place -= 0.4
    layout["yaxis"]["range"] = [place + 0.7, 0.5]
    layout["showlegend"] = False
    return {"data": traces, "layout": layout}


def _points(x: list[float], y: float, color: str, mode: str = "markers", **more: Any) -> dict[str, Any]:
    return {"type": "scatter", "x": x, "y": [y] * len(x), "mode": mode, "cliponaxis": False, **more}


def _log10(value: float) -> float:
    return math.log10(value)


SHAPES = {
    "rising": ("rising ids", BLUE),
    "random": ("random ids", ORANGE),
    "clients": ("many clients", VIOLET),
    "days": ("3,650 days", GREEN),
}


def growth(data: dict[str, Any]) -> Figure:
    """Small multiples over the logarithm of the history's size."""
    cells = data["cells"]
    sizes = sorted({cell["sales"] for cell in cells})

    def lines(figure: str) -> list[Line]:
        return [
            Line(title, [cell[figure] for cell in of], color, x=[_log10(cell["sales"]) for cell in of])
            for name, (title, color) in SHAPES.items()
            if (of := [cell for cell in cells if cell["shape"] == name])
        ]

    panels = [
        Panel("CPU of a lot", "ms", lines("lot_cpu_ms")),
        Panel("Bytes read for a lot", "kB", lines("read_kb")),
        Panel("Bytes written for a lot", "kB", lines("written_kb")),
        Panel("Files added by a lot", "logs included", lines("files")),
        Panel("Peak memory of the job", "MB", lines("rss_mb")),
        Panel("CPU of the start", "seconds, with the first lot", lines("start_cpu_s")),
    ]
    figure = multiples(
        f"A lot of {data['about']['lot']} sales, by the sales that are there already",
        f"embedded engine, {data['about']['lots']} lots each; {data['about']['on'][:10]}",
        [_log10(size) for size in sizes],
        "sales in the lake",
        panels,
    )
    for name, axis in figure["layout"].items():
        if name.startswith("xaxis"):
            axis["range"] = [_log10(sizes[0]) - 0.1, _log10(sizes[-1]) + 0.1]
            axis["tickvals"] = [_log10(size) for size in sizes]
            axis["ticktext"] = [f"{size:,}" for size in sizes]
    return figure


# -- drawing --------------------------------------------------------------------------------------------


def draw(figures: dict[Path, Figure]) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on this machine → apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        for path, figure in figures.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": figure["layout"]["height"]})
            page.set_content('<body style="margin:0"><div id="plot"></div></body>')
            page.add_script_tag(path=PLOTLY)
            page.evaluate("f => Plotly.newPlot('plot', f.data, f.layout, {staticPlot: true})", figure)
            path.parent.mkdir(parents=True, exist_ok=True)
            page.locator("#plot").screenshot(path=path)
            page.close()
            print(path)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=PROJECT / "bench" / "results")
    parser.add_argument("--to", type=Path, default=PROJECT / "docs" / "bench")
    options = parser.parse_args()
    makers: dict[str, Callable[[dict[str, Any]], Figure | None]] = {
        "soak-embedded": soak,
        "soak-spark": soak,
        "day": day,
        "compare": freshness,
        "growth": growth,
    }
    figures = {}
    for name, make in makers.items():
        source = options.results / f"{name}.json"
        figure = make(json.loads(source.read_text())) if source.is_file() else None
        if figure is None:
            print(f"{source}: not measured, left out", file=sys.stderr)
            continue
        figures[options.to / f"{'freshness' if name == 'compare' else name}.png"] = figure
    if figures:
        draw(figures)


if __name__ == "__main__":
    main()
