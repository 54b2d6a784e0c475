"""Exchanges two folders atomically: readers always see one of them."""

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
"""Errors if the file system or the kernel does not support the exchange."""


def swap_folders(new: Path, old: Path) -> None:
    """Exchange `new` and `old`; durable when this returns. `old` may be missing.

    One atomic step on ext4, xfs, btrfs and tmpfs. Elsewhere two renames: after a crash between them `new` is in its
    place and `old` is missing; calling this again repairs that.
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
    """Ask the kernel for the exchange; False if it is not supported."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_HERE:
        return False
    raise OSError(code, os.strerror(code), str(new), None, str(old))
