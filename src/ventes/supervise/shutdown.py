"""`ventes stop`: without loss, and until every process of the pipeline has ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress

from ventes.config import Settings
from ventes.errors import AlreadyRunning, VentesError
from ventes.lake.writer_lock import WriterLock
from ventes.runtime import heartbeat
from ventes.supervise import control, orphans, processes, service_records, services, states
from ventes.supervise.control import Client, Disconnected
from ventes.supervise.daemon import lock_path

Say = Callable[[str], None]

GONE_SECONDS = 5.0
"""Timeout in seconds for the supervisor's end after it has closed its socket."""


def stop(settings: Settings, say: Say) -> bool:
    """End the supervisor and its services; or, if it was killed, its remaining services. False if nothing ran.

    Raises VentesError if something does not end.
    """
    ran = False
    until = time.monotonic() + services.STOP_SECONDS
    while not _stop_supervisor(settings, say):
        if not orphans.find(settings):
            return ran
        ran = True
        try:
            _stop_orphans(settings, say)
        except AlreadyRunning:  # another `ventes stop` ends them, or a supervisor that has just been started
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    with suppress(AlreadyRunning):  # then a new supervisor runs, which was started after this stop
        _stop_orphans(settings, say)  # nothing, unless the supervisor was killed while it stopped
    return True


def _stop_supervisor(settings: Settings, say: Say) -> bool:
    """Tell it to stop and wait until it has ended; False if there is none. Raises VentesError if it does not end."""
    client = control.connect(settings.state)
    if client is not None:
        with client, suppress(Disconnected):
            client.send("stop")
            follow_to_the_end(settings, client, say)
        return True
    supervisor = service_records.read(settings.state).supervisor()
    if supervisor is None:
        return False
    processes.send(supervisor, signal.SIGTERM)  # somebody removed its socket: SIGTERM means the same
    if not processes.wait_until_gone([supervisor], services.STOP_SECONDS):
        raise _does_not_end(settings, supervisor.pid)
    return True


def follow_to_the_end(settings: Settings, client: Client, say: Say) -> None:
    """Report what ends, until the supervisor of `client` has ended. Raises VentesError if it does not end."""
    supervisor = processes.living(client.pid)
    deadline = time.monotonic() + services.STOP_SECONDS
    try:
        while time.monotonic() < deadline:
            event = client.receive(1.0)
            if event is None or event["event"] != "service":
                continue
            if event["state"] == states.STOPPED and event["pid"] is not None:
                say(f"{services.BY_NAME[event['service']].title}: {event['reason']}")
    except Disconnected:
        if supervisor is None or processes.wait_until_gone([supervisor], GONE_SECONDS):
            return
    raise _does_not_end(settings, client.pid)


def stop_by_hand(settings: Settings, say: Say) -> None:
    """End the services of this pipeline that were started by hand."""
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


def _stop_orphans(settings: Settings, say: Say) -> None:
    """Raises AlreadyRunning while another process holds the supervisor's lock."""
    if not orphans.find(settings):
        return
    with WriterLock(lock_path(settings.state)):  # a supervisor that starts just now must not lose its children
        for sentence in orphans.end_all(settings):
            say(sentence)
        records = service_records.read(settings.state)
        for entry in records.entries.values():
            if entry.state != states.STOPPED:
                entry.state, entry.reason, entry.since, entry.again_at = (
                    states.STOPPED,
                    "stopped",
                    time.time(),
                    None,
                )
        service_records.write(settings.state, records)


def _does_not_end(settings: Settings, pid: int) -> VentesError:
    return VentesError(
        f"the supervisor (pid {pid}) was told to stop, but has not ended",
        f"look at {settings.log('supervisor')}; kill -9 {pid}, then `ventes stop` again",
    )
