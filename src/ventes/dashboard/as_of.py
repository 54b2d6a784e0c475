"""An earlier state of the tables that a viewer asks for: a time, or a version of one table. In the address as `at`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ventes.deltalog import history

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
    numbers = history.kept(path)
    return (numbers[0], numbers[-1]) if numbers else None


def committed_at(path: Path, version: int) -> datetime | None:
    """When `version` of the table at `path` was committed (UTC); None if the log does not keep it."""
    stamp = history.committed_at(path, version)
    return None if stamp is None else datetime.fromtimestamp(stamp, timezone.utc)
