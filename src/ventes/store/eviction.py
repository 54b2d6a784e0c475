"""Keeps a mirror within its bound: deletes the data files that were not used for longest. They can be fetched again.

A file counts as used from the moment when a reader asked for it (its access time, which is set here, because file
systems need not keep it). One that was used within KEPT seconds stays, even above the bound: a query opens its files
one after the other. A file that is open stays readable for who has it open.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT = 900.0
"""Seconds: a query of the page has a minute at most, a part that verify or a job reads takes less; an export of a whole
table opens its files within so long at 100 MB/s and 80 GB."""
NOTED = 30.0
"""Seconds between two notes that a file is used."""
EVERY = 60.0
"""Seconds between two looks at the size of the mirror by one process, and STEP bytes written or fetched."""
STEP = 64_000_000
OLD_LOG = 3600.0
"""Age from which commits go that a newer checkpoint in the mirror stands for."""
_TEMPORARY_AGE = 3600.0
_LOG = re.compile(r"(\d{20})(\.checkpoint.*\.parquet|\.json)")


def use(path: Path, size: int) -> bool:
    """Note that a file is used; False if it is not there with this size."""
    try:
        status = path.stat()
    except OSError:
        return False
    if status.st_size != size:
        return False
    now = time.time()
    if now - status.st_atime > NOTED:
        with suppress(OSError):
            os.utime(path, ns=(int(now * 1e9), status.st_mtime_ns))
    return True


def run(root: Path, most: int, now: float | None = None) -> int:
    """Delete data files until they have `most` bytes together; returns the bytes deleted.

    Nothing is done while another process does it.
    """
    now = time.time() if now is None else now
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _run(root, most, now)
    except BlockingIOError:
        return 0
    finally:
        os.close(handle)


def _run(root: Path, most: int, now: float) -> int:
    found = list(_data_files(root, now))
    left = total = sum(status.st_size for _, status in found)
    for path, status in sorted(found, key=lambda one: one[1].st_atime):
        if left <= most or now - status.st_atime < KEPT:
            break
        path.unlink(missing_ok=True)
        left -= status.st_size
    return total - left


def _data_files(root: Path, now: float) -> Iterator[tuple[Path, os.stat_result]]:
    """The data files; on the way old commits and what killed processes left are deleted."""
    for folder, inner, names in os.walk(root):
        if Path(folder).name == "_delta_log":
            _trim(Path(folder), names, now)
            continue
        inner[:] = [name for name in inner if name == "_delta_log" or not name.startswith("_")]
        for name in names:
            path = Path(folder, name)
            with suppress(FileNotFoundError):
                status = path.stat()
                if name.endswith(".tmp") and now - status.st_mtime > _TEMPORARY_AGE:
                    path.unlink()
                elif name.endswith(".parquet") and not name.startswith("."):
                    yield path, status


def _trim(log: Path, names: list[str], now: float) -> None:
    parsed = [(int(match[1]), match[0]) for name in names if (match := _LOG.fullmatch(name))]
    newest = max((version for version, name in parsed if name.endswith(".parquet")), default=-1)
    for version, name in parsed:
        with suppress(FileNotFoundError):
            if version < newest and now - (log / name).stat().st_mtime > OLD_LOG:
                (log / name).unlink()
