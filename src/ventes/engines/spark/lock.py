"""The writer lock, held by the JVM: it commits, and outlives a killed Python driver by up to 2.5 seconds.

The same POSIX lock as lake.locks.WriterLock, so each engine keeps the other out; the kernel frees it with the JVM.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ventes.errors import AlreadyRunning
from ventes.lake import locks


class JvmLock:
    """The right to commit, taken in Spark's JVM."""

    def __init__(self, jvm: Any, path: Path) -> None:
        self._jvm = jvm
        self.path = path
        self._file: Any = None

    def acquire(self) -> JvmLock:
        """Take the lock or raise AlreadyRunning at once, naming the holder's pid."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._jvm.java.io.RandomAccessFile(str(self.path), "rw")
        lock = file.getChannel().tryLock()
        if lock is None:
            file.close()
            pid = locks.holder(self.path)
            raise AlreadyRunning(
                f"already running, pid {pid or 'unknown'} holds {self.path}", "ventes status; ventes stop"
            )
        self._file = file
        return self

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
