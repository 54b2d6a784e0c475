"""What only a measurement tells, and no heartbeat: lag, readiness, tables, disks. check/measure.py makes it.

Data classes, and their JSON: the supervisor, which has no Kafka client and no Arrow, gets it from a child process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class TableSize:
    """A table at its newest version: live files, their bytes, rows."""

    version: int
    files: int
    size: int
    rows: int


@dataclass(frozen=True)
class LagNow:
    """None for what is not known, such as Bronze's lag without a broker."""

    messages: int | None
    seconds: float | None


@dataclass(frozen=True)
class DiskSpace:
    """Bytes of the disk of a folder."""

    free: int
    size: int


@dataclass(frozen=True)
class Measured:
    """`at`: Unix seconds when it began; `seconds`: how long it took."""

    at: float
    seconds: float
    broker_up: bool
    ready: Mapping[str, bool]
    """Service → whether it is ready; without those that the settings do not ask for."""
    lag: Mapping[str, LagNow]
    """Job → its lag."""
    rollups_seconds: float | None
    """Age of the oldest lot that the roll-ups lack; 0 if they have all."""
    tables: Mapping[str, TableSize]
    """Table → its size; without those that are missing or cannot be read."""
    disks: Mapping[str, DiskSpace]
    """Key under [paths] → its disk."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Measured:
        """Raises ValueError, TypeError or KeyError for other text."""
        data = json.loads(text)
        data["lag"] = {name: LagNow(**lag) for name, lag in data["lag"].items()}
        data["tables"] = {name: TableSize(**size) for name, size in data["tables"].items()}
        data["disks"] = {name: DiskSpace(**disk) for name, disk in data["disks"].items()}
        return cls(**data)
