"""How a job process runs and ends, the same for both engines and both jobs: log, signals, heartbeat, exit code."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ventes.config import Settings
from ventes.deltalog.log import TableReplaced
from ventes.errors import AlreadyRunning, BrokerUnavailable, LockLost, VentesError
from ventes.lake import damage, writer_lock
from ventes.runtime import heartbeat, logs
from ventes.runtime.durations import in_words
from ventes.runtime.exit_codes import CRASHED, NEEDS_A_PERSON
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

BEAT_SECONDS = 5.0
"""How often a job that has nothing else to say renews its heartbeat."""


class Crashed(Exception):
    """This process cannot go on, a new one can; the message says why. No traceback is logged."""


@dataclass
class Job:
    """What every part of a running job is given, and how it says that it waits."""

    settings: Settings
    log: logging.Logger
    reporter: Reporter
    stopper: Stopper
    _waits_since: float | None = field(default=None, init=False)

    def wait_for(self, reason: str) -> None:
        """Say that the job waits, and for what: a log line for each new reason, and the heartbeat."""
        record = self.reporter.record
        news = (record.phase, record.reason) != ("waiting", reason)
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        if news:
            self.log.warning("waiting: %s", reason)
        if news or self.reporter.age > BEAT_SECONDS:
            self.reporter.update(phase="waiting", reason=reason)

    def go_on(self, **fields: object) -> None:
        """Say that the job runs, with `fields` of the heartbeat; after a wait, a log line says how long it was."""
        if self._waits_since is not None:
            self.log.info("goes on after waiting %s", in_words(time.monotonic() - self._waits_since))
            self._waits_since = None
        self.reporter.update(phase="running", reason="", working_since=None, **fields)

    def beat_due(self) -> bool:
        """Whether the heartbeat is old, or does not say that the job runs."""
        return self.reporter.record.phase != "running" or self.reporter.age > BEAT_SECONDS


Body = Callable[[Job], int | None]
"""The work. An exit code that it returns means that the heartbeat says already how the job ended."""


def run(settings: Settings, service: str, engine: str, body: Body) -> int:
    """Run `body` as the process of `service` ("bronze", "silver") until it returns; its exit code.

    0 stopped, 3 an error that a person must mend (the heartbeat says `failed` and why) or a second instance
    (the heartbeat stays the first one's), 1 anything else, to be restarted.
    """
    log = logs.setup(service, settings)
    try:
        wait_for_predecessor(settings, service)
    except AlreadyRunning as error:
        return _refused(log, service, error)
    reporter = Reporter(settings.state, service, engine)
    stopper = Stopper().install(reporter.stopping)
    reporter.update(phase="starting", reason="")
    log.info("%s starts, engine %s, lake %s", service, engine, settings.lake)
    try:
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

    A JVM whose Python was killed ends by itself within seconds: that one is waited for.
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
