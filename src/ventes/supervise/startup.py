"""`ventes start`: from nothing, or from what is left, to sales that are visible in Silver and a page that answers.

It asks the running supervisor to start what is down, or launches a supervisor, and then says what that one tells. If
something fails, or Ctrl-C ends it midway, a supervisor that it launched is stopped again with all its services: nothing
is left half-started. One that ran before goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ventes import kafka
from ventes.config import CONFIG_VARIABLE, PROJECT, Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.runtime import heartbeat, log_files
from ventes.runtime.project import own_python
from ventes.supervise import control, orphans, preflight, service_records, services, shutdown, states
from ventes.supervise.control import Client, Disconnected, Message
from ventes.supervise.visible import Visible, sales

Say = Callable[[str], None]

STALLED_SECONDS = 120.0
"""Without any progress for this long, the start has failed. A batch or lot that is being worked on is progress."""
LOOK_SECONDS = 0.1
WORK_SECONDS = 10.0
"""How often a batch or lot that takes long is mentioned."""


class StartFailed(VentesError):
    """Something did not come up; the message holds its last log lines."""


@dataclass(frozen=True)
class Started:
    """How it ended well. `changed` is False if everything ran already."""

    changed: bool
    engine: str
    sales: int
    seconds: float


def start(settings: Settings, engine: str | None, say: Say, agreed: Callable[[str], bool]) -> Started:
    """Start whatever is down and return when all of it is ready.

    `engine` is the one asked for by flag. `agreed` is asked before a running pipeline changes engine.
    Raises VentesError; also StartFailed, after which nothing that this call started still runs.
    """
    began = time.monotonic()
    state = _running(settings, say)
    if state is None:
        return _fresh(settings, say, began)
    if engine is not None and engine != state["engine"]:
        if not agreed(f"The {state['engine']} engine runs. Stop its jobs and go on with the {engine} engine?"):
            raise VentesError(
                f"the {state['engine']} engine goes on", f"ventes start --engine {engine} --yes changes it"
            )
        say(f"stopping the {state['engine']} engine's jobs, {engine} takes over where they stood")
    client = control.connect(settings.state)
    if client is None:
        raise VentesError("the supervisor has just ended", "run the command again")
    with client:
        return _Start(settings, client, say, began).run(engine)


def _running(settings: Settings, say: Say) -> Message | None:
    """The state of the running supervisor; None if there is none. One that is stopping is waited for."""
    while (client := control.connect(settings.state)) is not None:
        with client:
            try:
                state = client.ask("state")
                if not state["stopping"]:
                    return state
                say("everything is being stopped just now; waiting for that")
                client.send("start")  # which is not accepted any more, but tells how it goes on
            except Disconnected:
                continue
            shutdown.follow_to_the_end(settings, client, say)
    return None


def _fresh(settings: Settings, say: Say, began: float) -> Started:
    preflight.check(settings)
    if left := orphans.find(settings):
        say(f"an earlier supervisor was killed; ending what it left: {', '.join(left)}")
    process = launch(settings)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a `timeout`, a closed terminal: the same as Ctrl-C
        signal.signal(number, _end)
    try:
        with _connected(settings, process) as client:
            return _Start(settings, client, say, began, launched=True).run(None)
    except BaseException as error:
        if process.poll() is None:
            say("stopping again" if isinstance(error, VentesError) else "interrupted: stopping what was started")
        with _without_interrupts():
            _take_back(settings, process)
        raise


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _take_back(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Stop the supervisor that this process launched, and never another one."""
    if process.poll() is None:
        process.terminate()
        process.wait()
    if service_records.read(settings.state).supervisor_pid == process.pid:
        shutdown.stop(settings, lambda _: None)  # what it left, if it was killed


def launch(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own: it outlives this process and its terminal."""
    output = services.output(settings, "supervisor")
    output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {**os.environ, "VENTES_ENGINE": settings.engine}
    if settings.config_file.is_file():
        environment[CONFIG_VARIABLE] = str(settings.config_file)
    with output.open("wb") as file:
        return subprocess.Popen(
            [own_python(), "-m", "ventes.supervise.daemon"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _connected(settings: Settings, process: subprocess.Popen[bytes]) -> Client:
    """A connection to the supervisor that was launched, or to one that somebody else launched a moment before."""
    until = time.monotonic() + STALLED_SECONDS
    while time.monotonic() < until:
        ended = process.poll() is not None
        if (client := control.connect(settings.state)) is not None:
            return client
        if ended:
            raise _supervisor_ended(settings)
        time.sleep(LOOK_SECONDS / 4)
    raise StartFailed(f"the supervisor (pid {process.pid}) does not listen", _look(settings, "supervisor"))


class _Start:
    """One start: follows what the supervisor tells, and says each step once."""

    def __init__(self, settings: Settings, client: Client, say: Say, began: float, *, launched: bool = False) -> None:
        self._settings = settings
        self._client = client
        self._say = say
        self._began = began
        self._launched = launched
        self._said: set[str] = set()
        self._up: set[str] = set()
        self._held: set[str] = set()
        self._ready: Message | None = None
        self._topic_made = settings.producer.enabled  # the producer makes it
        self._progressed = self._looked = self._mentioned = began

    def run(self, engine: str | None) -> Started:
        """Ask for the start, and return when all is ready and Silver has taken what the topic held."""
        try:
            return self._run(engine)
        except Disconnected:
            raise _supervisor_ended(self._settings) from None

    def _run(self, engine: str | None) -> Started:
        accepted = self._client.ask("start", engine=engine)
        if accepted["event"] == "stopping":
            raise _told_to_stop()
        if accepted["down"] and not self._launched:
            self._say(f"starting what is down: {', '.join(accepted['down'])}")
        self._held = set(accepted["held"])
        for name, by in accepted["held"].items():
            self._tell(f"{_title(name)} is kept down by {by}; waiting for that")
        self._until(self._all_ready, "a service")
        if self._ready is not None and not self._ready["changed"]:
            return Started(False, accepted["engine"], sales(self._settings), 0.0)
        visible = Visible(self._settings)
        self._until(lambda: self._is_visible(visible), "sales in Silver")
        if visible.sales:
            self._tell(f"{visible.sales:,} sale{'s' if visible.sales > 1 else ''} visible in Silver")
        else:
            self._tell("caught up; the topic holds no sale yet")
        return Started(True, accepted["engine"], visible.sales, time.monotonic() - self._began)

    # -- conditions ---------------------------------------------------------------------------

    def _all_ready(self) -> bool:
        if not self._topic_made and ("broker" in self._up or not self._settings.kafka.managed):
            self._make_topic()
        return self._topic_made and self._ready is not None

    def _make_topic(self) -> None:
        try:
            kafka.ensure_topic(self._settings)
        except BrokerUnavailable:
            return
        self._topic_made = True
        self._tell("topic ready")

    def _is_visible(self, visible: Visible) -> bool:
        before = visible.position
        reached = visible.reached()
        if visible.position is not before:
            self._progressed = time.monotonic()
        return reached

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        self._progressed = time.monotonic()
        while not reached():
            event = self._client.receive(LOOK_SECONDS)
            now = time.monotonic()
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
            self._tell(f"{_title(event['service'])} ready")
        elif kind == "ready":
            self._ready = event
        elif kind == "service":
            self._tell_change(event)
        elif kind == "failed":
            tail = "".join(f"\n  | {line}" for line in last_lines(self._settings, event["service"]))
            raise StartFailed(
                f"{_title(event['service'])} failed: {event['reason']}{tail}\n",
                _look(self._settings, event["service"]),
            )
        elif kind == "stopping":
            raise _told_to_stop()

    def _tell_change(self, entry: Message) -> None:
        title, state = _title(entry["service"]), entry["state"]
        if state == states.RUNNING:
            self._held.discard(entry["service"])
        elif state == states.STOPPING:
            self._tell(f"{title} {entry['reason']}")
        elif state == states.RESTARTING:
            self._tell(f"{title} crashed, is started again: {entry['reason']}")

    # -- progress -----------------------------------------------------------------------------

    def _look_for_work(self, now: float) -> None:
        """Nothing was told for a while: is a batch or lot being worked on, or a service kept down by somebody?"""
        if self._held:
            self._progressed = now
        for name in services.JOBS:
            record = heartbeat.read(self._settings.state, name)
            if record is None or record.working_since is None or not heartbeat.alive(record):
                continue
            self._progressed = now
            if now - self._mentioned > WORK_SECONDS:
                self._mentioned = now
                took = time.time() - record.working_since
                self._tell(
                    f"{_title(name)} is working on one {'lot' if name == 'silver' else 'batch'}, {took:.0f} s so far"
                )

    def _stalled(self, what: str) -> StartFailed:
        reasons = []
        for service in services.enabled(self._settings):
            ready, why = service.ready(self._settings)
            if not ready:
                reasons.append(f"{service.title}: {why}")
        why = "; ".join(reasons) or "all services run, but Silver does not get further"
        return StartFailed(f"no progress for {STALLED_SECONDS:.0f} s while waiting for {what} ({why})", "ventes doctor")

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"[{time.monotonic() - self._began:5.1f} s] {text}")


def _title(name: str) -> str:
    return services.BY_NAME[name].title


def _look(settings: Settings, name: str) -> str:
    return f"the whole log: {settings.log(name)}"


def _supervisor_ended(settings: Settings) -> StartFailed:
    said = log_files.last_message(services.output(settings, "supervisor"))
    return StartFailed(f"the supervisor ended: {said or 'it said nothing'}", _look(settings, "supervisor"))


def _told_to_stop() -> StartFailed:
    return StartFailed("the pipeline was told to stop during the start", "run the command again")


def last_lines(settings: Settings, name: str, count: int = 8) -> list[str]:
    """The newest lines of a service's log, or of its raw output if it died before it could log."""
    for path in (settings.log(name), services.output(settings, name)):
        lines = [line for line in log_files.last_lines(path, 4 * count) if line.strip()]
        if lines:
            return [line[:300] for line in lines[-count:]]
    return []


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A second Ctrl-C shall not leave the clearing-up half done."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
