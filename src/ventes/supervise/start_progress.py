"""Follows a start: prints the supervisor's events, until events are visible or the start has failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ventes import kafka
from ventes.config import Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.runtime import heartbeat, log_files
from ventes.supervise import service_records, services, states
from ventes.supervise.control import Disconnected, Message
from ventes.supervise.visible import Visible, clean_events

Say = Callable[[str], None]

STALLED_SECONDS = 120.0
"""After this time without progress the start has failed. A batch or lot in progress counts as progress."""
LOOK_SECONDS = 0.1
WORK_SECONDS = 10.0
"""Seconds between two messages about a long batch or lot, or a backlog."""


class StartFailed(VentesError):
    """A service did not start; the message has its last log lines."""


@dataclass(frozen=True)
class Started:
    """The result of a successful start. `changed` is False if everything ran already."""

    changed: bool
    engine: str
    events: int
    seconds: float
    ended: tuple[str, ...] = ()
    """Titles of the services that were ended, because the settings no longer ask for them."""


class Supervisor(Protocol):
    """The part of `control.Client` that is used here."""

    def ask(self, request: str, **arguments: object) -> Message: ...
    def receive(self, seconds: float) -> Message | None: ...


class StartProgress:
    """One start: follows the supervisor's events, and prints each step once."""

    def __init__(
        self,
        settings: Settings,
        client: Supervisor,
        say: Say,
        began: float,
        *,
        launched: bool = False,
        visible: Visible | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`began`: when the start began, by `clock`. `launched`: the supervisor was started for this."""
        self._settings = settings
        self._client = client
        self._say = say
        self._began = began
        self._launched = launched
        self._visible = visible or Visible(settings)
        self._clock = clock
        self._said: set[str] = set()
        self._up: set[str] = set()
        self._held: set[str] = set()
        self._ending: set[str] = set()
        """Services that are ended, because the settings no longer ask for them."""
        self._ready: Message | None = None
        self._topic_made = settings.producer.enabled  # the producer creates it
        self._progressed = self._looked = self._mentioned = began

    def run(self, engine: str | None) -> Started:
        """Ask for the start, and return when all is ready and Silver has taken what the topic held."""
        try:
            return self._run(engine)
        except Disconnected:
            raise supervisor_ended(self._settings) from None

    def _run(self, engine: str | None) -> Started:
        accepted = self._client.ask("start", engine=engine)
        if accepted["event"] == "stopping":
            raise _told_to_stop()
        if accepted["down"] and not self._launched:
            self._say(f"starting what is down: {', '.join(accepted['down'])}")
        self._held = set(accepted["held"])
        for name, by in accepted["held"].items():
            self._tell(f"{_title(name)} is kept down by {by}; waiting for that")
        unwanted = accepted.get("ended", [])  # not of a supervisor of an earlier release
        self._ending = set(unwanted)
        self._until(self._all_ready, "a service")
        self._until(self._all_ended, "the end of a service")
        ended = tuple(map(_title, unwanted))
        if self._ready is not None and not self._ready["changed"]:
            return Started(False, accepted["engine"], clean_events(self._settings), 0.0, ended)
        page = self._settings.stream.shown
        self._until(self._are_visible, f"{page.many} in Silver")
        count = self._visible.events
        if count:
            self._tell(f"{page.counted(count)} visible in Silver")
        else:
            self._tell(f"caught up; the topic holds no {page.one} yet")
        return Started(True, accepted["engine"], count, self._clock() - self._began, ended)

    # -- conditions ---------------------------------------------------------------------------

    def _all_ready(self) -> bool:
        if not self._topic_made and ("broker" in self._up or not self._settings.kafka.managed):
            self._make_topic()
        return self._topic_made and self._ready is not None

    def _all_ended(self) -> bool:
        """Tell of the services that the settings no longer ask for, as they end."""
        entries = service_records.read(self._settings.state).entries
        for name in sorted(self._ending):
            if name not in entries or entries[name].state != states.STOPPING:
                self._ending.discard(name)
                why = services.not_asked_for(self._settings).get(name, "the settings do not ask for it")
                self._tell(f"{_title(name)}: ended, because {why}")
        return not self._ending

    def _make_topic(self) -> None:
        try:
            kafka.ensure_topic(self._settings)
        except BrokerUnavailable as error:
            self._tell(f"waiting for Kafka: {error}")
            return
        self._topic_made = True
        self._tell("topic ready")

    def _are_visible(self) -> bool:
        before = self._visible.position
        reached = self._visible.reached()
        now = self._clock()
        if self._visible.position is not before:
            self._progressed = now
        if not reached and now - self._mentioned > WORK_SECONDS and (left := self._visible.left):
            self._mentioned = now
            self._tell(f"Silver catches up, {left:,} messages left")
        return reached

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        self._progressed = self._clock()
        while not reached():
            event = self._client.receive(LOOK_SECONDS)
            now = self._clock()
            if event is not None:
                self._progressed = now
                self._take(event)
            elif now - max(self._progressed, self._looked) > 1.0:
                self._looked = now
                self._look_for_work(now)
            if now - self._progressed > STALLED_SECONDS:
                raise self._stalled(what)

    # -- what the supervisor tells --------------------------------------------------------------

    def _take(self, event: Message) -> None:
        kind = event["event"]
        if kind == "service_ready":
            self._up.add(event["service"])
            if not event["already"]:
                self._tell(f"{_title(event['service'])} ready")
        elif kind == "ready":
            self._ready = event
        elif kind == "service":
            self._print_change(event)
        elif kind == "failed":
            tail = "".join(f"\n  | {line}" for line in last_lines(self._settings, event["service"]))
            raise StartFailed(
                f"{_title(event['service'])} failed: {event['reason']}{tail}\n",
                _look(self._settings, event["service"]),
            )
        elif kind == "stopping":
            raise _told_to_stop()

    def _print_change(self, entry: Message) -> None:
        title, state = _title(entry["service"]), entry["state"]
        if state == states.RUNNING:
            self._held.discard(entry["service"])
        elif state == states.STOPPING:
            self._tell(f"{title} {entry['reason']}")
        elif state == states.RESTARTING:
            self._tell(f"{title} crashed, is started again: {entry['reason']}")

    # -- progress -----------------------------------------------------------------------------

    def _look_for_work(self, now: float) -> None:
        """No event for a while: check whether a batch or lot is in progress, or a service is held."""
        if self._held:
            self._progressed = now
        for name in services.JOBS:
            record = heartbeat.read(self._settings.state, name)
            if record is None or not heartbeat.alive(record):
                continue
            if waits := record.cluster.get("waits"):  # no progress: after STALLED_SECONDS this is why the start fails
                self._tell(f"{_title(name)} {waits}")
            if record.working_since is None:
                continue
            self._progressed = now
            took = time.time() - record.working_since
            if min(took, now - self._mentioned) > WORK_SECONDS:
                self._mentioned = now
                one = "lot" if name == "silver" else "batch"
                works = "is starting" if record.phase == "starting" else f"is working on one {one}"
                self._tell(f"{_title(name)} {works}, {took:.0f} s so far")

    def _stalled(self, what: str) -> StartFailed:
        reasons = []
        if not self._settings.kafka.managed:  # no service of ours
            ready, why = kafka.cluster_ready(self._settings)
            reasons += [] if ready else [why]
        for service in services.enabled(self._settings):
            ready, why = service.ready(self._settings)
            if not ready:
                reasons.append(f"{service.title}: {why}")
        why = "; ".join(reasons) or "all services run, but Silver does not get further"
        return StartFailed(f"no progress for {STALLED_SECONDS:.0f} s while waiting for {what} ({why})", "ventes doctor")

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"[{self._clock() - self._began:5.1f} s] {text}")


def _title(name: str) -> str:
    return services.BY_NAME[name].title


def _look(settings: Settings, name: str) -> str:
    return f"the whole log: {settings.log(name)}"


def supervisor_ended(settings: Settings) -> StartFailed:
    """The error for a supervisor that has ended, with the last line of its output."""
    said = log_files.last_message(services.output(settings, "supervisor"))
    return StartFailed(f"the supervisor ended: {said or 'it said nothing'}", _look(settings, "supervisor"))


def _told_to_stop() -> StartFailed:
    return StartFailed("the pipeline was told to stop during the start", "run the command again")


def last_lines(settings: Settings, name: str, count: int = 8) -> list[str]:
    """The newest lines of a service's log, or of its raw output if it ended before it could log."""
    for path in (settings.log(name), services.output(settings, name)):
        lines = [line for line in log_files.last_lines(path, 4 * count) if line.strip()]
        if lines:
            return [line[:300] for line in lines[-count:]]
    return []
