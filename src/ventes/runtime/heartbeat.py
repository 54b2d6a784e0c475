"""What a running service says of itself, for `status`, the supervisor and the page.

One JSON file a service: <state>/run/<service>.json, replaced atomically. A record is a claim: a reader checks
with `alive()` that the process it names is the one that wrote it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from ventes.runtime.files import write_atomically
from ventes.runtime.redaction import redacted


@dataclass
class Heartbeat:
    """The record. Times are Unix seconds (but for `process_started`); durations seconds."""

    service: str
    engine: str = ""
    pid: int = 0
    process_started: float = 0.0
    """Seconds from boot to the start of the process, as the kernel counts them: no change of the clock moves it."""
    supervised: bool = False
    """Whether a supervisor of this pipeline started the process."""
    command: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    """Processes that can still act for this one after it died (Spark's JVM)."""
    phase: str = "starting"
    """starting, running, waiting (with `reason`), stopping, stopped, failed."""
    reason: str = ""
    """Why it waits, failed or stopped, and what to do."""
    since: float = 0.0
    """When the phase began."""
    beat: float = 0.0
    """When this record was last written."""
    batch: int | None = None
    batch_at: float | None = None
    rows: int | None = None
    """Rows of the last batch."""
    duration: float | None = None
    total: int = 0
    """Rows (or sales) since the process started."""
    lag: int | None = None
    """Messages still to do, after the last batch."""
    last_error: str = ""
    last_error_at: float | None = None


def path_of(state: Path, service: str) -> Path:
    return state / "run" / f"{service}.json"


class Reporter:
    """Writes the record of one service."""

    def __init__(self, state: Path, service: str, engine: str = "") -> None:
        me = psutil.Process()
        self._path = path_of(state, service)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.record = Heartbeat(
            service=service,
            engine=engine,
            pid=me.pid,
            process_started=start_of(me.pid),
            supervised=bool(os.environ.get("VENTES_SUPERVISED")),
            command=[sys.executable, *sys.argv],
            since=time.time(),
        )

    def update(self, **changes: object) -> None:
        """Change fields of the record and write it. Changing `phase` also sets `since`."""
        if changes.get("phase", self.record.phase) != self.record.phase:
            self.record.since = time.time()
        for name, value in changes.items():
            if name not in Heartbeat.__dataclass_fields__:
                raise AttributeError(f"a heartbeat has no field {name!r}")
            setattr(self.record, name, redacted(value) if isinstance(value, str) else value)
        self.record.beat = time.time()
        write_atomically(self._path, json.dumps(asdict(self.record)))

    def error(self, message: str) -> None:
        self.update(last_error=message, last_error_at=time.time())


def read(state: Path, service: str) -> Heartbeat | None:
    """The last record of a service, or None if there is none that can be read."""
    try:
        data = json.loads(path_of(state, service).read_text(encoding="utf-8"))
        known = Heartbeat.__dataclass_fields__
        return Heartbeat(**{name: value for name, value in data.items() if name in known})
    except (OSError, ValueError, TypeError):
        return None


def process_of(record: Heartbeat) -> psutil.Process | None:
    """The very process that wrote the record, if it still lives (a reused PID does not count)."""
    return same_process(record.pid, record.process_started)


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The process `pid` if it lives and `start_of` it is `started`, else None."""
    try:
        if abs(start_of(pid) - started) < 1 / _TICKS:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                return process
    except (OSError, psutil.Error):
        pass
    return None


_TICKS = os.sysconf("SC_CLK_TCK")


def start_of(pid: int) -> float:
    """When the process `pid` began, in seconds since boot. Raises OSError if there is none.

    With the pid this names a process for good. A Unix time would not: setting the clock moves psutil's create_time.
    """
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(text.rpartition(")")[2].split()[19]) / _TICKS  # field 22; the name before it may hold anything


def alive(record: Heartbeat) -> bool:
    return process_of(record) is not None
