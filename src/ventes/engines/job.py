"""Runs a job process, for both engines and both jobs: log, signals, heartbeat, exit code."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ventes.config import Settings
from ventes.deltalog.log import OutcomeUnknown, TableReplaced, VersionGone
from ventes.errors import (
    AlreadyRunning,
    BrokerUnavailable,
    LockLost,
    StoreUnavailable,
    VentesError,
    WrittenElsewhere,
)
from ventes.judging import rules
from ventes.lake import damage, writer_lock
from ventes.runtime import heartbeat, logs
from ventes.runtime.distribution import BATCH_SECONDS, Distribution
from ventes.runtime.durations import in_words
from ventes.runtime.exit_codes import CRASHED, NEEDS_A_PERSON
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper
from ventes.store import places

BEAT_SECONDS = 5.0
"""Seconds between two heartbeats of an idle job."""
STORE_SECONDS = (1.0, 15.0)
"""Shortest and longest pause before a store that did not answer is asked again; a request is repeated for 10 s."""


class Crashed(Exception):
    """This process cannot continue, but a new one can; the message is the cause. No traceback is logged."""


@dataclass
class Job:
    """The context of a running job, and its reports that it waits or continues."""

    settings: Settings
    log: logging.Logger
    reporter: Reporter
    stopper: Stopper
    batch_times: Distribution = field(default_factory=lambda: Distribution(BATCH_SECONDS), init=False)
    """Seconds of each batch or lot of this process."""
    _waits_since: float | None = field(default=None, init=False)
    hindrance: str = field(default="", init=False)
    """What another thread knows to be missing for the work in progress, which hangs; '' if nothing."""
    _before_hindrance: tuple[str, float | None] = field(default=("running", None), init=False)
    """Phase and `working_since` that are true again once it is over."""
    _guard: threading.RLock = field(default_factory=threading.RLock, init=False)

    def wait_for(self, reason: str) -> None:
        """Report that the job waits, and for what: a log line for each new reason, and the heartbeat."""
        with self._guard:
            self._wait_for(self.hindrance or reason)

    def _wait_for(self, reason: str) -> None:
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
        with self._guard:
            if self.hindrance:
                self.reporter.update(**fields)
            else:
                self._go_on("running", working_since, fields)

    def _go_on(self, phase: str, working_since: object, fields: Mapping[str, object]) -> None:
        if self._waits_since is not None:
            self.log.info("continues after waiting %s", in_words(time.monotonic() - self._waits_since))
            self._waits_since = None
        if (mirror := places.of(self.settings.lake)) is not None:
            fields = {**fields, "requests": mirror.requests()}
        self.reporter.update(phase=phase, reason="", working_since=working_since, **fields)

    def hindered_by(self, reason: str) -> None:
        """Report, from a thread that watches, why the work in progress hangs; '' once it goes on.

        Until then `go_on` and `wait_for` of the loop change neither the phase nor the reason.
        """
        with self._guard:
            if reason:
                if not self.hindrance:
                    record = self.reporter.record
                    phase = "starting" if record.phase == "starting" else "running"
                    self._before_hindrance = (phase, record.working_since)
                self.hindrance = reason
                self._wait_for(reason)
            elif self.hindrance:
                self.hindrance = ""
                self._go_on(*self._before_hindrance, {})

    def uses_cluster(self, **use: object) -> None:
        """Write what the job has of a Spark cluster to the heartbeat, if it changed (Heartbeat.cluster)."""
        with self._guard:
            use = {**use, "waits": self.hindrance}
            if self.reporter.record.cluster != use:
                self.reporter.update(cluster=use)

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
    reporter = Reporter(settings.state, service, engine, **settings.fingerprints(service))
    stopper = Stopper().install(reporter.stopping)
    reporter.update(phase="starting", reason="")
    log.info("%s starts, engine %s, lake %s", service, engine, places.shown(settings.lake))
    try:
        rules.require_usable(settings.stream)
        code = while_the_store_answers(Job(settings, log, reporter, stopper), body)
    except WrittenElsewhere as error:
        return _needs_a_person(log, reporter, error)
    except AlreadyRunning as error:
        return _refused(log, service, error)
    except VentesError as error:
        if not isinstance(error, BrokerUnavailable | LockLost | TableReplaced):
            return _needs_a_person(log, reporter, error)
        log.error("%s ends: %s", service, error)
        reporter.error(str(error))
        return CRASHED
    except Crashed as error:
        if stopper.stopping:  # what could not go on was not waited for: the next start repeats it
            log.info("%s does not finish what it began: %s", service, error)
            return _stopped(log, reporter, stopper)
        log.error("%s ends: %s", service, error)
        reporter.error(str(error))
        return CRASHED
    except Exception as error:
        damaged = damage.of_error(error)
        if isinstance(damaged, VersionGone):  # vacuumed while it was read: a new process reads the newest one
            log.error("%s ends: %s", service, damaged)
            reporter.error(str(damaged))
            return CRASHED
        if damaged is not None:
            return _needs_a_person(log, reporter, damaged)
        log.exception("%s failed", service)
        reporter.error(f"{type(error).__name__}: {error}"[:2000])
        return CRASHED
    if code is not None:
        return code
    return _stopped(log, reporter, stopper)


def _stopped(log: logging.Logger, reporter: Reporter, stopper: Stopper) -> int:
    reporter.update(phase="stopped", reason=stopper.signal or "")
    log.info("%s stopped%s", reporter.record.service, f" ({stopper.signal})" if stopper.signal else "")
    return 0


def while_the_store_answers(job: Job, body: Body) -> int | None:
    """Run `body`; after each outage of the object store of the lake again, from what the tables say then.

    A commit whose request failed may have succeeded or not: what is in memory is not to be trusted after it.
    """
    pause = STORE_SECONDS[0]
    while True:
        began = time.monotonic()
        try:
            return body(job)
        except StoreUnavailable as error:
            pause = STORE_SECONDS[0] if time.monotonic() - began > STORE_SECONDS[1] else pause
            job.wait_for(str(error))
            if job.stopper.wait(pause):
                return None
            pause = min(2 * pause, STORE_SECONDS[1])
        except OutcomeUnknown as error:
            job.log.warning("%s", error)


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
