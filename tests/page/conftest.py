"""The page under test: a lake without a pipeline, Streamlit as a separate process, Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, sync_playwright

from harness import sample_lake
from harness.pipeline import free_ports
from ventes.config import PROJECT, Settings

SCRIPT = PROJECT / "streamlit_dashboard.py"
"""The page, as users start it by hand."""
SERVER = PROJECT / "streamlit_server.py"
"""The page as `ventes start` runs it: with downloads."""
DESKTOP: ViewportSize = {"width": 1400, "height": 1000}
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def toml(folder: Path, more: str = "") -> Path:
    """A ventes.toml for a separate lake under `folder`."""
    path = folder / "ventes.toml"
    path.write_text(
        f'[paths]\nlake = "{folder}/delta"\nlogs = "{folder}"\nstate = "{folder}/state"\n'
        f"[kafka]\nport = 19898\ncontroller_port = 19899\n{more}",
        encoding="utf-8",
    )
    return path


@dataclass(frozen=True)
class Site:
    """A running page."""

    url: str
    port: int
    pid: int
    folder: Path
    settings: Settings

    def append(self, rows: int) -> None:
        """Sales dated now, written as the jobs write them."""
        first = sample_lake.next_offset(self.settings)
        sample_lake.add(self.settings, sample_lake.messages(first, rows, datetime.now(timezone.utc)))


@contextmanager
def serve(folder: Path, script: Path = SERVER, *flags: str, base: str = "") -> Iterator[Site]:
    """`streamlit run` of `script`, until it answers. `base`: the path under which the page is, ending in a slash."""
    config = folder / "ventes.toml"
    (port,) = free_ports(1)
    with (folder / "page.out").open("wb") as out:
        place = (f"--server.port={port}", f"--server.baseUrlPath={base}")
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(script), *place, *flags],
            cwd=PROJECT,
            env={**os.environ, "VENTES_CONFIG": str(config), "PYTHONPATH": str(PROJECT / "src")},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _until_healthy(f"{port}/{base}", process, folder / "page.out")
            yield Site(f"http://localhost:{port}/{base}", port, process.pid, folder, sample_lake.settings_at(folder))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_healthy(place: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"streamlit ended: {log.read_text(errors='replace')[-2000:]}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{place}_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"streamlit does not answer: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page over 2,000 sales with hostile names among them."""
    folder = tmp_path_factory.mktemp("site")
    toml(folder)
    shape = sample_lake.Shape(days=10, hostile=sample_lake.HOSTILE)
    sample_lake.make(sample_lake.settings_at(folder), 2000, shape, lots=4)
    with serve(folder) as running:
        yield running


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium` (or Google Chrome) for the browser tests")
    with tempfile.TemporaryDirectory() as home:
        running = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS, env={**os.environ, "HOME": home})
        yield running
        running.close()


@pytest.fixture(scope="session")
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
