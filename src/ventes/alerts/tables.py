"""The stream's tables as the alerts read them: each followed, so that a check reads only what is new of its log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.log import TableMissing
from ventes.deltalog.snapshot import Snapshot, Watcher
from ventes.deltalog.table import Table
from ventes.lake.tables import path_of
from ventes.stream.declaration import BRONZE_VIEW


class FollowedTables:
    """The newest snapshot of each table."""

    def __init__(self, settings: Settings) -> None:
        self.declared = contract.of(settings)
        self._watchers = {table.name: Watcher(path_of(settings, table), table) for table in self.declared.all}

    def snapshot(self, table: Table) -> Snapshot:
        """Raises TableMissing, LakeDamaged."""
        return self._watchers[table.name].latest()

    @property
    def names(self) -> Mapping[str, Table]:
        """Name in SQL → table, of all that are declared."""
        bronze = self.declared.bronze.name
        return {BRONZE_VIEW if name == bronze else name: table for name, table in self.declared.by_name.items()}

    def there(self) -> dict[str, Snapshot]:
        """Name in SQL → snapshot, of the tables that are there. Raises LakeDamaged."""
        found = {}
        for name, table in self.names.items():
            try:
                found[name] = self.snapshot(table)
            except TableMissing:
                continue
        return found


def newest_arrival(table: Snapshot) -> float | None:
    """When the newest message in the table arrived (Unix seconds), by the log's statistics; None without a row."""
    return max((bounds[1] for file in table.files if (bounds := _arrivals(file)) is not None), default=None)


def arrived_since(table: Snapshot, since: float) -> int:
    """Rows whose message arrived at `since` (Unix seconds) or later; only files in which some did are read."""
    rows, straddling = 0, set()
    for file in table.files:
        bounds = _arrivals(file)
        if bounds is not None and bounds[1] < since:
            continue
        if bounds is not None and bounds[0] >= since and file.rows is not None:
            rows += file.rows
        else:
            straddling.add(file.path)
    if straddling:
        with connect() as con:
            table.view(con, "read", keep=lambda file: file.path in straddling)
            moment = datetime.fromtimestamp(since, timezone.utc)
            found = con.execute("SELECT count(*) FROM read WHERE kafka_ts >= ?", [moment]).fetchone()
        assert found is not None
        rows += found[0]
    return rows


def _arrivals(file: DataFile) -> tuple[float, float] | None:
    bounds = file.bounds("kafka_ts")
    if bounds is None:
        return None
    first, last = (datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() for text in bounds)
    return first, last
