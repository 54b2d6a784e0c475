"""Which of Streamlit's scripts the page needs to draw itself, for ventes.dashboard.early_scripts.

    python -m harness.early_scripts     # after another version of Streamlit was installed

The page is opened in Chromium without the links. What it loads until its bars are drawn and index.html does not name is
written to early_scripts.json.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from harness import sample_lake
from harness.page_site import BROWSER_FLAGS, serve, toml
from ventes.dashboard.early_scripts import INDEX, SCRIPTS

LOADED = "() => performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)"


def main() -> None:
    index = INDEX.read_bytes()
    SCRIPTS.write_text(json.dumps({"index_sha256": "", "scripts": []}), encoding="utf-8")  # so that none is linked
    found = {"index_sha256": hashlib.sha256(index).hexdigest(), "scripts": needed(index.decode())}
    SCRIPTS.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{SCRIPTS}: {len(found['scripts'])} scripts")


def needed(index: str) -> list[str]:
    """The names of the scripts in the order in which they are loaded."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        toml(Path(folder))
        sample_lake.make(sample_lake.settings_at(Path(folder)), 2000, sample_lake.Shape(days=3), lots=2)
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_FLAGS)
        with serve(Path(folder)) as site:
            page = browser.new_page()
            page.goto(site.url)
            page.locator(".js-plotly-plot .barlayer .point path").first.wait_for()
            paths = page.evaluate(LOADED)
        browser.close()
    names = [path.rsplit("/", 1)[-1] for path in paths if "/static/js/" in path]
    return [name for name in dict.fromkeys(names) if name not in index]


if __name__ == "__main__":
    main()
