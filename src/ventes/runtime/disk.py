"""Free disk space, and the message when there is too little."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from ventes.config import Settings

MEGABYTE = 1_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_MB = 20
"""With less than this free, what a full disk has ended would soon end again."""


def free_mb(folder: Path) -> int:
    """Free megabytes (10^6 bytes) on the disk of `folder`. Raises OSError if it does not exist."""
    return shutil.disk_usage(folder).free // MEGABYTE


def shortage(folder: Path, least_mb: int) -> str:
    """A message if the disk of `folder` has less than `least_mb` free, else ''."""
    free = free_mb(folder)
    if free >= least_mb:
        return ""
    return (
        f"the disk of {folder} has {free} MB free, less than maintenance.min_free_mb = {least_mb}: "
        "free some space, it continues by itself"
    )


def full(settings: Settings) -> str:
    """`full_disk` with the next step, for what goes on by itself; '' if none is full."""
    found = full_disk(settings)
    return f"{found}: free some space, it continues by itself" if found else ""


def full_disk(settings: Settings) -> str:
    """The first folder of the pipeline whose disk is full, in words; '' if none is.

    A folder that does not exist is not full. What writes to a full disk ends, or writes nothing, until there is space.
    """
    for folder in (settings.state, settings.lake, settings.folders["logs"]):
        with suppress(OSError):
            if (free := free_mb(folder)) < FULL_MB:
                return f"the disk of {folder} is full ({free} MB free)"
    return ""


def reason(error: OSError) -> str:
    """An error of `is_full` as the reason for which a job waits."""
    return f"disk full: {error}; free some space, it continues by itself"


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk, or the user's share of it, is full."""
    return error.errno in _FULL


def is_told_full(text: str) -> bool:
    """Whether another program's message says that a disk, or the user's share of it, is full."""
    return any(os.strerror(code) in text for code in _FULL)


def mount_of(folder: Path) -> str:
    """The mount point that holds `folder`."""
    real = folder.resolve()
    inside = [part.mountpoint for part in psutil.disk_partitions(all=True) if real.is_relative_to(part.mountpoint)]
    return max(inside, key=len, default="/")
