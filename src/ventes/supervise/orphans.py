"""Finds and ends services whose supervisor was killed (kill -9).

They are found in the service records and in the services' own heartbeats. A record is used only if the process with
its pid has the recorded start time; no other process is ever signalled.
"""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from ventes.config import Settings
from ventes.errors import VentesError
from ventes.runtime import heartbeat
from ventes.supervise import processes, service_records, services


def find(settings: Settings) -> dict[str, list[psutil.Process]]:
    """Service → its running processes (helpers last). Valid only while no supervisor runs."""
    known = service_records.read(settings.state).entries
    found: dict[str, list[psutil.Process]] = {}
    for name in services.STOP_ORDER:
        living = {}
        entry = known.get(name)
        if entry is not None and (process := entry.process()):
            living[process.pid] = process
        record = heartbeat.read(settings.state, name)
        if record is not None and record.supervised:
            if process := heartbeat.process_of(record):
                living[process.pid] = process
            for helper in processes.helpers(record):
                living[helper.pid] = helper
        if living:
            found[name] = list(living.values())
    return found


def end_all(settings: Settings) -> Iterator[str]:
    """End the services of a killed supervisor, in stop order and without loss; yields a message for each."""
    for name, living in find(settings).items():
        service = services.BY_NAME[name]
        for process in living:
            if not processes.lives(process):  # a helper that ended with its service
                continue
            try:
                by_itself = processes.end(process, service.stop_seconds)
            except psutil.AccessDenied:
                raise VentesError(
                    f"the {service.title} of this pipeline runs as pid {process.pid} under another user",
                    f"as that user: kill {process.pid}",
                ) from None
            yield f"{service.title} (pid {process.pid}), left by an earlier run, {'ended' if by_itself else 'killed'}"
