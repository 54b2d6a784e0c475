"""Runs a job process, for both engines and both jobs: log, signals, heartbeat, exit code."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ventes.config import Settings
from ventes.deltalog.log import TableReplaced
from ventes.errors import AlreadyRunning, BrokerUnavailable, LockLost, VentesError
from ventes.judging import rules
from ventes.lake import damage, writer_lock
from ventes.runtime import heartbeat, logs
from ventes.runtime.durations import in_words
from ventes.runtime.exit_codes import CRASHED, NEEDS_A_PERSON
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

BEAT_SECONDS = 5.0
"""Seconds between two heartbeats of an idle job."""


class Crashed(Exception):
    """This process cannot continue, but a new one can; the message is the cause. No traceback is logged."""


@dataclass
class Job:
    """The context of a running job, and its reports that it waits or continues."""

    settings: Settings
    log: logging.Logger
    reporter: Reporter
    stopper: Stopper
    _waits_since: float | None = field(default=None, init=False)

    def wait_for(self, reason: str) -> None:
        """Report that the job waits, and for what: a log line for each new reason, and the heartbeat."""
        record = self.reporter.record
        news = (record.phase, record.reason) != ("waiting", reason)
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        if news:
            self.log.warning("waiting: %s", reason)
        if news or self.reporter.age > BEAT_SECONDS:
            self.reporter.update(phase="waiting", reason=reason)

    def go_on(self, working_since: object = None, **fields: object) -> None:
        """Report that the job runs, with `fields` of the heartbeat; after a wait, log its duration.

        `working_since`: the beginning of a batch or lot that is still in progress (Unix seconds).
        """
        if self._waits_since is not None:
            self.log.info("continues after waiting %s", in_words(time.monotonic() - self._waits_since))
            self._waits_since = None
        self.reporter.update(phase="running", reason="", working_since=working_since, **fields)

    def beat_due(self) -> bool:
        """Whether the heartbeat is old, or its phase is not "running"."""
        return self.reporter.record.phase != "running" or self.reporter.age > BEAT_SECONDS


Body = Callable[[Job], int | None]
"""The work. If it returns an exit code, it has already written the final phase to the heartbeat."""


def run(settings: Settings, service: str, engine: str, body: Body) -> int:
    """Run `body` as the process of `service` ("bronze", "silver") until it returns; its exit code.

    0 stopped, 3 an error that a user must fix (the heartbeat has `failed` and the reason) or a second instance
    (the heartbeat of the first one is kept), 1 any other error: the supervisor restarts the job.
    """
    log = logs.setup(service, settings)
    try:
        wait_for_predecessor(settings, service)
    except AlreadyRunning as error:
        return _refused(log, service, error)
    reporter = Reporter(settings.state, service, engine, **settings.fingerprints())
    stopper = Stopper().install(reporter.stopping)
    reporter.update(phase="starting", reason="")
    log.info("%s starts, engine %s, lake %s", service, engine, settings.lake)
    try:
        rules.require_usable(settings.stream)
        code = body(Job(settings, log, reporter, stopper))
    except AlreadyRunning as error:
        return _refused(log, service, error)
    except VentesError as error:
        if not isinstance(error, BrokerUnavailable | LockLost | TableReplaced):
            return _needs_a_person(log, reporter, error)
        log.error("%s ends: %s", service, error)
        reporter.error(str(error))
        return CRASHED
    except Crashed as error:
        log.error("%s ends: %s", service, error)
        reporter.error(str(error))
        return CRASHED
    except Exception as error:
        if damaged := damage.of_error(error):
            return _needs_a_person(log, reporter, damaged)
        log.exception("%s failed", service)
        reporter.error(f"{type(error).__name__}: {error}"[:2000])
        return CRASHED
    if code is not None:
        return code
    reporter.update(phase="stopped", reason=stopper.signal or "")
    log.info("%s stopped%s", service, f" ({stopper.signal})" if stopper.signal else "")
    return 0


def wait_for_predecessor(settings: Settings, service: str, seconds: float = 15.0) -> None:
    """Return when the writer lock of `service` is free; raise AlreadyRunning if its holder is a running job.

    A JVM whose Python driver was killed ends by itself within seconds: this function waits for it.
    """
    path = writer_lock.lock_path(settings, service)
    until = time.monotonic() + seconds
    while (pid := writer_lock.holder(path)) is not None:
        record = heartbeat.read(settings.state, service)
        orphan = record is not None and pid in record.children and not heartbeat.alive(record)
        if not orphan or time.monotonic() > until:
            raise AlreadyRunning(f"already running, pid {pid} holds {path}", "ventes status; ventes stop")
        time.sleep(0.1)


def _needs_a_person(log: logging.Logger, reporter: Reporter, error: VentesError) -> int:
    log.error("%s stops: %s", reporter.record.service, error)
    reporter.error(str(error))
    reporter.update(phase="failed", reason=str(error))
    return NEEDS_A_PERSON


def _refused(log: logging.Logger, service: str, error: AlreadyRunning) -> int:
    log.error("%s: %s", service, error)
    print(f"{service}: {error}", file=sys.stderr)
    return NEEDS_A_PERSON
