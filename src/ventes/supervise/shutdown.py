"""`ventes stop`: without loss, and until every process of the pipeline has ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from ventes.config import Settings
from ventes.errors import VentesError
from ventes.lake.writer_lock import WriterLock
from ventes.runtime import heartbeat
from ventes.supervise import orphans, processes, service_records, services, states
from ventes.supervise.supervisor import lock_path

Say = Callable[[str], None]

MARGIN_SECONDS = 20.0
"""On top of what the services may take one after the other."""


def stop(settings: Settings, say: Say) -> bool:
    """End the supervisor and all it started; or, if it was killed, what it left. False if nothing ran.

    Raises VentesError if something does not end.
    """
    book = service_records.read(settings.state)
    supervisor = book.supervisor()
    if supervisor is None:
        return _stop_orphans(settings, say)
    processes.send(supervisor, signal.SIGTERM)
    deadline = time.monotonic() + MARGIN_SECONDS + sum(service.stop_seconds for service in services.ALL)
    said: set[str] = set()
    while processes.lives(supervisor):
        _tell(settings, said, say)
        if time.monotonic() > deadline:
            raise VentesError(
                f"the supervisor (pid {supervisor.pid}) has not ended after SIGTERM",
                f"look at {settings.log('supervisor')}; kill -9 {supervisor.pid}, then `ventes stop` again",
            )
        time.sleep(0.05)
    _tell(settings, said, say)
    _stop_orphans(settings, say)  # nothing, unless the supervisor was killed while it stopped
    return True


def stop_by_hand(settings: Settings, say: Say) -> None:
    """End the parts of this pipeline that somebody started by hand."""
    for name in services.STOP_ORDER:
        service = services.BY_NAME[name]
        by_hand = services.started_by_hand(settings, service)
        if by_hand is None:
            continue
        record = heartbeat.read(settings.state, name)
        helpers = processes.helpers(record) if record is not None else []
        found = by_hand.process()
        if found is not None:
            processes.end(found, service.stop_seconds)
        for helper in helpers:
            processes.end(helper, 5.0)
        say(f"{service.title} ({by_hand}) stopped")


def _stop_orphans(settings: Settings, say: Say) -> bool:
    if not orphans.find(settings):
        return False
    with WriterLock(lock_path(settings.state)):  # a supervisor that starts just now must not lose its children
        for sentence in orphans.end_all(settings):
            say(sentence)
        book = service_records.read(settings.state)
        for entry in book.entries.values():
            if entry.state != states.STOPPED:
                entry.state, entry.reason, entry.since, entry.again_at = (
                    states.STOPPED,
                    "stopped",
                    time.time(),
                    None,
                )
        service_records.write(settings.state, book)
    return True


def _tell(settings: Settings, said: set[str], say: Say) -> None:
    entries = service_records.read(settings.state).entries
    for name in services.STOP_ORDER:
        entry = entries.get(name)
        if entry is None or name in said or entry.state not in {states.STOPPED}:
            continue
        if entry.pid is not None:
            said.add(name)
            say(f"{services.BY_NAME[name].title}: {entry.reason}")
