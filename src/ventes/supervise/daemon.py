"""The supervisor as a program: the parent process of the services; it waits in a selector for events.

    python -m ventes.supervise.daemon

It starts the services that the settings enable and serves the control socket (`control`, `requests`). Its clients are
`ventes start`, `stop`, `restart` and `rebuild`. SIGTERM and SIGINT mean the same as the request `stop`.

One thread, and those that serve metrics (`metrics`); no Kafka client, no Arrow, no DuckDB: it uses 40 MB and almost no
CPU.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psutil

from ventes import config
from ventes.config import Settings
from ventes.errors import AlreadyRunning, VentesError
from ventes.lake.writer_lock import WriterLock
from ventes.runtime import disk, heartbeat, log_files, logs, scratch
from ventes.runtime.umask import keep_private
from ventes.supervise import control, orphans, processes, service_records, services, states
from ventes.supervise.control_server import Server
from ventes.supervise.metrics.serving import Serving
from ventes.supervise.requests import Plan, Requests
from ventes.supervise.service_records import Entry, ServiceRecords
from ventes.supervise.service_state import IDLE, World
from ventes.supervise.services import Service
from ventes.supervise.supervisor import Supervisor
from ventes.supervise.watchdog import Watchdog

OUTPUT_LINES = 15
"""Lines of a service's terminal output that are copied to its log when it has ended."""


class WakeUp:
    """Wakes the loop when a signal arrives: the handler only sets a flag, which the loop then handles."""

    def __init__(self, selector: selectors.BaseSelector, told_to_stop: Callable[[], None]) -> None:
        self._told_to_stop = told_to_stop
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        selector.register(self._reader, selectors.EVENT_READ, self._woken)

    def _woken(self, events: int) -> None:
        if {signal.SIGTERM, signal.SIGINT} & set(os.read(self._reader, 4096)):
            self._told_to_stop()


class Daemon:
    """The running program: settings, log, records, heartbeat and control socket around a Supervisor."""

    def __init__(self, settings: Settings, log: logging.Logger, offered: Sequence[Service]) -> None:
        self._settings = settings
        self._offered = offered
        self._log = log
        self._records = ServiceRecords(settings.engine, os.getpid(), heartbeat.start_of(os.getpid()))
        self._reporter = heartbeat.Reporter(settings.state, "supervisor", settings.engine)
        self._selector = selectors.DefaultSelector()
        self._unwritten = False
        world = World(
            start=self._start,
            ready=lambda service: service.ready(self._settings)[0],
            says_stopping=self._says_stopping,
            hangs=lambda service: self._watchdog.reason(service),
            started_by_hand=self._started_by_hand,
            last_output_line=self._last_output_line,
            changed=self._changed,
            full_disk=lambda: disk.full(self._settings),
            monotonic=time.monotonic,
            now=time.time,
        )
        self._supervisor = Supervisor(offered, world, settings)
        self._watchdog = Watchdog(
            self._own_record, lambda service: service.ready(self._settings)[0], _cpu_seconds, time.monotonic
        )
        for name, service in self._supervisor.services.items():
            self._records.entries[name] = service.entry
        self._requests = Requests(self._supervisor, self._records, self._plan, time.monotonic)
        WakeUp(self._selector, self._requests.stop)
        self._metrics = Serving(log)
        self._control = Server(settings.state, self._selector, self._requests.handle, self._requests.gone)

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or the request `stop`; at return every service has ended."""
        self._supervisor.start(services.enabled(self._settings, self._offered))
        self._reporter.update(phase="running")
        self._metrics.apply(self._settings)
        self._note_metrics()
        looked = time.monotonic()
        while not self._supervisor.stopped:
            seconds = self._supervisor.step()
            self._requests.step()
            if not self._supervisor.stopped:
                self._wait(seconds)
            if self._supervisor.stopping and self._reporter.record.phase == "running":
                self._reporter.stopping("told to stop")
            if time.monotonic() - looked >= IDLE:
                looked = time.monotonic()
                self._run_periodic_checks()
        self._requests.stopped()
        self._reporter.update(phase="stopped", reason="stopped on purpose")

    def close(self) -> None:
        self._control.close()
        self._metrics.close()

    def _wait(self, seconds: float) -> None:
        for key, events in self._selector.select(max(0.0, seconds)):
            key.data(events)

    def _run_periodic_checks(self) -> None:
        self._reporter.update()
        self._metrics.look()
        self._note_metrics()
        if self._unwritten:
            self._write_records()
        self._control.close_idle(time.monotonic())
        running = {
            name: service.entry.pid
            for name, service in self._supervisor.services.items()
            if service.service.watched and service.state == states.RUNNING and service.entry.pid is not None
        }
        self._watchdog.look(running, {service.name: service for service in self._offered})
        for name in self._supervisor.services:
            log_files.trim(services.output(self._settings, name))

    def _note_metrics(self) -> None:
        if self._metrics.problem != self._records.metrics_problem:
            self._records.metrics_problem = self._metrics.problem
            self._write_records()

    def _plan(self, engine: str | None) -> Plan:
        """Read the settings again. `engine` None keeps the running engine."""
        before = self._records.engine
        self._settings = config.load(engine=engine or before)
        after = self._settings.engine
        if after != before:
            self._log.info("engine %s → %s", before, after)
            self._records.engine = after
            self._reporter.update(engine=after)
        self._metrics.apply(self._settings)
        self._note_metrics()
        return Plan(after, services.enabled(self._settings, self._offered), services.JOBS if after != before else ())

    # -- the functions of World ---------------------------------------------------------------

    def _start(self, service: Service) -> processes.Child:
        argv = service.argv(self._settings)
        child = processes.Child(
            argv,
            services.environment(self._settings),
            services.folder(),
            services.output(self._settings, service.name),
        )
        self._records.entries[service.name].argv = argv
        return child

    def _own_record(self, service: Service) -> heartbeat.Heartbeat | None:
        """The heartbeat of the process that was started last."""
        pid = self._records.entries[service.name].pid
        return None if pid is None else heartbeat.of_process(self._settings.state, service.name, pid)

    def _says_stopping(self, service: Service) -> bool:
        record = self._own_record(service)
        return record is not None and record.phase == "stopping"

    def _started_by_hand(self, service: Service) -> str:
        by_hand = services.started_by_hand(self._settings, service)
        return str(by_hand) if by_hand is not None else ""

    def _last_output_line(self, service: Service) -> str:
        record = self._own_record(service)
        if record is not None:
            if record.phase == "failed":
                return record.reason
            if record.last_error:
                return record.last_error
        if in_the_way := next(services.taken_ports(self._settings, service), None):
            return services.in_the_way(*in_the_way)
        return log_files.last_message(services.output(self._settings, service.name))

    def _changed(self, entry: Entry) -> None:
        again = f", again in {entry.again_at - entry.since:.0f} s" if entry.again_at else ""
        why = f": {entry.reason}" if entry.reason else ""
        level = logging.WARNING if entry.state in {states.FAILED, states.RESTARTING} else logging.INFO
        self._log.log(level, "%s %s%s%s", entry.service, entry.state, why, again)
        if level == logging.WARNING:
            self._note_in_its_log(entry, f"{entry.reason}{again}")
        self._write_records()
        self._requests.changed(entry)

    def _note_in_its_log(self, entry: Entry, how: str) -> None:
        """Write the end to the service's log: a killed service, or one that could not start, cannot do it."""
        output = log_files.last_lines(services.output(self._settings, entry.service), OUTPUT_LINES)
        text = "\n".join([f"ended: {how}", *(f"  | {line}" for line in output)])
        try:
            logs.note(entry.service, self._settings, text)
        except (OSError, VentesError) as error:  # a full disk, a log that is not ours
            self._log.warning("no note could be written to %s: %s", self._settings.log(entry.service), error)

    def _write_records(self) -> None:
        """Write the states of the services; while the disk is full, this is tried again at each periodic check."""
        try:
            service_records.write(self._settings.state, self._records)
            self._unwritten = False
        except OSError as error:
            if not disk.is_full(error):
                raise
            self._unwritten = True


def _cpu_seconds(pid: int) -> float | None:
    """CPU seconds that a process and its children have used so far; None if it has ended."""
    try:
        process = psutil.Process(pid)
        used = 0.0
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(one.cpu_times()[:2])
        return used
    except psutil.Error:
        return None


def lock_path(state: Path) -> Path:
    return state / "run" / "supervisor.lock"


def _only_one(settings: Settings) -> WriterLock:
    """The supervisor's lock. Waits for a `ventes stop` that ends the services of a killed supervisor.

    Raises AlreadyRunning if another supervisor holds it.
    """
    lock = WriterLock(lock_path(settings.state))
    until = time.monotonic() + services.STOP_SECONDS
    while True:
        try:
            return lock.acquire()
        except AlreadyRunning:
            if (running := control.connect(settings.state)) is not None:
                with running:
                    raise
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def supervise(settings: Settings, offered: Sequence[Service] = services.ALL) -> None:
    """Run the supervisor of this pipeline until a stop request. Raises AlreadyRunning if there is one."""
    keep_private()
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(settings):
        log = logs.setup("supervisor", settings)
        with closing(Daemon(settings, log, offered)) as daemon:  # from here on a second `ventes start` waits for it
            for sentence in orphans.end_all(settings):
                log.warning(sentence)
            log.info("supervisor %d, engine %s, settings %s", os.getpid(), settings.engine, settings.config_file)
            try:
                daemon.run()
            except BaseException:
                log.exception("the supervisor fails; `ventes start` ends its remaining services and starts again")
                raise
            log.info("everything has ended")
        scratch.sweep()  # of what was killed last, no later process would do it


if __name__ == "__main__":
    try:
        supervise(config.load())
    except VentesError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
