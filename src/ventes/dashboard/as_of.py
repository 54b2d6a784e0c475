"""An earlier state of the tables that a viewer asks for: a time, or a version of one table. In the address as `at`."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Version:
    """`table` at its version `number`, the other tables as they were while that was its newest version."""

    table: str
    number: int


AsOf = datetime | Version
"""Times are aware."""


def to_address(as_of: AsOf) -> str:
    """`2026-03-01T12:00:00Z` or `<table>@400`."""
    if isinstance(as_of, Version):
        return f"{as_of.table}@{as_of.number}"
    return as_of.astimezone(timezone.utc).strftime(_TIME)


def from_address(text: str | None, tables: Collection[str]) -> AsOf | None:
    """The inverse of `to_address`; None for any other text. `tables`: the names of those that there are."""
    table, at, number = (text or "").partition("@")
    if at and table in tables and number.isdecimal() and len(number) < 19:
        return Version(table, int(number))
    try:
        return datetime.strptime(text or "", _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def kept_versions(path: Path) -> tuple[int, int] | None:
    """The oldest and the newest version in the log of the table at `path`; None without one."""
    try:
        with os.scandir(path / "_delta_log") as entries:
            numbers = [int(e.name[:20]) for e in entries if len(e.name) == 25 and e.name.endswith(".json")]
    except FileNotFoundError:
        return None
    return (min(numbers), max(numbers)) if numbers else None


def committed_at(path: Path, version: int) -> datetime | None:
    """When `version` of the table at `path` was committed (UTC); None if the log does not keep it."""
    try:
        stamp = (path / "_delta_log" / f"{version:020d}.json").stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(stamp, timezone.utc)
