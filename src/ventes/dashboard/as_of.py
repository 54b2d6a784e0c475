"""An earlier moment that a viewer asks for: a time, or a version of one table. In the address as `at`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ventes.contract.tables import ALL

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Version:
    """`table` as it was at its version `number`, the other tables as they were when that was the newest."""

    table: str
    number: int


Past = datetime | Version
"""Times are aware."""


def address(past: Past) -> str:
    """`2026-03-01T12:00:00Z` or `ventes_clean@400`."""
    if isinstance(past, Version):
        return f"{past.table}@{past.number}"
    return past.astimezone(timezone.utc).strftime(_TIME)


def parsed(text: str | None) -> Past | None:
    """What `address` made; None for anything else."""
    table, at, number = (text or "").partition("@")
    if at and table in {known.name for known in ALL} and number.isdecimal() and len(number) < 19:
        return Version(table, int(number))
    try:
        return datetime.strptime(text or "", _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def kept(path: Path) -> tuple[int, int] | None:
    """The oldest and the newest version in the log of the table at `path`; None without one."""
    try:
        with os.scandir(path / "_delta_log") as entries:
            numbers = [int(e.name[:20]) for e in entries if len(e.name) == 25 and e.name.endswith(".json")]
    except FileNotFoundError:
        return None
    return (min(numbers), max(numbers)) if numbers else None


def committed(path: Path, version: int) -> datetime | None:
    """When `version` was committed (UTC); None if the log does not keep it."""
    try:
        stamp = (path / "_delta_log" / f"{version:020d}.json").stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(stamp, timezone.utc)
