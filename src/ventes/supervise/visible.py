"""Checks, from the tables, whether the events of the topic are visible in Silver."""

from __future__ import annotations

from collections.abc import Callable

from ventes import kafka
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.errors import BrokerUnavailable
from ventes.lake import accepted_gaps, tables
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import Position, behind, furthest, of_bronze, of_log


class Visible:
    """Follows Silver up to what the topic held when it was first asked; with a producer, at least to one event.

    A check of a table that did not change takes two `stat` calls.
    """

    def __init__(self, settings: Settings, ends: Callable[[Settings], Position | None] | None = None) -> None:
        """`ends` asks the topic; `topic_ends` if it is not given."""
        self._settings = settings
        self._ends = ends or topic_ends
        self._tables = OpenTables(settings)
        self._goal: Position | None = None
        self._versions: list[object] = []
        self.position: Position = {}
        """Up to which message Silver was when last looked at."""
        self.events = 0
        """Number of clean events when last looked at."""

    def reached(self) -> bool:
        """Look. Raises LakeDamaged."""
        if not self._goal:
            self._goal = self._ends(self._settings)
        if not self._goal:
            return self._goal is not None and not self._settings.producer.enabled
        self._look()
        if self._settings.producer.enabled and not self.events:
            return False
        return self.left == 0

    @property
    def left(self) -> int:
        """Messages that Silver has yet to take, of those that the topic held when it was first asked."""
        gaps = accepted_gaps.read(self._settings.lake)
        taken = {key: max(self.position.get(key, -1), gaps.last(*key)) for key in self._goal or {}}
        return behind(taken, self._goal or {})

    def _look(self) -> None:
        declared = self._tables.declared
        clean, rejects, bronze = map(self._log, (*declared.outcomes, declared.bronze))
        there = [log for log in (clean, rejects) if log is not None]
        versions: list[object] = [(log.path, log.version, log.committed_at) for log in (*there, bronze) if log]
        if versions != self._versions:
            self.position = furthest(*map(of_log, there))
            if bronze is not None:
                self._pass_over_what_holds_no_message(bronze)
            self.events = Snapshot.of_log(clean, declared.clean).rows if clean is not None else 0
            self._versions = versions

    def _pass_over_what_holds_no_message(self, bronze: Log) -> None:
        """If Silver has all rows of Bronze, its position is Bronze's, including offsets without a message."""
        rows = of_log(bronze)
        for key, offset in of_bronze(bronze).items():
            if self.position.get(key, -1) >= rows.get(key, -1):
                self.position[key] = max(offset, self.position.get(key, -1))

    def _log(self, table: Table) -> Log | None:
        try:
            return self._tables.log(table)
        except TableMissing:
            return None


def topic_ends(settings: Settings) -> Position | None:
    """(topic_id, partition) → last offset, of the partitions with a message; None if the broker does not answer."""
    try:
        with kafka.Admin(settings) as admin:
            topic_id, ends = admin.topic_id(), admin.end_offsets()
    except BrokerUnavailable:
        return None
    if topic_id is None:
        return None
    label = accepted_gaps.read(settings.lake).label(topic_id)
    return {(label, number): high - 1 for number, (low, high) in ends.items() if high > low}


def clean_events(settings: Settings) -> int:
    """Number of clean events now."""
    try:
        return tables.snapshot(settings, contract.of(settings).clean).rows
    except TableMissing:
        return 0
