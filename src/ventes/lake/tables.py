"""Paths of the tables, their Delta properties, and how a reader opens one."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import create
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake import fit
from ventes.store import places

SHORTEST_HISTORY_MINUTES = 60
"""The shortest history that the tables' properties declare to foreign readers."""


def path_of(settings: Settings, table: Table) -> Path:
    """The folder of a table."""
    return settings.bronze if table.name == "bronze" else settings.silver / table.name


def snapshot(settings: Settings, table: Table, version: int | None = None, as_of: datetime | None = None) -> Snapshot:
    """The newest state of a table, that of `version`, or the last one committed not after `as_of` (aware).

    Raises TableMissing, VersionGone (vacuumed, or before the table began), LakeDamaged.
    """
    return Snapshot.open(path_of(settings, table), table, version, as_of)


def properties(settings: Settings, table: Table) -> dict[str, str]:
    """The Delta properties that a table is created with."""
    history = f"interval {max(SHORTEST_HISTORY_MINUTES, math.ceil(settings.maintenance.history_hours * 60))} minutes"
    return {
        "delta.enableDeletionVectors": "false",
        "delta.dataSkippingStatsColumns": ",".join(table.stats) or table.schema.names[0],
        "delta.checkpointInterval": "10",
        # Spark refuses to read older versions, and a manual VACUUM uses it.
        "delta.deletedFileRetentionDuration": history,
        "delta.logRetentionDuration": history,
        fit.DECLARATION: fit.declaration_of(contract.of(settings), table),
    }


def undeclared(settings: Settings) -> list[Path]:
    """The folders of Delta tables beside the declared ones of Silver, by name: no job updates them."""
    declared = {table.name for table in contract.of(settings).silver}
    if (mirror := places.of(settings.silver)) is not None:
        prefix = mirror.key(settings.silver) + "/"
        keys = [one.key.removeprefix(prefix) for one in mirror.store.list(prefix)]
        names = {key.partition("/")[0] for key in keys if "/_delta_log/" in key}
        return [settings.silver / name for name in sorted(names - declared)]
    folders = sorted(settings.silver.iterdir()) if settings.silver.is_dir() else []
    return [folder for folder in folders if folder.name not in declared and (folder / "_delta_log").is_dir()]


def require_fit(settings: Settings, *tables: Table) -> None:
    """Raise LakeDamaged for the first of `tables` on disk that the declaration does not fit. Writes nothing."""
    for table in tables:
        try:
            log = Log.open(path_of(settings, table))
        except TableMissing:
            continue
        fit.require(contract.of(settings), table, log)


def ensure(settings: Settings, table: Table) -> DeltaTable:
    """The table; created if it does not exist, upgraded if an older release created it.

    Raises LakeDamaged, also if the declaration does not fit the table.
    """
    require_fit(settings, table)
    return create.ensure(path_of(settings, table), table, properties(settings, table))
