"""The state of the alerts on disk: what the alerts service knows, and who silenced what until when.

<state>/alerts/state.json          written by the alerts service alone; the page and the command line read it
<state>/alerts/silenced/NAME.json  written by `ventes alerts silence` and the page; the service reads them

Both hold times as Unix seconds, are replaced atomically and can be read by their user only. No file holds an address
of a channel. A file that cannot be read counts as none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ventes.runtime.files import write_atomically

OK, PENDING, FIRING, UNKNOWN = "ok", "pending", "firing", "unknown"
"""pending: the condition holds, but not yet for as long as it must."""


@dataclass
class AlertState:
    """What is known of one alert."""

    name: str
    state: str = UNKNOWN
    since: float = 0.0
    """When this state began; of one that fires or is pending: when the condition began to hold."""
    checked_at: float = 0.0
    value: str = ""
    """The last measured value as text; "" if there was none."""
    detail: str = ""
    """What the value is made of, or why there is none."""
    problem: str = ""
    """Why the condition cannot be evaluated until somebody corrects it; "" if it can."""
    told: bool = False
    """Whether the first message of this firing was sent, or waits to be."""
    remind_at: float | None = None


@dataclass
class Waiting:
    """A message that a channel has not taken yet."""

    number: int
    channel: str
    kind: str
    severity: str
    title: str
    body: str


@dataclass
class ChannelState:
    """How a channel answered. `failures` in a row; the next try is due at `again_at`."""

    failures: int = 0
    again_at: float = 0.0
    error: str = ""
    error_at: float | None = None
    sent_at: float | None = None
    dropped: int = 0
    """Messages that were given up because too many waited."""


@dataclass
class Event:
    """A row of the history that is not in the table yet. Its columns: lake/alert_history.py."""

    number: int
    at: float
    alert: str
    event: str
    severity: str
    value: str
    sentence: str
    since: float | None
    until: float | None
    by: str
    channels: list[str]


@dataclass
class Records:
    """Everything that the alerts service keeps from one run to the next."""

    written_at: float = 0.0
    number: int = 0
    """Of the last message or event."""
    alerts: dict[str, AlertState] = field(default_factory=dict)
    channels: dict[str, ChannelState] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    silenced: dict[str, float] = field(default_factory=dict)
    """Alert → until when it is silenced, as the service knows: it writes a change to the history."""

    def next_number(self) -> int:
        self.number += 1
        return self.number


def folder(state: Path) -> Path:
    return state / "alerts"


def read(state: Path) -> Records:
    """The records as last written; empty ones if there are none that can be read."""
    try:
        data = json.loads((folder(state) / "state.json").read_text(encoding="utf-8"))
        return Records(
            written_at=float(data["written_at"]),
            number=int(data["number"]),
            alerts={name: _of(AlertState, found) for name, found in data["alerts"].items()},
            channels={name: _of(ChannelState, found) for name, found in data["channels"].items()},
            waiting=[_of(Waiting, found) for found in data["waiting"]],
            events=[_of(Event, found) for found in data["events"]],
            silenced={name: float(until) for name, until in data["silenced"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Records()


def _of(kind: Any, found: dict[str, Any]) -> Any:
    """One record; members of another release are left out."""
    return kind(**{name: value for name, value in found.items() if name in kind.__dataclass_fields__})


def write(state: Path, records: Records) -> None:
    """Replace the records atomically. Raises OSError."""
    records.written_at = time.time()
    folder(state).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(folder(state) / "state.json", json.dumps(asdict(records)))


# -- silences ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Silence:
    """`by`: who asked for it, as text. One that was ended before its time is kept, with who ended it: the service
    writes that to the history."""

    until: float
    by: str
    at: float
    ended_by: str = ""


def silence(state: Path, name: str, until: float, by: str) -> None:
    """Silence the alert `name` (of the settings) until then. Raises OSError."""
    _silence_of(state, name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_silence(state, name, Silence(until, by, time.time()))


def unsilence(state: Path, name: str, by: str) -> bool:
    """End the silence of an alert; False if there was none. Raises OSError."""
    now = time.time()
    said = _read_silence(state, name)
    if said is None or said.ended_by or said.until <= now:
        return False
    _write_silence(state, name, replace(said, until=now, ended_by=by))
    return True


def ended_by(state: Path, name: str) -> str:
    """Who ended the last silence of an alert; "" if nobody did, or its time was over."""
    said = _read_silence(state, name)
    return said.ended_by if said is not None else ""


def silences(state: Path, names: Iterable[str], now: float) -> dict[str, Silence]:
    """Those of these alerts that are silenced at `now`."""
    found = {}
    for name in names:
        said = _read_silence(state, name)
        if said is not None and not said.ended_by and said.until > now:
            found[name] = said
    return found


def _read_silence(state: Path, name: str) -> Silence | None:
    try:
        said = Silence(**json.loads(_silence_of(state, name).read_text(encoding="utf-8")))
        return replace(said, until=float(said.until))
    except (OSError, ValueError, TypeError):
        return None


def _write_silence(state: Path, name: str, said: Silence) -> None:
    write_atomically(_silence_of(state, name), json.dumps(asdict(said)))


def _silence_of(state: Path, name: str) -> Path:
    return folder(state) / "silenced" / f"{name}.json"
