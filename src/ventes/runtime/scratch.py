"""Temporary folders: each process has one of its own. Those of processes that were killed are removed by the next one,
and by the supervisor at its end.

The folder is in the system's temporary folder (TMPDIR) and locked while its process lives (flock), which also keeps
systemd-tmpfiles away from it.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "ventes-scratch-"
ATTEMPTS = 100
"""Another process may take a new folder for an old one, before it is locked."""


@dataclass(frozen=True)
class _Own:
    pid: int
    path: Path


_guard = threading.Lock()
_numbers = itertools.count(1)
_own: _Own | None = None


def folder() -> Path:
    """This process's own folder; removed when the process ends. Raises OSError."""
    global _own
    with _guard:
        if _own is None or _own.pid != os.getpid() or not _own.path.is_dir():
            _own = _Own(os.getpid(), _made(Path(tempfile.gettempdir())))
        return _own.path


def place(name: str) -> Path:
    """A path in it that nothing has and nobody else is given. Raises OSError."""
    return folder() / f"{name}-{next(_numbers)}"


def sweep() -> None:
    """Remove the folders of processes that have ended without doing so."""
    for other in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if (handle := _locked(other)) is not None:
            shutil.rmtree(other, ignore_errors=True)
            os.close(handle)


def _made(parent: Path) -> Path:
    sweep()
    for _ in range(ATTEMPTS):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if _locked(path) is not None and path.is_dir():  # the handle stays open: it is the lock
            return path
    raise OSError(f"every new folder in {parent} is removed by another process")


def _locked(path: Path) -> int | None:
    """A handle that locks the folder; None if it is locked, not there, or another user's."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(handle).st_uid == os.getuid():
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
    return None


@atexit.register
def remove() -> None:
    """Remove this process's own folder. For a process that ends by os._exit; others do it by themselves."""
    if _own is not None and _own.pid == os.getpid():  # not in a child that was forked
        shutil.rmtree(_own.path, ignore_errors=True)
