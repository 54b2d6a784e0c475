"""The service records, the supervisor's list of started services: <state>/run/services.json.

The supervisor rewrites it at each change; all others only read it. It may be out of date: `Entry.process()` checks that
the process still runs. It remains after the supervisor ended, so that the next one can end the services of a killed
one.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from ventes.runtime.files import write_atomically
from ventes.runtime.heartbeat import same_process
from ventes.supervise import states


@dataclass
class Entry:
    """One service under the supervisor. Times are Unix seconds (but for `process_started`)."""

    service: str
    state: str = states.WAITING
    """waiting (for what it needs), running, restarting (from `again_at` on), stopping, stopped (on purpose),
    failed, or by hand (not started by the supervisor, which does not touch it)."""
    since: float = 0.0
    reason: str = ""
    crashes: int = 0
    """Unexpected ends in a row."""
    again_at: float | None = None
    pid: int | None = None
    """The process that was started last, running or not."""
    process_started: float | None = None
    """As heartbeat.start_of has it."""
    argv: list[str] = field(default_factory=list)
    restarts: int = 0
    """Starts after an unexpected end, since the supervisor started."""
    failed_at: float | None = None
    """When it last ended unexpectedly, or could not be started, since the supervisor started."""

    def process(self) -> psutil.Process | None:
        """The process that was started last, if it runs: same pid, same start time, same command."""
        if self.pid is None or self.process_started is None:
            return None
        process = same_process(self.pid, self.process_started)
        try:
            # A wrapper may have replaced the program (exec), but it passes on its last argument.
            return process if process and (not self.argv or self.argv[-1] in process.cmdline()) else None
        except psutil.Error:
            return None


@dataclass
class ServiceRecords:
    """All services of one supervisor. `engine` is the one that its jobs run with."""

    engine: str = ""
    supervisor_pid: int = 0
    supervisor_started: float = 0.0
    entries: dict[str, Entry] = field(default_factory=dict)
    written: float = 0.0
    metrics_problem: str = ""
    """Why the supervisor does not serve metrics although the settings ask for it; '' if it does."""

    def supervisor(self) -> psutil.Process | None:
        """The supervisor's process, if it lives."""
        return same_process(self.supervisor_pid, self.supervisor_started)


def path_of(state: Path) -> Path:
    return state / "run" / "services.json"


def read(state: Path) -> ServiceRecords:
    """The records as last written; empty ones if there are none that can be read."""
    try:
        data = json.loads(path_of(state).read_text(encoding="utf-8"))
        entries = {name: Entry(**entry) for name, entry in data.pop("entries").items()}
        return ServiceRecords(entries=entries, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ServiceRecords()


def write(state: Path, records: ServiceRecords) -> None:
    """Replace the file atomically. Raises OSError."""
    records.written = time.time()
    path = path_of(state)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, json.dumps(asdict(records), indent=1))
