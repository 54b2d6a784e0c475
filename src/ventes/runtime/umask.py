"""The umask of our processes: only their user can access what they write. Standard library only."""

from __future__ import annotations

import os

UMASK = 0o077
"""Folders 0700, files 0600."""
USUAL = 0o022

_persons: int | None = None


def keep_private() -> None:
    """Set the umask 077 for this process and its children. Call it at the start of a program."""
    global _persons
    before = os.umask(UMASK)
    if _persons is None:
        _persons = before


def persons_mode() -> int:
    """The mode of a file that the user named explicitly: from the umask that the user had."""
    return 0o666 & ~(USUAL if _persons is None else _persons)
