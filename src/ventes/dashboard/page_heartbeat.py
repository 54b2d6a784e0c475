"""The page's own heartbeat record, for `ventes status` and the supervisor."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ventes.runtime.heartbeat import Reporter

PERIOD_SECONDS = 5.0


class PageHeartbeat:
    """Writes the record at most once per PERIOD_SECONDS. Threads may share it."""

    def __init__(self, state: Path) -> None:
        self._reporter = Reporter(state, "page")
        self._next = 0.0
        self._guard = threading.Lock()

    def beat(self) -> None:
        """Write the heartbeat. Call it in every run of the page; without a viewer it is not renewed."""
        with self._guard:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + PERIOD_SECONDS
                self._reporter.update(phase="running")
