"""From what was known of an alert and what was measured now: what is known now, and what happened. Pure.

A condition must hold at each check for the duration `for` before its alert fires. A value that is unknown is neither:
what fires goes on firing, what was pending begins again. Nothing is sent while an alert is silenced, not even that it
is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ventes.alerts.reading import Reading, holds, written
from ventes.runtime.alert_records import FIRING, OK, PENDING, UNKNOWN, AlertState
from ventes.settings.alerts import Alert

FIRED, REMINDER, OVER = "firing", "reminder", "over"
UNSEEN_CHECKS = 3
UNSEEN_SECONDS = 60.0
"""After so many checks, and so long, without one nobody knows whether the condition held meanwhile."""


@dataclass(frozen=True)
class Happened:
    """`sent`: whether its channels get a message. `since`: when the condition began to hold."""

    kind: str
    since: float
    sent: bool


def decide(
    alert: Alert, before: AlertState, reading: Reading, now: float, silenced: bool = False
) -> tuple[AlertState, list[Happened]]:
    """The state at `now` (Unix seconds), and what happened since the check before."""
    state = replace(
        before, checked_at=now, value=written(reading.value), detail=reading.detail, problem=reading.problem
    )
    true = holds(alert, reading)
    if true is None:
        if before.state != FIRING:
            return _turned(state, UNKNOWN, now if before.state != UNKNOWN else before.since), []
        return _firing(alert, state, now, silenced)
    if not true:
        happened = []
        if before.state == FIRING:
            happened = [Happened(OVER, before.since, sent=before.told and not silenced)]
        return _turned(state, OK, now if before.state != OK else before.since), happened
    if before.state == FIRING:
        return _firing(alert, state, now, silenced)
    unseen = now - before.checked_at > max(UNSEEN_CHECKS * alert.check_seconds, UNSEEN_SECONDS)
    began = before.since if before.state == PENDING and not unseen else now
    if now - began < alert.hold:
        return _turned(state, PENDING, began), []
    state, told = _firing(alert, _turned(state, FIRING, began), now, silenced)
    return state, told or [Happened(FIRED, began, sent=False)]


def _turned(state: AlertState, name: str, since: float) -> AlertState:
    return replace(state, state=name, since=since, told=False, remind_at=None)


def _firing(alert: Alert, state: AlertState, now: float, silenced: bool) -> tuple[AlertState, list[Happened]]:
    """An alert that fires: its first message if that was not sent, or the reminder that is due."""
    if silenced:
        return state, []
    due = now + alert.remind if alert.remind else None
    if not state.told:
        return replace(state, told=True, remind_at=due), [Happened(FIRED, state.since, sent=True)]
    if state.remind_at is None or now < state.remind_at:
        return state, []
    return replace(state, remind_at=due), [Happened(REMINDER, state.since, sent=True)]
