"""What happened, as title and text of a message."""

from __future__ import annotations

import socket
from datetime import datetime, timezone

from ventes.alerts.decide import FIRED, OVER, REMINDER
from ventes.runtime.durations import in_words

TEST = "test"
_TITLES = {
    FIRED: "{severity}: {name}",
    REMINDER: "Still {severity}: {name}",
    OVER: "Over: {name}",
    TEST: "This is a test: {name}",
}


def title(kind: str, name: str, severity: str) -> str:
    return _TITLES[kind].format(name=name, severity=severity.capitalize() if kind == FIRED else severity)


def body(kind: str, said: str, since: float | None, now: float, url: str) -> str:
    """The text of a message: the sentence, the times, where to look."""
    lines = [said]
    if kind == TEST:
        lines.append("This is a test: nothing has happened.")
    elif kind == OVER and since is not None:
        lines.append(f"Over since {clock(now)}; it held for {in_words(now - since)}, since {clock(since)}.")
    elif since is not None:
        lines.append(f"Since {clock(since)} ({in_words(now - since)}).")
    lines.append(f"{socket.gethostname()} · {url}")
    return "\n".join(lines)


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
