"""The writer lock, held by the JVM: it writes the checkpoint, and runs up to 2.5 s longer than a killed Python driver.

The same POSIX lock as lake.writer_lock.WriterLock, so the engines exclude each other; the kernel releases it when the
JVM ends. The lease of a lake on an object store is held by Python, which alone writes to the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ventes.errors import AlreadyRunning
from ventes.lake import writer_lock
from ventes.store.lease import Lease


class JvmLock:
    """The right to commit, taken in Spark's JVM.

    Keep the object as long as the lock is needed: when Python frees it, py4j releases the file object, Java's garbage
    collector closes the file, and the lock is lost.
    """

    def __init__(self, jvm: Any, path: Path, waits: Callable[[str], None] = lambda reason: None) -> None:
        """`waits` is told while the lease of a lake on a store is waited for."""
        self._jvm = jvm
        self.path = path
        self._file: Any = None
        self._waits = waits
        self._lease: Lease | None = None

    def acquire(self) -> None:
        """Take the lock or raise AlreadyRunning at once, naming the holder's pid.

        For a lake on a store: WrittenElsewhere, which may take as long as a lease lasts.
        """
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
        try:
            self.require()
            self._lease = writer_lock.lease_of(self.path, self._waits)
        except BaseException:
            self.release()
            raise

    def require(self) -> None:
        """Raise LockLost unless the file at `path` is the one that is locked.

        For a lake on a store also if the lease was lost; StoreUnavailable if that is not known.
        """
        if self._file is None or not writer_lock.same_file(self.path, self._locked):
            raise writer_lock.lost(self.path)
        if self._lease is not None:
            self._lease.require()

    def release_lease(self) -> None:
        """Let another machine write: this process does not write to the store any more."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def release(self, *, jvm: bool = True) -> None:
        """`jvm`: whether the JVM still runs; otherwise it has released the lock."""
        self.release_lease()
        if self._file is not None and jvm:
            self._file.close()
        self._file = None
