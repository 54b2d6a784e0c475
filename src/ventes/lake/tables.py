"""Where the tables are, and how they come into being. The only place that creates a table."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from ventes.config import Settings
from ventes.contract.tables import BRONZE, Table
from ventes.errors import LakeDamaged

TOMBSTONES = "interval 5 minutes"
"""How long checkpoints carry removed files. Vacuuming is the caretaker's, by settings.maintenance.history_hours; the
shorter time here keeps checkpoints small: at 5 lots a second, 6 hours would be 100,000 tombstones in each."""
LISTINGS = 5
"""How often a log is listed before a gap in it is believed."""
WIDENED = "ventes.widened"
"""Property of a table that got columns which its older files lack."""


def path_of(settings: Settings, table: Table) -> Path:
    """The folder of a table."""
    return settings.bronze if table.name == BRONZE.name else settings.silver / table.name


def as_others_see(path: Path) -> DeltaTable:
    """A table through deltalake, also while somebody commits to it. Raises what DeltaTable raises.

    A folder that is listed while it grows may come without one commit and with the next one, which deltalake calls a
    gap. A later listing has both.
    """
    for _ in range(LISTINGS - 1):
        with contextlib.suppress(DeltaError):
            return DeltaTable(path)
    return DeltaTable(path)


def properties(settings: Settings, table: Table) -> dict[str, str]:
    minutes = max(60, round(settings.maintenance.history_hours * 60))
    return {
        "delta.enableDeletionVectors": "false",
        "delta.dataSkippingStatsColumns": ",".join(table.stats) or table.schema.names[0],
        "delta.checkpointInterval": "10",
        "delta.deletedFileRetentionDuration": TOMBSTONES,
        "delta.logRetentionDuration": f"interval {minutes} minutes",
    }


def ensure(settings: Settings, table: Table) -> DeltaTable:
    """The table, created if it is not there, widened if an older release made it.

    Raises LakeDamaged if something else stands at its path.
    """
    path = path_of(settings, table)
    path.mkdir(parents=True, exist_ok=True)
    try:
        existing = DeltaTable(path)
    except TableNotFoundError:
        return _create(settings, table, path)
    except DeltaError as error:
        raise LakeDamaged(f"{path} cannot be read: {error}", "ventes doctor") from None
    return _widen(existing, table, path)


def _create(settings: Settings, table: Table, path: Path) -> DeltaTable:
    strangers = [entry.name for entry in path.iterdir() if entry.name.endswith(".parquet")]
    if strangers:
        raise LakeDamaged(f"{path} holds {strangers[0]} but no Delta log", "move the folder away, or `ventes reset`")
    return DeltaTable.create(
        path,
        schema=table.schema,
        mode="ignore",
        partition_by=list(table.partition_by),
        name=table.name,
        configuration=properties(settings, table),
    )


def _widen(existing: DeltaTable, table: Table, path: Path) -> DeltaTable:
    wanted = {field.name: field for field in Schema.from_arrow(table.schema).fields}
    found = {field.name: field for field in existing.schema().fields}
    for name, field in wanted.items():
        if name in found and _kind(found[name]) != _kind(field):
            raise LakeDamaged(
                f"column {name} of {path} is {_kind(found[name])}, expected {_kind(field)}",
                "it is not a table of this pipeline: move it away, or `ventes reset`",
            )
    partitions = tuple(existing.metadata().partition_columns)
    if partitions != table.partition_by or not set(wanted) & set(found):
        raise LakeDamaged(
            f"{path} has columns {', '.join(found)} partitioned by {partitions or 'nothing'}",
            "it is not a table of this pipeline: move it away, or `ventes reset`",
        )
    missing = [field for name, field in wanted.items() if name not in found]
    if missing:
        existing.alter.add_columns(missing)
        existing.alter.set_table_properties({WIDENED: "true"}, raise_if_not_exists=False)
        existing = DeltaTable(path)
    return existing


def _kind(field: Field) -> str:
    """The type of a field, without what writers may say differently (nullability of list elements, metadata)."""
    return str(_plain(json.loads(field.type.to_json())))


def _plain(kind: object) -> object:
    if isinstance(kind, dict):
        return {key: _plain(kind[key]) for key in ("elementType", "fields", "name", "type") if key in kind}
    if isinstance(kind, list):
        return [_plain(item) for item in kind]
    return kind
