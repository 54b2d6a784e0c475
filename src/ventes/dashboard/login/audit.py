"""page_audit.log: a JSON object on each line, for a login, a log-out, a refusal, a query and a download.

    {"time": "2026-03-01T12:00:00.000Z", "event": "sql", "who": "anna@example.com", "role": "analyst",
     "from": "10.0.3.7", "query": "SELECT …"}

No token, no cookie and no ticket of a download is written, and known secrets are blanked. The file is private to the
pipeline's user, and rotated as the other logs are ([logs]).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import datetime, timezone

from ventes.config import Settings
from ventes.runtime.logs import LogFile
from ventes.runtime.redaction import redacted

LONGEST = 4000
"""Characters of a value; the rest is left out."""
REPEAT_SECONDS = 60.0
"""The same refusal from the same address is written once in this time: a flood of them must not push out the rest."""
_KEPT = 1000
"""Refusals that are remembered for that."""


class Audit:
    """Writes the lines. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._file = LogFile(settings.log("audit"), settings.logs.max_mb * 1_000_000, settings.logs.keep)
        self._file.setFormatter(logging.Formatter("%(message)s"))
        self._refused: dict[tuple[str, ...], float] = {}
        self._guard = threading.Lock()

    def note(self, event: str, who: str, address: str, **what: str) -> None:
        """`address`: from where the request came, "" if that is unknown."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {"event": event, "who": who, "from": address, **what}
        short = {key: redacted(value)[:LONGEST] for key, value in values.items() if value}
        line = json.dumps({"time": now, **short})  # ASCII: no control or direction character reaches a terminal
        self._file.handle(logging.LogRecord("ventes.audit", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        self._file.close()

    def refused(self, who: str, address: str, why: str) -> None:
        """Write it, unless the same was written a moment ago."""
        key, now = (who, address, why), time.monotonic()
        with self._guard:
            if now - self._refused.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
                return
            if len(self._refused) >= _KEPT:
                self._refused.clear()
            self._refused[key] = now
        self.note("refused", who, address, why=why)
