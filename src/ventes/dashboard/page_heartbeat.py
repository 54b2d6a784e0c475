"""The page's own heartbeat record, for `ventes status`, the supervisor and the metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ventes.config import Settings
from ventes.runtime.distribution import REFRESH_SECONDS, Distribution
from ventes.runtime.heartbeat import VIEWER_SECONDS, Reporter

PERIOD_SECONDS = 5.0
PARTS = ("line", "figures", "tab")
"""The parts of the page that are refreshed."""


_started: dict[str, str] = {}
"""Fields of the record: with which settings the process was started. Empty for a page without the web server."""


def start(settings: Settings) -> None:
    """Note with which settings this process is started, and write a first record: the page may never be opened."""
    _started.update(settings.fingerprints("page"), login=settings.login_fingerprint())
    Reporter(settings.state, "page").update(phase="starting", **_started)


class PageHeartbeat:
    """Writes the record at most once per PERIOD_SECONDS. Threads may share it."""

    def __init__(self, state: Path) -> None:
        self._reporter = Reporter(state, "page")
        self._next = 0.0
        self._guard = threading.Lock()
        self._seen: dict[str, float] = {}
        """Session → when it was last drawn."""
        self._times = {part: Distribution(REFRESH_SECONDS) for part in PARTS}

    def beat(self, session: str) -> None:
        """Write the heartbeat. Call it in every run of the page; without a viewer it is not renewed."""
        now = time.monotonic()
        with self._guard:
            self._seen[session] = now
            if now >= self._next:
                self._next = now + PERIOD_SECONDS
                self._write(now)

    def left(self, session: str) -> None:
        """The session's browser has disconnected."""
        with self._guard:
            if self._seen.pop(session, None) is not None:
                self._write(time.monotonic())

    def _write(self, now: float) -> None:
        self._seen = {key: at for key, at in self._seen.items() if now - at < VIEWER_SECONDS}
        times = {part: found.record() for part, found in self._times.items()}
        self._reporter.update(phase="running", viewers=len(self._seen), refresh_times=times, **_started)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Measure the block as one refresh of `part`, also if it ends with an exception (Streamlit's rerun is one)."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._guard:
                self._times[part].add(time.monotonic() - began)
