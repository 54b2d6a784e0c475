"""A page of its own over a lake of its own, as `ventes start` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, WebSocketRoute
from streamlit.proto.BackMsg_pb2 import BackMsg

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
"""Of a headless Chromium."""


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
def serve(folder: Path, script: Path = SERVER, *flags: str, base: str = "", port: int | None = None) -> Iterator[Site]:
    """`streamlit run` of `script`, until it answers. `base`: the path under which the page is, ending in a slash.
    `port`: by default a free one."""
    config = folder / "ventes.toml"
    port = port or free_ports(1)[0]
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


def open_downloads(page: Page) -> None:
    """Open the dialog of the downloads."""
    page.get_by_text("Operator", exact=True).click()
    page.get_by_role("button", name="Downloads").click()
    page.get_by_role("dialog").wait_for()


class Requests:
    """The requests that a page has sent to its server, to send them again. Made before the page is opened."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._whole: bytes | None = None
        self._of_fragments: dict[str, bytes] = {}  # by the fragment's id
        self._server: WebSocketRoute | None = None
        page.route_web_socket("**/_stcore/stream", self._between)

    def _between(self, browser: WebSocketRoute) -> None:
        self._server = server = browser.connect_to_server()
        self._whole, self._of_fragments = None, {}

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, bytes):
                asked = BackMsg.FromString(message)
                if fragment := asked.rerun_script.fragment_id:
                    self._of_fragments[fragment] = message
                elif asked.HasField("rerun_script"):
                    self._whole = self._whole or message
            server.send(message)

        browser.on_message(pass_on)

    def wait_for_fragments(self) -> None:
        """Until a fragment was asked for, which each does by itself at its interval."""
        deadline = time.monotonic() + 60
        while not self._of_fragments:
            assert time.monotonic() < deadline
            self._page.wait_for_timeout(50)

    def for_fragments(self) -> None:
        """Send one for each fragment, as if it had been late."""
        assert self._of_fragments
        for message in self._of_fragments.values():
            self._send(message)

    def for_the_page(self) -> None:
        """Send one for the whole page."""
        assert self._whole is not None
        self._send(self._whole)

    def _send(self, message: bytes) -> None:
        assert self._server is not None
        self._server.send(message)
