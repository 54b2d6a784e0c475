"""How a long-running process is told to end: a handler that only takes a note."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Stopper:
    """Set by SIGTERM or SIGINT. A second SIGINT ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: str | None = None

    def install(self) -> Stopper:
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.stopping:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name
        self._event.set()

    def stop(self) -> None:
        self._event.set()

    @property
    def stopping(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; True as soon as the process shall end."""
        return self._event.wait(seconds)
