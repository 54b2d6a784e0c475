#!/usr/bin/env python3
"""`make screenshots`: the pictures in this folder, from a page over sales of its own (or from --url, a page that runs).

Needs Chromium (`apt-get install chromium`). Sales, ports and folders are its own: a running pipeline is not touched.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from playwright.sync_api import Page, sync_playwright  # noqa: E402

from tests.page.conftest import BROWSER_FLAGS, DESKTOP, serve, toml  # noqa: E402
from tests.support import sample_lake  # noqa: E402

PHONE = {"width": 390, "height": 844}
PICTURES: list[tuple[str, dict[str, Any], str, str]] = [
    ("page-light", dict(DESKTOP), "light", ""),
    ("page-dark", dict(DESKTOP), "dark", "?tab=Sales+Timeline"),
    ("page-phone", PHONE, "light", ""),
    ("loyalty-light", dict(DESKTOP), "light", "?tab=Segments+%26+Loyalty"),
    ("rejected-light", dict(DESKTOP), "light", "?tab=Rejected+Messages"),
    ("sql-dark", dict(DESKTOP), "dark", "?tab=SQL&q=SELECT+categorie,+COUNT(*)+AS+count,+SUM(montant)+AS+revenue%0A"
     "FROM+bronze_data%0AGROUP+BY+categorie%0AORDER+BY+revenue+DESC"),
]  # fmt: skip
"""Name, size, colours, what the address asks for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a page that runs, instead of one over sample sales")
    parser.add_argument("--to", type=Path, default=HERE)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium on this machine → apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.url is None:
            toml(folder)
            sample_lake.make(sample_lake.settings_at(folder), 40_000, sample_lake.Shape(days=30))
        with serve(folder) if options.url is None else nullcontext() as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
            for name, size, scheme, query in PICTURES:
                page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=2)  # type: ignore[arg-type]
                page.goto((options.url or site.url) + query)
                _settle(page)
                page.screenshot(path=str(options.to / f"{name}.png"))
                page.close()
                print(options.to / f"{name}.png")
            browser.close()


def _settle(page: Page) -> None:
    """Until figures and chart are drawn and nothing runs."""
    page.locator(".st-key-figures [data-testid=stMetricValue]").nth(4).wait_for()
    page.locator(".js-plotly-plot .main-svg, [data-testid=stDataFrame] canvas").first.wait_for()
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main()
