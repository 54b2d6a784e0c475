"""Roll-ups that lack their events: the running Silver job fills them, or it ended before it had filled them."""

from __future__ import annotations

from dataclasses import dataclass

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Heartbeat

START = "`ventes start` fills it, from the first event on"


@dataclass(frozen=True)
class Unfilled:
    events: str
    """How far it was when the Silver job last reported it, as '40 of 100 events'; '' if it did not."""
    running: bool
    """Whether a Silver job runs that fills it."""

    def sentence(self) -> str:
        if self.running:
            return f"it is being filled, {self.events}" if self.events else "the Silver job is starting, then fills it"
        if self.events:
            return f"it was filled up to {self.events} when the Silver job ended"
        return "the Silver job ended before it filled it"


def unfilled(settings: Settings) -> dict[str, Unfilled]:
    """Roll-up → how far it is. Raises LakeDamaged for a roll-up whose log cannot be read."""
    record = heartbeat.read(settings.state, "silver")
    found = {table.name: _state(settings, table, record) for table in contract.of(settings).rollups}
    return {name: state for name, state in found.items() if state is not None}


def state_of(settings: Settings, table: Table) -> Unfilled | None:
    """How far one roll-up is; None for a table that is filled, or that the running Silver job does not fill."""
    return _state(settings, table, heartbeat.read(settings.state, "silver"))


def _state(settings: Settings, table: Table, record: Heartbeat | None) -> Unfilled | None:
    declared = contract.of(settings)
    done, events = record.filling.get(table.name, (0, 0)) if record is not None else (0, 0)
    reported = f"{done:,} of {events:,} events" if events else ""
    running = record is not None and heartbeat.alive(record) and record.phase not in ("stopped", "failed")
    if record is not None and running and record.phase != "starting":
        return Unfilled(reported, True) if table.name in record.filling else None
    if table not in declared.rollups or not _lots(settings, declared.clean):
        return None
    try:
        lot = Log.open(path_of(settings, table)).transactions.get(settings.stream.silver_app)
    except TableMissing:
        return None  # the next start makes it
    return Unfilled(reported, running) if lot is None else None


def _lots(settings: Settings, clean: Table) -> int:
    """The last lot of the clean events; 0 if there is none or it cannot be read."""
    try:
        return Log.open(path_of(settings, clean)).transactions.get(settings.stream.silver_app, 0)
    except (TableMissing, LakeDamaged):
        return 0
