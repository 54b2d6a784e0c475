"""Handles SIGTERM and SIGINT of a long-running process: the handler only sets a flag.

Python runs its signal handlers in the main thread, between two bytecode instructions: if the main thread is inside a
query or a large Arrow call, the flag is set after that. For an earlier reaction give `install` a function; it is
called from a separate thread, which the interpreter's C handler wakes at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopper:
    """Set by SIGTERM or SIGINT. A second SIGINT ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: str | None = None

    def install(self, announce: Callable[[str], None] | None = None) -> Stopper:
        """Take over SIGTERM and SIGINT. Only in the main thread.

        `announce` is called once, with the name of the first of these signals, within milliseconds of it: in another
        thread, and often before `stopping` is true.
        """
        if announce is not None:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(writer, False)
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            threading.Thread(target=_announce_first, args=(reader, announce), name="signals", daemon=True).start()
        for number in SIGNALS:
            signal.signal(number, self._note)
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
        """Wait up to `seconds`; True as soon as a stop was requested."""
        return self._event.wait(seconds)


def _announce_first(reader: int, announce: Callable[[str], None]) -> None:
    while (number := os.read(reader, 1)[0]) not in SIGNALS:  # a byte for each signal that has a Python handler
        pass
    announce(signal.Signals(number).name)
