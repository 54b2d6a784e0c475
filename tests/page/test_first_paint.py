"""What a browser loads before the first chart, and what the server has done before the first viewer."""

from __future__ import annotations

import gzip
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from harness import sample_lake
from harness.page_site import Site, serve, toml
from harness.pipeline import wait_for
from ventes.dashboard import chart_script, early_scripts, style

Open = Callable[..., Page]

HEAT = """
LABEL = "Heat"


def render(view):
    kind = view.choice("Kind", ("bar", "heatmap"), "kind")
    cells = {"z": [[1, 2], [3, 4]]} if kind == "heatmap" else {}
    view.chart({"data": [{"type": kind, "x": [1, 2], "y": [3, 4], **cells}], "layout": {"height": 200}}, "one", "Heat")
"""
"""A chart of another kind, at the viewer's choice."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "dashboard_tabs").mkdir()
    (folder / "dashboard_tabs" / "heat.py").write_text(HEAT, encoding="utf-8")
    toml(folder, f'[page]\ntabs = "{folder}/dashboard_tabs"\n')
    sample_lake.make(sample_lake.settings_at(folder), 300, sample_lake.Shape(days=3), lots=2)
    with serve(folder) as running:
        yield running


def scripts_of(page: Page) -> list[str]:
    """The paths of Plotly's scripts that the page has loaded."""
    paths: list[str] = page.evaluate(
        "() => performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"
    )
    return [path for path in paths if "plotly" in path.rsplit("/", 1)[-1].lower()]


def test_bars_and_lines_need_a_quarter_of_plotly(site: Site, opened: Open) -> None:
    page = opened(site.url)
    bars = page.locator(".js-plotly-plot .barlayer .point path")
    expect(bars.first).to_be_visible()
    (script,) = scripts_of(page)
    assert script.startswith("/charts/")
    page.get_by_role("tab", name="Sales Timeline").click()
    expect(page.locator(".js-plotly-plot .scatterlayer .js-line").first).to_be_visible()
    page.get_by_role("tab", name="Rejected Messages").click()
    expect(page.locator(".js-plotly-plot .legend").first).to_be_visible()
    assert scripts_of(page) == [script]
    address = f"http://localhost:{site.port}{script}"
    with urllib.request.urlopen(address) as plain:
        whole = plain.read()
        assert "immutable" in plain.headers["Cache-Control"]
    assert len(whole) < 1_300_000
    asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.read()) == whole


def test_other_charts_get_the_whole_script(own: Site, opened: Open) -> None:
    page = opened(f"{own.url}?tab=Heat")
    bars, cells = (page.locator(f".js-plotly-plot {kind}") for kind in (".barlayer .point path", ".heatmaplayer image"))
    expect(bars).to_have_count(2)
    (small,) = scripts_of(page)
    for _ in range(2):
        page.get_by_text("Heatmap", exact=True).click()
        expect(cells).to_have_count(1)
        expect(bars).to_have_count(0)
        page.get_by_text("Bar", exact=True).click()
        expect(bars).to_have_count(2)
        expect(cells).to_have_count(0)
    whole = next(path for path in scripts_of(page) if path != small)
    assert whole.endswith(f"/{chart_script.WHOLE.name}")
    assert len(scripts_of(page)) == 2


def test_every_script_and_the_style_sheet_are_in_the_first_answer(site: Site, opened: Open) -> None:
    page = opened(site.url)
    expect(page.locator(".js-plotly-plot .barlayer .point path").first).to_be_visible()
    loaded: list[str] = page.evaluate(
        "() => performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"
        ".filter(path => path.endsWith('.js'))"
    )
    asked = urllib.request.Request(f"http://localhost:{site.port}/", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked) as packed:
        assert packed.headers["Cache-Control"] == "no-cache"
        index = gzip.decompress(packed.read()).decode()
    with urllib.request.urlopen(f"http://localhost:{site.port}/") as plain:
        assert plain.read().decode() == index
        assert plain.headers["Content-Security-Policy"]
    assert style.SHEET in index.partition("<body>")[2]
    assert len(loaded) > 60
    assert [path for path in loaded if path.rsplit("/", 1)[-1] not in index] == []


def test_with_another_version_of_streamlit_its_own_answer_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "index.html"
    other.write_bytes(early_scripts.INDEX.read_bytes() + b"<!-- another -->")
    monkeypatch.setattr(early_scripts, "INDEX", other)
    early_scripts.index.cache_clear()
    assert early_scripts.routes("/", "/charts/") == []
    early_scripts.index.cache_clear()


def test_the_server_has_drawn_the_page_before_the_first_viewer(tmp_path: Path) -> None:
    toml(tmp_path)
    sample_lake.make(sample_lake.settings_at(tmp_path), 300, sample_lake.Shape(days=3), lots=2)
    with serve(tmp_path) as running:
        records = running.settings.state / "run"
        # it answers nobody before: the first record of the page's own run is there
        assert [json.loads(path.read_text())["phase"] for path in records.glob("page*.json")] == ["running"]

        def drawn() -> bool:
            found = [json.loads(path.read_text()) for path in records.glob("page*.json")]
            return any(
                record["viewers"] == 0 and sum(record["refresh_times"].get("tab", {}).get("counts", ())) == 1
                for record in found
            )

        wait_for(drawn, "the page was drawn once, and nobody looks at it", 60)
    assert "not loaded in advance" not in (tmp_path / "streamlit.log").read_text()
