"""The small sections of ventes.toml."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ventes.settings.value_types import (
    Folder,
    Fraction,
    IpAddress,
    Lake,
    Megabytes,
    Money,
    Port,
    Seconds,
    Section,
    Zone,
)


class Paths(Section):
    lake: Lake = Path("/tmp/delta")
    """A folder, or the address of a lake on an object store. Read Settings.lake, which is always a folder."""
    logs: Folder = Path("/tmp")
    state: Folder = Path(".ventes")
    """Run records, Kafka's data, jars and caches. Not in /tmp: Debian empties that at boot."""


class Source(Section):
    time_zone: Zone = "UTC"
    """How a timestamp without a zone is read."""


class Rules(Section):
    """Business rules. Changing one needs `ventes rebuild silver`."""

    time_zone: Zone = "UTC"
    """The zone whose midnight begins a `jour`."""
    watermark_minutes: int = Field(10, ge=0, le=5_256_000)
    loyal_from: int = Field(2, ge=1, le=1_000_000_000)
    standard_from: Money = Decimal(100)
    premium_from: Money = Decimal(500)

    @model_validator(mode="after")
    def _ordered(self) -> Rules:
        if self.premium_from < self.standard_from:
            raise ValueError(f"premium_from = {self.premium_from} is below standard_from = {self.standard_from}")
        return self


class Producer(Section):
    enabled: bool = True
    rate: Fraction = Field(0.5, gt=0, le=10_000_000)
    """Sales per second; 0.5 is one every 2 seconds."""
    clients: int = Field(300, ge=1, le=1_000_000)


class Metrics(Section):
    enabled: bool = True
    """Whether the supervisor serves metrics."""
    address: IpAddress = "127.0.0.1"
    port: Port = 9464


class Embedded(Section):
    max_rows_per_batch: int = Field(50_000, ge=1, le=1_000_000_000)
    memory_mb: Megabytes = Field(256, ge=64)


class Maintenance(Section):
    history_hours: Fraction = Field(6, gt=0, le=876_000)
    """How far back the tables can be read `as of`; older files are vacuumed."""
    compact_every: int = Field(50, ge=2, le=1_000_000)
    """Commits of a table between two compactions."""
    min_free_mb: int = Field(500, ge=0, le=1_000_000_000)
    """Ingestion pauses when a disk that it writes to has less."""


class Store(Section):
    """Of a lake on an object store. A pace of 0.1 s, as on a disk, would cost 20 times as much in requests."""

    credentials: str = ""
    """A file with NAME=value lines, mode 0600; "": the environment has them."""
    cache_mb: Megabytes = Field(4_000, ge=100)
    poll_seconds: Seconds = 2.0
    """Between two requests for commits that another machine may have made."""
    pace_seconds: Fraction = Field(2.0, ge=0.1, le=3600)
    """Shortest time between two commits of Bronze, and between two lots of Silver."""
    rollup_seconds: Fraction = Field(10.0, ge=0.5, le=3600)
    """From a lot to the publication of its roll-ups."""


class Supervisor(Section):
    backoff_seconds: Seconds = 1.0
    backoff_max_seconds: Seconds = 30.0
    give_up_after: int = Field(8, ge=1, le=1_000_000)
    """Consecutive crashes, with less than one minute of healthy running between them, before a service is FAILED."""


class Logs(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: bool = Field(False, alias="json")
    """`json` in ventes.toml: each service also writes its log lines to standard output, each as a JSON object."""
    max_mb: Megabytes = Field(20, ge=1)
    keep: int = Field(3, ge=1, le=1_000)
