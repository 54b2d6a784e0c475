"""How a job process runs and ends, the same for both engines and both jobs: log, signals, heartbeat, exit code."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ventes.config import Settings
from ventes.errors import AlreadyRunning, BrokerUnavailable, VentesError
from ventes.lake import writer_lock
from ventes.runtime import heartbeat, logs
from ventes.runtime.exit_codes import CRASHED, NEEDS_A_PERSON
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper


class Crashed(Exception):
    """This process cannot go on, a new one can; the message says why. No traceback is logged."""


@dataclass(frozen=True)
class Job:
    """What every part of a running job is given."""

    settings: Settings
    log: logging.Logger
    reporter: Reporter
    stopper: Stopper


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
        log.error("%s stops: %s", service, error)
        reporter.error(str(error))
        if isinstance(error, BrokerUnavailable):
            return CRASHED
        reporter.update(phase="failed", reason=str(error))
        return NEEDS_A_PERSON
    except Crashed as error:
        log.error("%s ends: %s", service, error)
        reporter.error(str(error))
        return CRASHED
    except Exception as error:
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


def _refused(log: logging.Logger, service: str, error: AlreadyRunning) -> int:
    log.error("%s: %s", service, error)
    print(f"{service}: {error}", file=sys.stderr)
    return NEEDS_A_PERSON
