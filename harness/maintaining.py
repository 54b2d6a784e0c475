"""Maintenance of one table according to the settings, on a log of the test."""

from __future__ import annotations

from concurrent.futures import Executor

from ventes.config import Settings
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import Policy, TableMaintenance
from ventes.deltalog.table import Table


def maintenance_of(settings: Settings, table: Table, log: Log, worker: Executor | None = None) -> TableMaintenance:
    """`worker` None: all work happens within `run_due`."""
    policy = Policy(settings.maintenance.compact_every, settings.maintenance.history_hours * 3600.0)
    return TableMaintenance(table, log, policy, worker)
