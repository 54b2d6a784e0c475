"""The writer lock, held by the JVM: it commits, and runs up to 2.5 s longer than a killed Python driver.

The same POSIX lock as lake.writer_lock.WriterLock, so the engines exclude each other; the kernel releases it when the
JVM ends.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ventes.errors import AlreadyRunning
from ventes.lake import writer_lock


class JvmLock:
    """The right to commit, taken in Spark's JVM.

    Keep the object as long as the lock is needed: when Python frees it, py4j releases the file object, Java's garbage
    collector closes the file, and the lock is lost.
    """

    def __init__(self, jvm: Any, path: Path) -> None:
        self._jvm = jvm
        self.path = path
        self._file: Any = None

    def acquire(self) -> None:
        """Take the lock or raise AlreadyRunning at once, naming the holder's pid."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._jvm.java.io.RandomAccessFile(str(self.path), "rw")
        locked = os.stat(self.path)
        lock = file.getChannel().tryLock()
        if lock is None:
            file.close()
            pid = writer_lock.holder(self.path)
            raise AlreadyRunning(
                f"already running, pid {pid or 'unknown'} holds {self.path}", "ventes status; ventes stop"
            )
        self._file = file
        self._locked = locked
        self.require()

    def require(self) -> None:
        """Raise LockLost unless the file at `path` is the one that is locked."""
        if self._file is None or not writer_lock.same_file(self.path, self._locked):
            raise writer_lock.lost(self.path)

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
