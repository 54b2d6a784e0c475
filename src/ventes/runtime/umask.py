"""The umask of our processes: what they write is their user's alone. Standard library only."""

from __future__ import annotations

import os

UMASK = 0o077
"""Folders 0700, files 0600."""
USUAL = 0o022

_persons: int | None = None


def keep_private() -> None:
    """From now on what this process and its children write is for this user alone. Call it at a program's entry."""
    global _persons
    before = os.umask(UMASK)
    if _persons is None:
        _persons = before


def persons_mode() -> int:
    """The mode of a file that a person asked for by name: as their own umask wants it."""
    return 0o666 & ~(USUAL if _persons is None else _persons)
