"""The pipeline's status, asked in the background by one thread for all sessions, while the page is open anywhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ventes.runtime.pipeline_status import Status

PAUSE_SECONDS = 3.0
"""Seconds between an answer and the next request."""
FRESH_SECONDS = 8.0
"""Maximum age of an answer in seconds."""
IDLE_SECONDS = 45.0
"""The thread ends after so long without a call of `latest`; a page refreshes every 30 s at the slowest."""
FIRST_ANSWER_SECONDS = 2.5
"""How long `latest` waits for the first answer."""

_log = logging.getLogger("ventes.page")


class StatusPoller:
    """Calls `ask` repeatedly as long as `latest` is called. Thread-safe."""

    def __init__(
        self, ask: Callable[[], Status], pause_seconds: float = PAUSE_SECONDS, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._ask = ask
        self._pause = pause_seconds
        self._idle = idle_seconds
        self._guard = threading.Lock()
        self._answered = threading.Event()
        self._answer: Status | None = None
        self._wanted = 0.0
        self._thread: threading.Thread | None = None

    def latest(self) -> Status | None:
        """The last answer, at most FRESH_SECONDS old, or None."""
        with self._guard:
            self._wanted = time.monotonic()
            if self._thread is None:
                self._answered.clear()
                self._thread = threading.Thread(target=self._poll, name="status", daemon=True)
                self._thread.start()
        self._answered.wait(FIRST_ANSWER_SECONDS)
        answer = self._answer
        return answer if answer is not None and time.time() - answer.asked_at <= FRESH_SECONDS else None

    def _poll(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._answer = self._ask()
            except Exception as error:  # the status is shown as unknown; the next request may succeed
                if isinstance(error, RuntimeError) and "shutdown" in str(error):
                    return  # the process is ending
                _log.exception("the status of the pipeline could not be asked")
            self._answered.set()
            pause.wait(self._pause)
            with self._guard:
                if time.monotonic() - self._wanted > self._idle:
                    self._thread = None
                    return
