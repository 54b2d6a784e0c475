"""The heartbeat: the status record that each service writes, for `status`, the supervisor and the page.

One JSON file per service: <state>/run/<service>.json, replaced atomically; one that was started by hand writes
<service>.by-hand.json, so that neither overwrites the other. A record may be out of date: a reader checks with
`alive()` that the process it names still runs and is the one that wrote it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ventes.config import SUPERVISED_VARIABLE
from ventes.runtime import disk
from ventes.runtime.files import write_atomically
from ventes.runtime.redaction import redacted

VIEWER_SECONDS = 75.0
"""A session of the page that was not drawn for so long has no viewer: a paused page is drawn every 60 s."""


@dataclass
class Heartbeat:
    """The record. Times are Unix seconds (but for `process_started`); durations seconds."""

    service: str
    engine: str = ""
    pid: int = 0
    process_started: float = 0.0
    """Seconds from boot to the start of the process, from the kernel: setting the clock does not change it."""
    supervised: bool = False
    """Whether a supervisor of this pipeline started the process."""
    settings: str = ""
    declaration: str = ""
    """Settings.fingerprints: what the process was started with; "" for a record of an earlier release."""
    login: str = ""
    """Page: Settings.login_fingerprint of what it was started with; "" if it does not say."""
    command: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    """Child processes that can still commit after this one died (Spark's JVM)."""
    phase: str = "starting"
    """starting, running, waiting (with `reason`), stopping, stopped, failed. Only the last two follow stopping."""
    reason: str = ""
    """Why it waits, failed or stopped, and what to do."""
    problem: str = ""
    """Alerts: what does not work although it runs."""
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
    """Lag: messages still to process, after the last batch."""
    rollups_lot: int | None = None
    """Silver: the last lot that the roll-ups have, but for those in `filling`."""
    rollups_missing_since: float | None = None
    """Silver: when the first lot was committed that they do not have yet; None if they have all."""
    filling: dict[str, list[int]] = field(default_factory=dict)
    """Silver: a roll-up that is being filled → [clean events added up, all clean events]."""
    clean: int = 0
    rejected: int = 0
    """Silver: clean events and rejected messages since the process started."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Silver: reason → messages rejected for it since the process started; a message may have several."""
    batch_times: dict[str, Any] = field(default_factory=dict)
    """Jobs: seconds of each batch or lot since the process started (Distribution.record)."""
    freshness: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Silver: "event", "kafka" → seconds from there to the commit of a clean event (Distribution.record)."""
    requests: dict[str, int] = field(default_factory=dict)
    """Jobs with a lake on an object store: PUT, GET, LIST, DELETE → requests since the process started."""
    viewers: int = 0
    """Page: sessions that were drawn lately."""
    refresh_times: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Page: part → seconds in which it was drawn (Distribution.record)."""
    cluster: dict[str, Any] = field(default_factory=dict)
    """Jobs on a Spark cluster: `application` (its id), `cores`, `executors` and `lost` (executors since the start) as
    the driver knows them, `asked` (cores; 0: not limited); and `waits`, why it has no executor, '' if it has."""
    working_since: float | None = None
    """Start of the current batch or lot; None between two."""
    last_error: str = ""
    last_error_at: float | None = None


def path_of(state: Path, service: str, *, supervised: bool) -> Path:
    return state / "run" / (f"{service}.json" if supervised else f"{service}.by-hand.json")


_NEVER_AFTER = {
    "stopping": frozenset({"starting", "running", "waiting"}),
    "stopped": frozenset({"stopping"}),
    "failed": frozenset({"stopping"}),
}
"""Phase → phases that must not follow it: the main thread and the signal thread write the same record."""
_AT_WORK = frozenset({"starting", "running", "stopping"})
"""Phases in which a batch can be in progress."""


class Reporter:
    """Writes the record of one service. Thread-safe."""

    def __init__(
        self, state: Path, service: str, engine: str = "", *, settings: str = "", declaration: str = ""
    ) -> None:
        """`settings`, `declaration`: Settings.fingerprints."""
        me = psutil.Process()
        self._guard = threading.Lock()
        self._beaten = time.monotonic()
        supervised = bool(os.environ.get(SUPERVISED_VARIABLE))
        self._path = path_of(state, service, supervised=supervised)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.record = Heartbeat(
            service=service,
            engine=engine,
            settings=settings,
            declaration=declaration,
            pid=me.pid,
            process_started=start_of(me.pid),
            supervised=supervised,
            command=[sys.executable, *sys.argv],
            since=time.time(),
        )

    def update(self, **changes: object) -> None:
        """Change fields of the record and write it, once its disk is not full. Changing `phase` also sets `since`.

        A process that is stopping never returns to an earlier phase: only stopped or failed is accepted; any other
        phase is ignored together with its reason. A process that waits has no batch in progress.
        """
        for name in changes:
            if name not in Heartbeat.__dataclass_fields__:
                raise AttributeError(f"a heartbeat has no field {name!r}")
        with self._guard:
            if changes.get("phase") in _NEVER_AFTER.get(self.record.phase, ()):
                changes = {name: value for name, value in changes.items() if name not in ("phase", "reason")}
            if changes.get("phase", self.record.phase) != self.record.phase:
                self.record.since = time.time()
            for name, value in changes.items():
                setattr(self.record, name, redacted(value) if isinstance(value, str) else value)
            if self.record.phase not in _AT_WORK:
                self.record.working_since = None
            self.record.beat = time.time()
            self._beaten = time.monotonic()
            try:
                write_atomically(self._path, json.dumps(vars(self.record)))
            except OSError as error:
                if not disk.is_full(error):
                    raise  # of a full disk the readers see themselves; the next update writes what this one changed

    @property
    def age(self) -> float:
        """Seconds since the record was last written; setting the clock does not change it."""
        return time.monotonic() - self._beaten

    def error(self, message: str) -> None:
        self.update(last_error=message, last_error_at=time.time())

    def begin_work(self) -> None:
        """Record that a batch or lot begins. The report of its end sets `working_since=None`."""
        self.update(working_since=time.time())

    def stopping(self, reason: str) -> None:
        """Record that the process received a stop signal (`reason`: the signal's name). Never raises OSError."""
        with suppress(OSError):  # a full disk must not prevent the stop
            self.update(phase="stopping", reason=reason)


def read(state: Path, service: str) -> Heartbeat | None:
    """The record of the process that runs a service, the supervised one first; of one that has ended, the last.

    None if there is none that can be read.
    """
    found = [
        record for supervised in (True, False) if (record := _read(path_of(state, service, supervised=supervised)))
    ]
    return next(filter(alive, found), max(found, key=lambda record: record.beat, default=None))


def of_process(state: Path, service: str, pid: int) -> Heartbeat | None:
    """The record that the process `pid` wrote; None if there is none."""
    found = (_read(path_of(state, service, supervised=supervised)) for supervised in (True, False))
    return next((record for record in found if record is not None and record.pid == pid), None)


def by_hand(state: Path, service: str) -> Heartbeat | None:
    """The record of a process that runs the service although no supervisor started it; None if there is none."""
    record = _read(path_of(state, service, supervised=False))
    return record if record is not None and alive(record) else None


def _read(path: Path) -> Heartbeat | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = Heartbeat.__dataclass_fields__
        return Heartbeat(**{name: value for name, value in data.items() if name in known})
    except (OSError, ValueError, TypeError):
        return None


def process_of(record: Heartbeat) -> psutil.Process | None:
    """The process that wrote the record, if it still runs (a reused PID does not count)."""
    return same_process(record.pid, record.process_started)


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The process `pid` if it runs and `start_of` it is `started`, else None."""
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

    With the pid this identifies a process. A Unix time would not: setting the clock changes psutil's create_time.
    """
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    # field 22; the process name before it may hold any character
    return int(text.rpartition(")")[2].split()[19]) / _TICKS


def alive(record: Heartbeat) -> bool:
    return process_of(record) is not None
