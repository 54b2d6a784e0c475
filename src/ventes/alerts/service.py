"""The loop of the alerts service: check what is due, note what changed, hand messages to the outbox.

What happened is written to the records before it is sent, in one step with the state: after a restart no alert fires a
second time. Whatever cannot be read or written is said in status, and tried again; it ends no check of another alert.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from deltalake.exceptions import DeltaError

from ventes.alerts import message, outbox
from ventes.alerts.decide import OVER, Happened, decide
from ventes.alerts.history import History
from ventes.alerts.outbox import Outbox, Store
from ventes.alerts.reading import Reading
from ventes.errors import LockLost, VentesError
from ventes.runtime import alert_records
from ventes.runtime.alert_records import FIRING, AlertState, Event, Silence, Waiting
from ventes.runtime.alert_sentence import over, sentence
from ventes.settings.alerts import Alert
from ventes.stream.page import Page

MOST_EVENTS = 1_000
"""Events that wait for their table at most: the oldest are given up."""
HISTORY_PAUSE_SECONDS = 30.0
"""After a failure to write the history."""

Read = Callable[[Alert], Reading]

_log = logging.getLogger("ventes.alerts")


class AlertService:
    """Call `step` about once per second. `read` gives the value of an alert; it may raise VentesError and OSError."""

    def __init__(
        self,
        alerts: tuple[Alert, ...],
        channels: Mapping[str, str],
        store: Store,
        box: Outbox,
        history: History,
        read: Read,
        url: str,
        shown: Page,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`channels`: name → why nothing can be sent to it, '' for a usable one. `url`: the page's.

        `shown`: what the stream calls its events.
        """
        self._alerts = alerts
        self._channels = channels
        self._store = store
        self._box = box
        self._history = history
        self._read = read
        self._url = url
        self._shown = shown
        self._clock = clock
        self._due: dict[str, float] = {}
        self._history_at = 0.0
        self._history_problem = ""

    def start(self) -> None:
        """Take over what an earlier run left. Begin to deliver."""
        with self._store.lock:
            records = self._store.records
            try:
                records.number = max(records.number, self._history.last_number())
            except (VentesError, OSError) as error:
                _log.warning("the history of the alerts cannot be read: %s", error)
            names = {alert.name for alert in self._alerts}
            for name, state in list(records.alerts.items()):
                if name not in names:
                    if state.state == FIRING:
                        self._note_event(name, "removed", "", "", "no longer declared", since=state.since)
                    del records.alerts[name]
            records.silenced = {name: until for name, until in records.silenced.items() if name in names}
            for alert in self._alerts:
                records.alerts.setdefault(alert.name, AlertState(alert.name, since=self._clock()))
            self._store.save()
        self._box.start(self._channels)

    def step(self, begin_round: Callable[[], None] = lambda: None, beat: Callable[[], None] = lambda: None) -> int:
        """Check the alerts that are due; the number of checks.

        `begin_round` is called before the first of them, `beat` after each: a SELECT may take 10 s.
        """
        now = self._clock()
        silenced = self._note_silences(now)
        checked = 0
        for alert in self._alerts:
            due = self._due.get(alert.name, 0.0)
            if now < due <= now + alert.check_seconds:  # a clock that was set back postpones nothing
                continue
            if not checked:
                begin_round()
            self._check(alert, alert.name in silenced)
            self._due[alert.name] = now + alert.check_seconds
            checked += 1
            beat()
        self._write_history(now)
        if checked:
            self._store.save()
        return checked

    def problem(self) -> str:
        """What somebody must correct, or what does not work now; '' if all does."""
        with self._store.lock:
            records = self._store.records
            wrong = [f"alert {state.name}: {state.problem}" for state in records.alerts.values() if state.problem]
            wrong += outbox.problems(records)
        told = "; ".join(wrong)  # what a channel answered when it was tried has the same reason
        wrong += [f"channel {name}: {why}" for name, why in self._channels.items() if why and why not in told]
        wrong += [said for said in (self._store.problem, self._history_problem) if said]
        return "; ".join(wrong)

    def firing(self) -> int:
        with self._store.lock:
            return sum(state.state == FIRING for state in self._store.records.alerts.values())

    # -- a check ------------------------------------------------------------------------------

    def _check(self, alert: Alert, silenced: bool) -> None:
        try:
            reading = self._read(alert)
        except (VentesError, OSError) as error:
            reading = Reading(None, str(error))
        except Exception as error:  # of a library; the other alerts must be checked
            _log.exception("alert %s could not be checked", alert.name)
            reading = Reading(None, problem=f"{type(error).__name__}: {error}"[:500])
        now = self._clock()
        with self._store.lock:
            before = self._store.records.alerts[alert.name]
            after, happened = decide(alert, before, reading, now, silenced)
            self._store.records.alerts[alert.name] = after
            if reading.problem and reading.problem != before.problem:
                _log.error("alert %s: %s", alert.name, reading.problem)
            for one in happened:
                self._tell(alert, after, one, now)
            if happened:
                self._store.save()

    def _tell(self, alert: Alert, state: AlertState, happened: Happened, now: float) -> None:
        ended = happened.kind == OVER
        said = over(alert, state.value) if ended else sentence(alert, state.value, state.detail, self._shown)
        channels = list(dict.fromkeys(alert.channels)) if happened.sent else []
        title = message.title(happened.kind, alert.name, alert.severity)
        _log.log(logging.INFO if ended else logging.WARNING, "%s · %s", title, said)
        until = now if ended else None
        self._note_event(
            alert.name, happened.kind, alert.severity, state.value, said, happened.since, until, channels=channels
        )
        body = message.body(happened.kind, said, happened.since, now, self._url)
        for channel in channels:
            number = self._store.records.next_number()
            self._box.put(Waiting(number, channel, happened.kind, alert.severity, title, body))

    # -- silences -----------------------------------------------------------------------------

    def _note_silences(self, now: float) -> frozenset[str]:
        """The names of the silenced alerts; what changed is noted in the history."""
        names = [alert.name for alert in self._alerts]
        found = alert_records.silences(self._store.state, names, now)
        with self._store.lock:
            known = self._store.records.silenced
            if {name: silence.until for name, silence in found.items()} == known:
                return frozenset(found)
            for name, silence in found.items():
                if known.get(name) != silence.until:
                    self._note_silence(name, silence)
            for name in known.keys() - found.keys():
                by = alert_records.ended_by(self._store.state, name)
                _log.info("alert %s is no longer silenced%s", name, f": ended by {by}" if by else "")
                self._note_event(name, "unsilenced", "", "", "no longer silenced", by=by)
            self._store.records.silenced = {name: silence.until for name, silence in found.items()}
            self._store.save()
        return frozenset(found)

    def _note_silence(self, name: str, silence: Silence) -> None:
        _log.info("alert %s is silenced until %s by %s", name, message.clock(silence.until), silence.by)
        said = f"silenced until {message.clock(silence.until)}"
        self._note_event(name, "silenced", "", "", said, until=silence.until, by=silence.by)

    # -- history ------------------------------------------------------------------------------

    def _note_event(
        self,
        alert: str,
        event: str,
        severity: str,
        value: str,
        said: str,
        since: float | None = None,
        until: float | None = None,
        by: str = "",
        channels: list[str] | None = None,
    ) -> None:
        records = self._store.records
        number = records.next_number()
        records.events.append(
            Event(number, self._clock(), alert, event, severity, value, said, since, until, by, channels or [])
        )
        del records.events[:-MOST_EVENTS]

    def _write_history(self, now: float) -> None:
        with self._store.lock:
            events = list(self._store.records.events)
        if events and not now < self._history_at <= now + HISTORY_PAUSE_SECONDS:
            try:
                self._history.append(events)
            except LockLost:
                raise
            except (VentesError, OSError, DeltaError) as error:
                said = f"the history of the alerts cannot be written: {error}"
                if said != self._history_problem:
                    _log.error("%s", said)
                self._history_problem = said
                self._history_at = now + HISTORY_PAUSE_SECONDS
                return
            self._history_problem = ""
            with self._store.lock:
                del self._store.records.events[: len(events)]
                self._store.save()
        self._history.maintain()
