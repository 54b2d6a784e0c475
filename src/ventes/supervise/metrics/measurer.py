"""The child process that measures what the supervisor cannot: it has no Kafka client and no Arrow (check/measure.py).

It is started when metrics are first asked for, and ends by itself some minutes after the last time: a pipeline whose
metrics nobody reads does not pay for it.
"""

from __future__ import annotations

import math
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from ventes.runtime.measured import Measured
from ventes.supervise import services

COMMAND = (sys.executable, "-m", "ventes.check.measure")
ANSWER_SECONDS = 4.0
"""How long `latest` waits for an answer. A measurement takes 2 s at most; the process needs a second to start."""
HANGS_SECONDS = 60.0
"""Without an answer for so long the process is replaced."""
FRESH_SECONDS = 2.0
"""A measurement of so long ago answers too: however often it is asked, the services are asked at this interval."""
LONGEST_ANSWER = 1_000_000
"""Bytes."""


class Measurer:
    """Call `latest` from any thread, `reap` from time to time, and `close` at the end."""

    def __init__(
        self, environment: Mapping[str, str], command: Sequence[str] = COMMAND, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._environment = dict(environment)
        self._command = list(command)
        self._fresh = fresh_seconds
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None
        """time.monotonic() of the request that is not answered yet."""
        self._incoming = b""
        self._answer: Measured | None = None
        self._answered_at = -math.inf
        self._closed = False

    def latest(self, seconds: float = ANSWER_SECONDS) -> Measured | None:
        """What is measured for this call, or was FRESH_SECONDS before; None if that takes longer than `seconds`."""
        until = time.monotonic() + seconds
        if not self._guard.acquire(timeout=seconds):
            return None
        try:
            if self._closed:
                return None
            if time.monotonic() - self._answered_at <= self._fresh:
                return self._answer
            late = self._asked_at is not None  # the answer to an earlier call comes first, and is too old
            if self._is_answered(until) and (not late or self._is_answered(until)):
                return self._answer
            return None
        except (OSError, ValueError, TypeError, KeyError):  # it has ended, cannot be started, or wrote nonsense
            self._end()
            return None
        finally:
            self._guard.release()

    def reap(self) -> None:
        """Take note of a process that has ended by itself."""
        if (process := self._process) is not None:
            process.poll()

    def close(self) -> None:
        """End the process. It holds nothing that could be lost."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()  # whoever waits for its answer stops waiting
        with self._guard:
            self._end()

    def _is_answered(self, until: float) -> bool:
        """Send a request, unless one is not answered yet, and wait for its answer.

        Raises OSError, and ValueError, TypeError or KeyError for an answer that is none.
        """
        hangs = self._asked_at is not None and time.monotonic() - self._asked_at > HANGS_SECONDS
        if hangs or (self._process is not None and self._process.poll() is not None):
            self._end()
        if self._process is None:
            self._process = self._started()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._asked_at is None:
            self._process.stdin.write(b"\n")
            self._asked_at = time.monotonic()
        line = self._line(self._process.stdout.fileno(), until)
        if line is None:
            return False
        self._asked_at = None
        self._answer, self._answered_at = Measured.from_json(line), time.monotonic()
        return True

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=services.folder(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the terminal of `ventes start --foreground` is for the supervisor
        )

    def _line(self, source: int, until: float) -> bytes | None:
        """The next line of the process; None if it takes too long. Raises OSError if there will be none."""
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while b"\n" not in self._incoming:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                data = os.read(source, 65_536)
                if not data or len(self._incoming) > LONGEST_ANSWER:
                    raise OSError("no answer will come")
                self._incoming += data
        line, _, self._incoming = self._incoming.partition(b"\n")
        return line

    def _end(self) -> None:
        process, self._process, self._asked_at, self._incoming = self._process, None, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
