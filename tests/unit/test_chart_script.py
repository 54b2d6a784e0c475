"""The part of Plotly's script that the page's charts need."""

from __future__ import annotations

import json
from pathlib import Path

from harness import plotly_parts
from ventes.dashboard import chart_script


def test_the_parts_are_of_the_installed_plotly() -> None:
    """After another version was installed: `python -m harness.plotly_parts`."""
    found = chart_script.small()
    assert found is not None
    assert len(found.plain) < chart_script.WHOLE.stat().st_size / 4


def test_the_parts_are_those_that_are_found_again() -> None:
    parts = json.loads(chart_script.PARTS.read_text(encoding="utf-8"))
    assert [tuple(part) for part in parts["keep"]] == plotly_parts.keep(chart_script.WHOLE.read_bytes())


def test_another_file_has_no_small_script(tmp_path: Path) -> None:
    other = tmp_path / "plotly.min.js"
    other.write_bytes(chart_script.WHOLE.read_bytes() + b"\n")
    assert chart_script.small(other) is None
