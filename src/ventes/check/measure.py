"""Measures what the metrics show and no heartbeat has: lag, readiness, tables, disks.

    python -m ventes.check.measure

is the child process of the supervisor (supervise/metrics/measurer.py): for each line on standard input it writes one
Measured as a line of JSON to standard output. It ends with standard input, or after IDLE_SECONDS without a line. It
only reads.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import time
from contextlib import suppress

from ventes import config
from ventes.check.status import status
from ventes.config import Settings
from ventes.errors import VentesError
from ventes.lake.open_tables import OpenTables
from ventes.runtime import scratch
from ventes.runtime.measured import DiskSpace, LagNow, Measured, TableSize
from ventes.runtime.pipeline_status import OFF

IDLE_SECONDS = 300.0
"""Prometheus asks at least every two minutes; then its values would be stale anyway."""
JOBS = ("bronze", "silver")


def measure(settings: Settings, tables: OpenTables) -> Measured:
    """Ask all services and look at all tables, now; takes 2 s at most. `tables`: the same ones each time."""
    began, at = time.monotonic(), time.time()
    found = status(settings)
    silver = found.service("silver")
    return Measured(
        at=at,
        broker_up=found.service("broker").ready,
        ready={service.name: service.ready for service in found.services if service.state != OFF},
        lag={name: LagNow(found.service(name).lag_messages, found.service(name).lag_seconds) for name in JOBS},
        rollups_seconds=silver.rollups_missing_seconds if silver.running else None,
        tables=sizes(tables),
        disks=_disks(settings),
        seconds=round(time.monotonic() - began, 4),
    )


def sizes(tables: OpenTables) -> dict[str, TableSize]:
    """The size of each table of the stream that can be read."""
    found = {}
    for table in tables.declared.all:
        with suppress(VentesError, OSError):  # not made yet, or being replaced: `ventes doctor` says which
            snapshot = tables.snapshot(table)
            found[table.name] = TableSize(snapshot.version, len(snapshot.files), snapshot.size, snapshot.rows)
    return found


def _disks(settings: Settings) -> dict[str, DiskSpace]:
    found = {}
    for name, folder in settings.folders.items():
        with suppress(OSError):  # not made yet
            usage = shutil.disk_usage(folder)
            found[name] = DiskSpace(usage.free, usage.total)
    return found


def main() -> None:
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            asked.put(line)
        _end()  # the supervisor has ended: whatever is being measured is not wanted any more

    threading.Thread(target=listen, daemon=True).start()
    settings = config.load()
    tables = OpenTables(settings)
    with suppress(queue.Empty, BrokenPipeError):
        while True:
            asked.get(timeout=IDLE_SECONDS)
            print(measure(settings, tables).to_json(), flush=True)
    _end()


def _end() -> None:
    """At once: the thread that waits for input would keep an orderly end waiting."""
    scratch.remove()
    os._exit(0)


if __name__ == "__main__":
    main()
