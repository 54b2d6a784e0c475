"""The page under test: a lake without a pipeline, Streamlit as a separate process, Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, expect, sync_playwright
from streamlit.testing.v1 import AppTest

from harness import sample_lake
from harness.page_site import BROWSER_FLAGS, DESKTOP, SCRIPT, Site, serve, toml

expect.set_options(timeout=25_000)  # a page refreshes every 5 s, and the machine may be busy

Run = Callable[..., AppTest]
"""One run of the page without a browser: `run(tab, **query)`."""


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page over 2,000 sales with hostile names among them."""
    folder = tmp_path_factory.mktemp("site")
    toml(folder)
    shape = sample_lake.Shape(days=10, hostile=sample_lake.HOSTILE)
    sample_lake.make(sample_lake.settings_at(folder), 2000, shape, lots=4)
    with serve(folder) as running:
        yield running


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium` (or Google Chrome) for the browser tests")
    with tempfile.TemporaryDirectory() as home:
        running = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS, env={**os.environ, "HOME": home})
        yield running
        running.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests: Streamlit's own files are loaded once."""
    shared = browser.new_context(viewport=DESKTOP, accept_downloads=True)
    shared.set_default_timeout(40_000)
    yield shared
    shared.close()


@pytest.fixture
def opened(context: BrowserContext) -> Iterator[Callable[..., Page]]:
    """`opened(url)`: a new page. At the end no page may have raised an error or sent a request to another machine."""
    pages: list[Page] = []
    troubles: list[str] = []

    def open_page(url: str, size: ViewportSize = DESKTOP, scheme: Literal["light", "dark"] = "light") -> Page:
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        home = url.split("/?")[0].rstrip("/")
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _note_strangers(request.url, home, troubles))
        page.goto(url)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not troubles


def _note_strangers(url: str, home: str, troubles: list[str]) -> None:
    if not url.startswith((home, "data:", "blob:", "ws:")):
        troubles.append(f"asked another machine: {url}")


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(tab, table, **query)`: one run of the page over the module's `folder`, without an exception or an error.
    `table`: the key of the table under a chart that is unfolded."""

    def go(tab: str | None = None, table: str = "", **query: str | list[str]) -> AppTest:
        monkeypatch.setenv("VENTES_CONFIG", str(folder / "ventes.toml"))
        page = AppTest.from_file(str(SCRIPT), default_timeout=60)
        for name, value in {**({"tab": tab} if tab else {}), **query}.items():
            page.query_params[name] = value
        if table:
            page.session_state[f"_table-{table}"] = True
        page.run()
        assert not page.exception, page.exception
        assert not [one.value for one in page.error]
        return page

    return go
