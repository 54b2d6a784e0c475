"""Putting one folder in another's place, so that whoever looks sees the one or the other and never neither."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from ventes.runtime.files import sync_folder

_AT_FDCWD = -100
_EXCHANGE = 2
"""RENAME_EXCHANGE of linux/fs.h."""
_NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP}
"""The file system, or the kernel, has no exchange."""


def swap_folders(new: Path, old: Path) -> None:
    """`new` and `old` change places, on the disk when this returns. `old` need not be there yet.

    One atomic step on ext4, xfs, btrfs and tmpfs. Elsewhere two renames: a crash between them leaves `new` in its place
    and nothing at `old`; calling this again mends that.
    """
    if not old.exists():
        os.rename(new, old)
    elif not _exchanged(new, old):
        aside = new.with_name(new.name + ".old")
        os.rename(old, aside)
        os.rename(new, old)
        os.rename(aside, new)
    for folder in {new.parent, old.parent}:
        sync_folder(folder)


def _exchanged(new: Path, old: Path) -> bool:
    """Ask the kernel for the exchange; False where it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_HERE:
        return False
    raise OSError(code, os.strerror(code), str(new), None, str(old))
