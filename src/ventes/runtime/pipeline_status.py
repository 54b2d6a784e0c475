"""The status of the pipeline now, as `ventes status --json`, the page and `ventes doctor` read it.

Data classes only: check/status.py asks the services and fills them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

OFF = "off"
ELSEWHERE = "elsewhere"
DOWN = "down"


@dataclass(frozen=True)
class ServiceStatus:
    """One service. Times are Unix seconds, durations seconds; None where there is no value."""

    name: str
    title: str
    state: str
    """running, starting, waiting, stopped (on purpose), restarting, failed, down; off (not asked for by the settings);
    elsewhere (an external broker)."""
    running: bool
    ready: bool
    reason: str
    """Why it is not ready, or a warning; '' if there is none."""
    pid: int | None
    since: float | None
    """When its process started; for a stopped one, when it ended, if known."""
    by_hand: bool
    engine: str
    reported: float | None
    """When the job last wrote its heartbeat; the fields from `batch` to `last_error_at` are that old."""
    batch: int | None
    batch_at: float | None
    batch_rows: int | None
    batch_seconds: float | None
    total: int | None
    """Rows, or sales of the producer, since the process started."""
    last_error: str
    last_error_at: float | None
    lag_messages: int | None
    lag_seconds: float | None
    log: str
    unacknowledged: int | None = None
    """Messages that the producer keeps until Kafka acknowledges them; None for other services."""
    rollups_lot: int | None = None
    """Silver: the last lot that the roll-ups have."""
    rollups_missing_seconds: float | None = None
    """Silver: the age of the oldest lot that they do not have yet; 0 if they have all."""
    filling: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Silver: a roll-up that is being filled → (clean events added up, all clean events)."""

    @property
    def ok(self) -> bool:
        return self.ready or self.state == OFF


@dataclass(frozen=True)
class Status:
    """The whole pipeline at `asked_at` (Unix seconds)."""

    asked_at: float
    engine: str
    config: str
    url: str
    supervisor_pid: int | None
    supervisor_since: float | None
    services: tuple[ServiceStatus, ...]
    rows: Mapping[str, int | None]
    """Rows of bronze, <stream>_clean and <stream>_rejets, in this order; None for a table that is missing or cannot be
    read."""

    @property
    def counts(self) -> tuple[int | None, int | None, int | None]:
        """Messages in Bronze, clean events, rejected messages; None as in `rows`."""
        bronze, clean, rejected = self.rows.values()
        return bronze, clean, rejected

    @property
    def ok(self) -> bool:
        """All services that the settings ask for run and are ready."""
        return all(service.ok for service in self.services)

    def service(self, name: str) -> ServiceStatus:
        return next(service for service in self.services if service.name == name)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ok": self.ok, **asdict(self)}
