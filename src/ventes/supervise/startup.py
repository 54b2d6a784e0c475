"""`ventes start`: from nothing, or from what is left, to sales that are visible in Silver and a page that answers.

It starts the supervisor (or wakes the one that runs), then only watches and tells. If something fails, or Ctrl-C ends
it midway, a supervisor that it started is stopped again with all its services: nothing is left half-started. One that
ran before goes on.
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
from ventes.contract.tables import CLEAN, REJETS
from ventes.deltalog.snapshot import TableMissing
from ventes.errors import BrokerUnavailable, VentesError
from ventes.lake import accepted_gaps, tables
from ventes.lake.positions import Position, merge, positions
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat, log_files
from ventes.runtime.project import own_python
from ventes.supervise import orphans, preflight, processes, service_records, services, shutdown, states
from ventes.supervise.services import Service
from ventes.supervise.supervisor import engine_request

Say = Callable[[str], None]

CRASHES = 3
"""So many crashes of a service in a row, and a start is given up: a person is looking and can mend the cause."""
STALLED_SECONDS = 120.0
"""Without any change for this long, the start has failed."""
LOOK_SECONDS = 0.1


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
    book = service_records.read(settings.state)
    began = time.monotonic()
    if book.supervisor() is None:
        return _fresh(settings, say, began)
    if engine is not None and engine != book.engine:
        preflight.engine(settings)
        if not agreed(f"The {book.engine} engine runs. Stop its jobs and go on with the {engine} engine?"):
            raise VentesError(f"the {book.engine} engine goes on", f"ventes start --engine {engine} --yes changes it")
        say(f"stopping the {book.engine} engine's jobs, {engine} takes over where they stood")
        return switch(settings, engine, say)
    down = _down(settings, book)
    if not down:
        return Started(False, book.engine, sales(settings), 0.0)
    say(f"starting what is down: {', '.join(down)}")
    _wake(book)
    return Watch(settings, say, began, book.supervisor_pid).until_visible(book.engine, since=book.written)


def switch(settings: Settings, engine: str, say: Say) -> Started:
    """Let the running supervisor stop the jobs and start those of `engine`; everything else goes on."""
    began = time.monotonic()
    book = service_records.read(settings.state)
    engine_request(settings.state).write_text(engine, encoding="utf-8")
    _wake(book)
    return Watch(settings, say, began, book.supervisor_pid).until_visible(engine, since=book.written)


def _fresh(settings: Settings, say: Say, began: float) -> Started:
    preflight.check(settings)
    if left := orphans.find(settings):
        say(f"an earlier supervisor was killed; ending what it left: {', '.join(left)}")
    process = launch(settings)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a `timeout`, a closed terminal: the same as Ctrl-C
        signal.signal(number, _end)
    try:
        return Watch(settings, say, began, process.pid, process).until_visible(settings.engine)
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
    engine_request(settings.state).unlink(missing_ok=True)
    environment = {**os.environ, "VENTES_ENGINE": settings.engine}
    if settings.config_file.is_file():
        environment[CONFIG_VARIABLE] = str(settings.config_file)
    with output.open("wb") as file:
        return subprocess.Popen(
            [own_python(), "-m", "ventes.supervise.supervisor"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


class Watch:
    """Follows a start and says each step once."""

    def __init__(
        self, settings: Settings, say: Say, began: float, supervisor: int, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        self._settings = settings
        self._say = say
        self._began = began
        self._asked_at = time.time() - (time.monotonic() - began)
        self._supervisor = supervisor
        self._child = child
        self._said: set[str] = set()
        self._changed = began
        self._last: object = None

    def until_visible(self, engine: str, since: float = 0.0) -> Started:
        """Wait until all is ready and Silver has taken what the topic held. `since`: the ledger must be newer."""
        self._until(lambda: self._ledger_is(engine, since), "the supervisor")
        waiting = list(services.enabled(self._settings))
        if not self._settings.producer.enabled:
            waiting.append(_TOPIC)  # otherwise the producer makes it
        self._until(lambda: self._all_ready(waiting), "a service")
        visible = Visible(self._settings)
        self._until(visible.reached, "sales in Silver", visible.progress)
        count = sales(self._settings)
        if count:
            self._tell(f"{count:,} sale{'s' if count > 1 else ''} visible in Silver")
        else:
            self._tell("caught up; the topic holds no sale yet")
        return Started(True, engine, count, time.monotonic() - self._began)

    def _ledger_is(self, engine: str, since: float) -> bool:
        book = service_records.read(self._settings.state)
        return book.supervisor_pid == self._supervisor and book.engine == engine and book.written > since

    def _all_ready(self, waiting: list[Service]) -> bool:
        for service in list(waiting):
            if not set(service.needs) & {other.name for other in waiting} and service.ready(self._settings)[0]:
                waiting.remove(service)
                self._tell(f"{service.title} ready")
        return not waiting

    def _until(self, reached: Callable[[], bool], what: str, progress: Callable[[], object] = lambda: None) -> None:
        self._changed = time.monotonic()
        while not reached():
            self._check_services()
            now = time.monotonic()
            if (current := (frozenset(self._said), progress())) != self._last:
                self._last, self._changed = current, now
            if now - self._changed > STALLED_SECONDS:
                raise self._failure(what)
            time.sleep(LOOK_SECONDS)

    def _check_services(self) -> None:
        """Raise if the supervisor is gone or gave a service up; tell of a crash that it mends."""
        book = service_records.read(self._settings.state)
        gone = self._child.poll() is not None if self._child is not None else book.supervisor() is None
        if gone:
            said = log_files.last_message(services.output(self._settings, "supervisor"))
            raise StartFailed(f"the supervisor ended: {said or 'it said nothing'}", self._look("supervisor"))
        if book.supervisor_pid != self._supervisor:
            return
        for entry in book.entries.values():
            title = services.BY_NAME[entry.service].title
            if entry.state == states.FAILED and entry.since >= self._asked_at:  # not one that is about to be retried
                tail = "".join(f"\n  | {line}" for line in last_lines(self._settings, entry.service))
                raise StartFailed(f"{title} failed: {entry.reason}{tail}\n", self._look(entry.service))
            if entry.state == states.RESTARTING and entry.crashes:
                if entry.crashes >= CRASHES:
                    raise StartFailed(f"{title} crashes again and again: {entry.reason}", self._look(entry.service))
                self._tell(f"{title} crashed, is started again: {entry.reason}")

    def _failure(self, what: str) -> StartFailed:
        reasons = []
        for service in services.enabled(self._settings):
            ready, why = service.ready(self._settings)
            if not ready:
                reasons.append(f"{service.title}: {why}")
        why = "; ".join(reasons) or "all services run, but Silver does not get further"
        return StartFailed(f"no progress for {STALLED_SECONDS:.0f} s while waiting for {what} ({why})", "ventes doctor")

    def _look(self, name: str) -> str:
        return f"the whole log: {self._settings.log(name)}"

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"[{time.monotonic() - self._began:5.1f} s] {text}")


def _topic_ready(settings: Settings) -> services.Answer:
    try:
        kafka.ensure_topic(settings)
    except BrokerUnavailable as error:
        return False, str(error)
    return True, ""


_TOPIC = Service("topic", "topic", lambda _: [], _topic_ready, needs=("broker",))
"""Not a process: something else to be ready."""


class Visible:
    """Whether Silver holds what the topic held when first asked; with a producer, at least one sale."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._goal: Position | None = None
        self._at: Position = {}
        self._asked: object = None

    def reached(self) -> bool:
        if not self._goal:
            self._goal = self._ends()
        if not self._goal:
            return self._goal is not None and not self._settings.producer.enabled
        record = heartbeat.read(self._settings.state, "silver")
        if record is not None and self._asked == (record.pid, record.batch):
            return False  # the tables have not changed since they were asked
        self._asked = None if record is None else (record.pid, record.batch)
        recorded = accepted_gaps.read(self._settings.lake)
        self._at = merge(*(positions(path_of(self._settings, table)) for table in (CLEAN, REJETS)))
        return all(
            max(self._at.get(key, -1), recorded.last(*key)) >= offset for key, offset in self._goal.items()
        ) and (not self._settings.producer.enabled or sales(self._settings) > 0)

    def progress(self) -> object:
        return tuple(sorted(self._at.items()))

    def _ends(self) -> Position | None:
        """(topic_id, partition) → last offset, of the partitions that hold a message; None if nobody answers."""
        try:
            with kafka.Admin(self._settings) as admin:
                topic_id, ends = admin.topic_id(), admin.end_offsets()
        except BrokerUnavailable:
            return None
        if topic_id is None:
            return None
        label = accepted_gaps.read(self._settings.lake).label(topic_id)
        return {(label, number): high - 1 for number, (low, high) in ends.items() if high > low}


def sales(settings: Settings) -> int:
    """Rows of ventes_clean now."""
    try:
        return tables.snapshot(settings, CLEAN).rows
    except TableMissing:
        return 0


def last_lines(settings: Settings, name: str, count: int = 8) -> list[str]:
    """The newest lines of a service's log, or of its raw output if it died before it could log."""
    for path in (settings.log(name), services.output(settings, name)):
        lines = [line for line in log_files.last_lines(path, 4 * count) if line.strip()]
        if lines:
            return [line[:300] for line in lines[-count:]]
    return []


def _down(settings: Settings, book: service_records.Ledger) -> list[str]:
    up = {states.RUNNING, states.BY_HAND}
    return [
        service.name
        for service in services.enabled(settings)
        if service.name not in book.entries or book.entries[service.name].state not in up
    ]


def _wake(book: service_records.Ledger) -> None:
    process = book.supervisor()
    if process is None:
        raise VentesError("the supervisor has just ended", "run the command again")
    processes.send(process, signal.SIGHUP)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A second Ctrl-C shall not leave the clearing-up half done."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
