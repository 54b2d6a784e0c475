"""Which versions the log of a table keeps, and when each was committed. On a disk or on an object store."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from ventes.store import mirror_log, places

_COMMIT = re.compile(r"(\d{20})\.json")


def there(table: Path) -> bool:
    """Whether there is a Delta log. Raises StoreUnavailable, StoreRefused."""
    mirror = places.of(table)
    return (table / "_delta_log").is_dir() if mirror is None else mirror_log.exists(mirror, table)


def names(table: Path) -> list[str]:
    """The names of the files in the log; [] without one."""
    if (mirror := places.of(table)) is not None:
        return list(mirror_log.listed(mirror, table))
    try:
        return os.listdir(table / "_delta_log")
    except FileNotFoundError:
        return []


def sizes(table: Path) -> dict[str, int]:
    """Bytes of each file in the log; {} without one. One listing, on a store too."""
    if (mirror := places.of(table)) is not None:
        return {name: found.size for name, found in mirror_log.listed(mirror, table).items()}
    found = {}
    for name in names(table):
        with suppress(FileNotFoundError):  # cleaned up meanwhile
            found[name] = (table / "_delta_log" / name).stat().st_size
    return found


def kept(table: Path) -> list[int]:
    """The versions whose commits are kept, rising."""
    return sorted(int(match[1]) for name in names(table) if (match := _COMMIT.fullmatch(name)))


def has(table: Path, version: int) -> bool:
    """Whether the log has the commit of a version."""
    return committed_at(table, version) is not None


def committed_at(table: Path, version: int) -> float | None:
    """When a version was committed, in Unix seconds; None if the log does not keep it. One request on a store."""
    path = table / "_delta_log" / f"{version:020d}.json"
    if (mirror := places.of(table)) is not None:
        found = mirror.store.head(mirror.key(path))
        return None if found is None else found.modified
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
