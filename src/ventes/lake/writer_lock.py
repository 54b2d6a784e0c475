"""One writer per table group: POSIX record locks on <lake>/locks/*.lock, and for a lake on an object store a lease too.

The kernel releases them however the holder ends, also after `kill -9`, and Java's FileChannel.tryLock uses the same
kind, so a JVM and a Python process exclude each other. Readers need none.

A POSIX lock belongs to the process, and closing *any* descriptor of the file releases it: so the file is opened once,
here, and nowhere else in the process.

The lock is on the inode, not on the name: if the file is removed, another writer could lock a new one. So a holder
calls `require` before each commit.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

from ventes.config import Settings
from ventes.errors import AlreadyRunning, LockLost
from ventes.store import places
from ventes.store.lease import Lease

_FLOCK = "hhqqi4x"
"""struct flock on 64-bit Linux: type, whence, start, length, pid."""
_held: set[Path] = set()
"""Locks of this process: asking the kernel about them would open and close the file, and so release them."""


def lock_path(settings: Settings, name: str) -> Path:
    """The lock file of "bronze" or "silver"."""
    return settings.lake / "locks" / f"{name}.lock"


class WriterLock:
    """The right to commit. `with WriterLock(path):` or acquire/release."""

    def __init__(self, path: Path, waits: Callable[[str], None] = lambda reason: None) -> None:
        """`waits` is told while the lease of a lake on a store is waited for."""
        self.path = path
        self._handle: int | None = None
        self._waits = waits
        self._lease: Lease | None = None

    def acquire(self) -> WriterLock:
        """Take the lock or raise AlreadyRunning at once, naming the holder's pid.

        For a lake on a store: WrittenElsewhere, which may take as long as a lease lasts.
        """
        if self._handle is not None:
            return self
        if self.path in _held:
            raise AlreadyRunning(f"this process holds {self.path} already", "one writer a process")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _blocking_pid(handle)
            os.close(handle)
            raise AlreadyRunning(
                f"already running, pid {pid or 'unknown'} holds {self.path}", "ventes status; ventes stop"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        _held.add(self.path)
        self.require()  # the file may have been replaced between opening and locking
        try:
            self._lease = lease_of(self.path, self._waits)
        except BaseException:
            self.release()
            raise
        return self

    def require(self) -> None:
        """Raise LockLost unless the file at `path` is the one that is locked here. One stat call.

        For a lake on a store also if the lease was lost; StoreUnavailable if that is not known.
        """
        if self._handle is None or not same_file(self.path, os.fstat(self._handle)):
            raise lost(self.path)
        if self._lease is not None:
            self._lease.require()

    def release(self) -> None:
        if self._lease is not None:
            self._lease.release()
            self._lease = None
        if self._handle is not None:
            _held.discard(self.path)
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> WriterLock:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def lease_of(path: Path, waits: Callable[[str], None]) -> Lease | None:
    """The lease that belongs to the lock file `path`, taken; None for a lake in a folder, and for that of a rebuild.

    `waits` is told while it is waited for. Raises WrittenElsewhere.
    """
    mirror = places.of(path)
    return None if mirror is None or mirror.is_staged(path) else Lease(mirror, path.stem).acquire(waits)


def same_file(path: Path, locked: os.stat_result) -> bool:
    """Whether the file at `path` is the one that `locked` describes."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)


def lost(path: Path) -> LockLost:
    return LockLost(f"the lock file {path} was removed or replaced while it was held", "leave <lake>/locks alone")


def holder(path: Path) -> int | None:
    """Pid of the process that holds the lock, or None."""
    if path in _held:
        return os.getpid()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _blocking_pid(handle)
    finally:
        os.close(handle)


def _blocking_pid(handle: int) -> int | None:
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, question))
    return None if kind == fcntl.F_UNLCK else pid
