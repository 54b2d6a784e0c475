"""Writes the history of the alerts. Only the alerts service does, while it holds the lock `alerts`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import pyarrow as pa
from deltalake.exceptions import DeltaError

from ventes.config import Settings
from ventes.deltalog import commit, create
from ventes.deltalog import history as log_history
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import Policy, TableMaintenance
from ventes.errors import VentesError
from ventes.lake.alert_history import TABLE, path_of
from ventes.lake.tables import SHORTEST_HISTORY_MINUTES
from ventes.runtime.alert_records import Event

APP = "ventes-alerts"
_log = logging.getLogger("ventes.alerts")


class History:
    """The table, made with the first event."""

    def __init__(self, settings: Settings, require: Callable[[], None] = lambda: None) -> None:
        """`require` raises LockLost if another process may write the table."""
        self._settings = settings
        self._require = require
        self._log: Log | None = None
        self._maintenance: TableMaintenance | None = None

    def last_number(self) -> int:
        """The number of the last event in the table; 0 without one. Raises VentesError, OSError."""
        if not log_history.there(path_of(self._settings)):
            return 0
        return max(0, Log.open(path_of(self._settings)).transactions.get(APP, 0))

    def append(self, events: Sequence[Event]) -> None:
        """Add those of these events that are not there, in one commit. Raises VentesError, OSError, DeltaError."""
        self._require()
        if self._log is None or not self._log.valid():
            self._open()
        assert self._log is not None
        self._log.refresh()
        there = self._log.transactions.get(APP, -1)
        if new := [event for event in events if event.number > there]:
            commit.append(self._log, TABLE, _rows(new), APP, new[-1].number)

    def maintain(self) -> None:
        """Merge small files and delete old ones, if it is due."""
        if self._maintenance is None or self._log is None or not self._log.valid():
            return
        try:
            self._maintenance.run_due()
        except (VentesError, DeltaError, OSError, pa.ArrowException) as error:
            _log.warning("the history of the alerts could not be maintained: %s", error)

    def _open(self) -> None:
        kept = self._settings.maintenance
        minutes = max(SHORTEST_HISTORY_MINUTES, math.ceil(kept.history_hours * 60))
        properties = {
            "delta.enableDeletionVectors": "false",
            "delta.dataSkippingStatsColumns": ",".join(TABLE.stats),
            "delta.deletedFileRetentionDuration": f"interval {minutes} minutes",
            "delta.logRetentionDuration": f"interval {minutes} minutes",
        }
        create.ensure(path_of(self._settings), TABLE, properties)
        self._log = Log.open(path_of(self._settings))
        policy = Policy(kept.compact_every, kept.history_hours * 3600.0)
        self._maintenance = TableMaintenance(TABLE, self._log, policy)


def _rows(events: Sequence[Event]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "number": event.number,
                "at": _moment(event.at),
                "alert": event.alert,
                "event": event.event,
                "severity": event.severity,
                "value": event.value or None,
                "sentence": event.sentence,
                "since": _moment(event.since),
                "until": _moment(event.until),
                "by": event.by or None,
                "channels": event.channels,
            }
            for event in events
        ],
        schema=TABLE.schema,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
