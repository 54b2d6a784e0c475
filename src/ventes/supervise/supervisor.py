"""The process that owns the services: starts them in order, brings back what crashed, stops them without loss.

    python -m ventes.supervise.supervisor

SIGTERM or SIGINT  stop everything, producer first, broker last, then end.
SIGHUP             read the settings anew, start whatever is down, and change engine if <state>/run/engine asks for it.

It sleeps until a child ends, a signal comes or something is due. `ventes start`, `stop` and `restart` are its users.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ventes import config
from ventes.config import Settings
from ventes.errors import VentesError
from ventes.lake.writer_lock import WriterLock
from ventes.runtime import heartbeat, log_files, logs
from ventes.runtime.umask import keep_private
from ventes.supervise import orphans, processes, service_records, services, states
from ventes.supervise.service_records import Entry, Ledger
from ventes.supervise.service_state import IDLE, SOON, Unit, World
from ventes.supervise.services import Service


class Supervisor:
    """All units together. `step()` and `stop()` are what a test drives; `run()` is the loop around them."""

    def __init__(self, wanted: Iterable[Service], world: World, settings: Settings) -> None:
        self._world = world
        self._answers: dict[str, bool] = {}  # asked at most once a step
        self.units = {service.name: Unit(service, world, settings.supervisor) for service in wanted}

    def step(self) -> float:
        """Let each unit look and act once; returns in how many seconds to look again at the latest."""
        self._answers.clear()
        for unit in self.units.values():
            unit.step(self._blocked_by(unit))
        return min(unit.next_look() for unit in self.units.values())

    def start_what_is_down(self, wanted: Iterable[Service]) -> None:
        """Start each service of `wanted` that is down; stop those that are no longer wanted."""
        names = set()
        for service in wanted:
            names.add(service.name)
            if service.name in self.units:
                self.units[service.name].want()
        for name in set(self.units) - names:
            self.units[name].ask_to_stop()

    def stopping(self, names: Iterable[str] = services.STOP_ORDER) -> Iterable[str]:
        """Stop these services one after the other. Yields the one that is waited for; ends when all have ended."""
        for name in names:
            unit = self.units.get(name)
            if unit is None:
                continue
            unit.ask_to_stop()
            unit.step("")
            while unit.state == states.STOPPING or unit.alive:
                yield name
                unit.step("")

    def _blocked_by(self, unit: Unit) -> str:
        if unit.state not in {states.WAITING, states.RESTARTING}:
            return ""
        for name in unit.service.needs:
            needed = self.units.get(name)
            if needed is not None and not self._is_ready(needed):
                return needed.service.title
        return ""

    def _is_ready(self, unit: Unit) -> bool:
        name = unit.service.name
        if name not in self._answers:
            self._answers[name] = self._world.ready(unit.service)
        return self._answers[name]


class Bell:
    """Wakes the loop: a signal handler only takes a note, and the note is handled where the loop stands."""

    def __init__(self, *signals: signal.Signals) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*signals, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float) -> set[int]:
        """Sleep up to `seconds`; returns the signals that came, at once if there are any."""
        select.select([self._reader], [], [], seconds)
        try:
            return set(os.read(self._reader, 4096))
        except BlockingIOError:
            return set()


class Main:
    """The running program: settings, log, ledger and heartbeat around a Supervisor."""

    def __init__(self, settings: Settings, log: logging.Logger, offered: Sequence[Service]) -> None:
        self.settings = settings
        self._offered = offered
        self._log = log
        self._ledger = Ledger(settings.engine, os.getpid(), heartbeat.start_of(os.getpid()))
        self._reporter = heartbeat.Reporter(settings.state, "supervisor", settings.engine)
        self._unheard: set[int] = set()
        self._bell = Bell(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        world = World(
            start=self._start,
            ready=self._ready,
            started_by_hand=self._started_by_hand,
            last_words=self._last_words,
            changed=self._changed,
            monotonic=time.monotonic,
            now=time.time,
        )
        self._supervisor = Supervisor(offered, world, settings)
        for unit in self._supervisor.units.values():
            self._ledger.entries[unit.service.name] = unit.entry
        self._supervisor.start_what_is_down(services.enabled(settings, offered))

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then everything has ended."""
        self._reporter.update(phase="running")
        looked = time.monotonic()
        while True:
            seconds = self._supervisor.step()
            signals = self._unheard or self._bell.wait(seconds)
            self._unheard = set()
            if signals & {signal.SIGTERM, signal.SIGINT}:
                break
            if signal.SIGHUP in signals:
                self._asked()
            if time.monotonic() - looked >= IDLE:
                looked = time.monotonic()
                self._reporter.update()
                for name in self._supervisor.units:
                    log_files.trim(services.output(self.settings, name))
        self._reporter.update(phase="stopping", reason="ventes stop")
        self._stop(services.STOP_ORDER)
        self._reporter.update(phase="stopped", reason="stopped on purpose")

    def _stop(self, names: Iterable[str]) -> None:
        for _ in self._supervisor.stopping(names):
            self._unheard |= self._bell.wait(SOON) - {signal.SIGCHLD}

    def _asked(self) -> None:
        """SIGHUP: settings anew, another engine if asked for, then start what is down."""
        asked = engine_request(self.settings.state)
        try:
            engine = asked.read_text(encoding="utf-8").strip()
            asked.unlink()
            os.environ["VENTES_ENGINE"] = engine
        except FileNotFoundError:
            pass
        try:
            self.settings = config.load()
        except VentesError as error:
            self._log.error("the settings stay as they were: %s", error)
        if self.settings.engine != self._ledger.engine:
            self._log.info("engine %s → %s", self._ledger.engine, self.settings.engine)
            self._stop(services.JOBS)
            self._ledger.engine = self.settings.engine
            self._reporter.update(engine=self.settings.engine)
        self._supervisor.start_what_is_down(services.enabled(self.settings, self._offered))

    # -- the world ----------------------------------------------------------------------------

    def _start(self, service: Service) -> processes.Child:
        argv = service.argv(self.settings)
        child = processes.Child(
            argv,
            services.environment(self.settings),
            services.folder(),
            services.output(self.settings, service.name),
        )
        self._ledger.entries[service.name].argv = argv
        return child

    def _ready(self, service: Service) -> bool:
        return service.listens(self.settings) if service.listens is not None else service.ready(self.settings)[0]

    def _started_by_hand(self, service: Service) -> str:
        by_hand = services.started_by_hand(self.settings, service)
        return str(by_hand) if by_hand is not None else ""

    def _last_words(self, service: Service) -> str:
        record = heartbeat.read(self.settings.state, service.name)
        if record is not None and record.pid == self._ledger.entries[service.name].pid:
            if record.phase == "failed":
                return record.reason
            if record.last_error:
                return record.last_error
        return log_files.last_message(services.output(self.settings, service.name))

    def _changed(self, entry: Entry) -> None:
        again = f", again in {entry.again_at - entry.since:.0f} s" if entry.again_at else ""
        why = f": {entry.reason}" if entry.reason else ""
        level = logging.WARNING if entry.state in {states.FAILED, states.RESTARTING} else logging.INFO
        self._log.log(level, "%s %s%s%s", entry.service, entry.state, why, again)
        service_records.write(self.settings.state, self._ledger)


def engine_request(state: Path) -> Path:
    """The file that names the engine to change to at the next SIGHUP."""
    return state / "run" / "engine"


def lock_path(state: Path) -> Path:
    return state / "run" / "supervisor.lock"


def supervise(settings: Settings, offered: Sequence[Service] = services.ALL) -> None:
    """Be the supervisor of this pipeline until told to stop. Raises AlreadyRunning if there is one."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with WriterLock(lock_path(settings.state)):
        log = logs.setup("supervisor", settings)
        for sentence in orphans.end_all(settings):
            log.warning(sentence)
        log.info("supervisor %d, engine %s, settings %s", os.getpid(), settings.engine, settings.config_file)
        try:
            Main(settings, log, offered).run()
        except BaseException:
            log.exception("the supervisor fails; `ventes start` ends what it leaves behind and begins anew")
            raise
        log.info("everything has ended")


if __name__ == "__main__":
    keep_private()
    try:
        supervise(config.load())
    except VentesError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
