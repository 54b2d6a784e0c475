"""The parent's side of one child process of the sandbox: started, waited for within a time limit, ended in any case."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ventes.query.outcome import SqlFailed, perhaps
from ventes.runtime.child_environment import variables

PROGRAM = Path(__file__).with_name("sandbox_child.py")
START_SECONDS = 30.0
"""How long a child may take until it is ready, on a busy machine."""
_COMPLAINT = 20_000
"""Bytes of the child's stderr that are kept."""
_SHOWN = 2_000
"""Characters of an error that a person sees."""


def _candidate(message: str) -> str:
    """The column or table that DuckDB proposes, if it is like the one that it did not find."""
    missing = re.search(r'Referenced (?:column|table) "([^"]+)" not found', message)
    _, _, proposed = message.partition("\nCandidate ")
    return perhaps(missing[1], re.findall(r'"([^"]+)"', proposed)) if missing else ""


class DataFileUnreadable(Exception):
    """The child cannot read the data file `path`. The sandbox knows whose it is."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Child:
    """One child process with the pipes to it."""

    def __init__(self, program: str, task: dict[str, Any], seconds: float | None, memory_mb: int) -> None:
        """`program` is "translate" or "run"; `seconds` and `memory_mb` are the limits that messages name."""
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._expired = False
        self._ready = False
        self._complaint = b""
        self._timer: threading.Timer | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM), program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables({}),
            cwd="/",
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._end_after(START_SECONDS)
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                pipe.write(json.dumps(task).encode())
        except BrokenPipeError:
            pass  # it has ended already; its stderr has the cause

    @property
    def out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _listen(self) -> None:
        """Read all of stderr, so that the child never waits, and keep its beginning."""
        assert self._process.stderr is not None
        while block := self._process.stderr.read(65536):
            self._complaint = (self._complaint + block)[:_COMPLAINT]

    def _end_after(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = threading.Timer(seconds, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def started(self) -> None:
        """Wait until it is ready; its time counts from now. Raises SqlFailed or DataFileUnreadable."""
        if self.out.read(1) != b"R":
            raise self.failure()
        self._ready = True
        self._end_after(self._seconds)

    def wait(self) -> None:
        """Wait for its end. Raises SqlFailed or DataFileUnreadable."""
        if self._process.wait() != 0:
            raise self.failure()

    def failure(self) -> SqlFailed | DataFileUnreadable:
        """Why there is no (more) answer."""
        self.out.close()
        status = self._process.wait()
        self._listener.join(5)
        if self._expired and not self._ready:
            return SqlFailed("the query could not be started in time", "try again when the machine is less busy")
        if self._expired or status == -signal.SIGXCPU:
            limit = "it may" if self._seconds is None else f"{self._seconds:g} s"
            return SqlFailed(
                f"the query took longer than {limit} and was ended",
                "narrow it (a WHERE on jour helps), or export the table",
            )
        return self._reported(status)

    def _reported(self, status: int) -> SqlFailed | DataFileUnreadable:
        text = self._complaint.decode("utf-8", "replace")
        try:
            report = json.loads(text)
        except ValueError:
            report = {"kind": "", "message": text, "path": None}
        if report["path"] is not None:
            return DataFileUnreadable(str(report["path"]))
        out_of_memory = report["kind"] in ("MemoryError", "OutOfMemoryException") or "std::" in text
        if out_of_memory or "bad_alloc" in text or status in (-signal.SIGKILL, -signal.SIGABRT):
            return SqlFailed(
                f"the query needs more than the {self._memory_mb} MB it may use",
                "aggregate earlier or read fewer columns",
            )
        if status < 0:
            return SqlFailed(f"the query ended DuckDB with {signal.Signals(-status).name}", "write it more simply")
        message = str(report["message"]).strip()
        first = (message.splitlines() or [""])[0].rstrip(".!")
        first = first if len(first) <= _SHOWN else first[: _SHOWN - 1] + "…"
        return SqlFailed(first or f"the query ended with status {status}", f"correct the query{_candidate(message)}")

    def end(self) -> None:
        """No process, no thread and no pipe of it is left."""
        self._end_after(None)
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def child(program: str, task: dict[str, Any], seconds: float | None, memory_mb: int) -> Iterator[Child]:
    """A child process that has begun its task, ended after the block."""
    process = Child(program, task, seconds, memory_mb)
    try:
        process.started()
        yield process
    finally:
        process.end()
