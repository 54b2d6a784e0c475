"""The status of the pipeline now, as `ventes status --json`, the page and `ventes doctor` read it.

Data classes only: check/status.py asks the services and fills them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

OFF = "off"
ELSEWHERE = "elsewhere"
DOWN = "down"


@dataclass(frozen=True)
class FiringAlert:
    """An alert that fires. `silenced_until`: Unix seconds; None if it is not silenced."""

    name: str
    severity: Literal["info", "warning", "critical"]
    sentence: str
    silenced_until: float | None = None


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
    firing: tuple[FiringAlert, ...] = ()
    """Alerts: those that fire, the most severe first; none while the service does not run."""

    @property
    def ok(self) -> bool:
        return self.ready or self.state == OFF


@dataclass(frozen=True)
class JobOnCluster:
    """What a running job has of a Spark cluster."""

    application: str
    cores: int | None
    """As the master says; None where it was not asked or does not know the application."""
    asked: int
    """0: not limited by the settings of this pipeline."""
    executors: int
    lost: int
    """Executors lost since the job started. These two are the driver's numbers, as old as the job's heartbeat."""
    waits: str = ""
    """Why it has no executor; '' if it has."""


@dataclass(frozen=True)
class SparkCluster:
    """The Spark cluster that the jobs run on, asked for now."""

    master: str
    status: str
    """ALIVE or RECOVERING, as its master says; '' if it did not answer, or there is none to ask (YARN, Kubernetes)."""
    problem: str
    """Why its state is not known; '' if it is."""
    workers: int = 0
    """Alive."""
    workers_lost: int = 0
    """Those that the master still lists, and are not alive."""
    cores: int = 0
    cores_free: int = 0
    jobs: Mapping[str, JobOnCluster] = field(default_factory=dict)


@dataclass(frozen=True)
class Symptom:
    """What a user may see, and whether it is so now. `cause`: an observation; `next_step`: "" if all is well."""

    name: str
    level: Literal["ok", "warn", "bad"]
    cause: str
    next_step: str = ""


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
    metrics: str = ""
    """Where the supervisor serves metrics; '' if it is not asked to, or does not run."""
    metrics_problem: str = ""
    """Why it does not; '' if it does."""
    cluster: SparkCluster | None = None
    """None if the jobs do not run on one."""
    lake: str = ""
    """The folder or address of the tables."""
    writers: Mapping[str, str] = field(default_factory=dict)
    """Job → who writes a lake on an object store, on another machine or for another pipeline."""
    store_problem: str = ""
    """Why the object store of the lake could not be asked; '' if it could, or for a folder."""

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
