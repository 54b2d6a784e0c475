"""The open tables of a lake in one process: each log is read once, then only its new commits."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.compaction import Merging
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import Policy, TableMaintenance, one_worker
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake import readers, tables


class OpenTables:
    """One Log for each table of a lake. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.declared = contract.of(settings)
        self._logs: dict[str, Log] = {}

    def log(self, table: Table) -> Log:
        """The table's log, refreshed: the same object as before, unless the table was replaced meanwhile.

        Raises TableMissing, LakeDamaged.
        """
        known = self._logs.get(table.name)
        if known is not None and known.valid():
            known.refresh()
            return known
        self._logs.pop(table.name, None)
        opened = Log.open(tables.path_of(self._settings, table))
        self._logs[table.name] = opened
        return opened

    def ensure(self, table: Table) -> Log:
        """The log of a table; creates the table, or adds columns, if needed. Raises LakeDamaged."""
        tables.ensure(self._settings, table)
        return self.log(table)

    def snapshot(self, table: Table) -> Snapshot:
        """The table as it is now. Raises TableMissing, LakeDamaged."""
        return Snapshot.of_log(self.log(table), table)

    def maintenance(
        self, compacted: Iterable[Table], kept_small: Iterable[Table] = (), merging: Merging | None = None
    ) -> list[TableMaintenance]:
        """Maintenance of these tables, with one worker thread. `kept_small`: tables whose writer keeps few files.
        `merging`: see TableMaintenance."""
        worker = one_worker()
        history = self._settings.maintenance.history_hours * 3600.0
        needed_since = partial(readers.oldest, self._settings)
        appended, replaced = (
            Policy(self._settings.maintenance.compact_every, history, needed_since=needed_since),
            Policy(0, history, by_minute=True, needed_since=needed_since),
        )
        kept = [(table, appended) for table in compacted] + [(table, replaced) for table in kept_small]
        return [TableMaintenance(table, self.log(table), policy, worker, merging) for table, policy in kept]
