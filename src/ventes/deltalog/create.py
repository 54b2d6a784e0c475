"""Creating a table, and adding missing columns. Uses deltalake, because it happens once per table."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from ventes.deltalog import checkpoints
from ventes.deltalog.actions import Action
from ventes.deltalog.log import Log, TableReplaced
from ventes.deltalog.table import WIDENED, Table
from ventes.errors import LakeDamaged
from ventes.runtime.files import sync_file, sync_folder
from ventes.store import mirror_log, places

_log = logging.getLogger("ventes.lake")

LISTINGS = 5
"""How often a log is listed before a gap in it is reported."""


def open_with_deltalake(path: Path) -> DeltaTable:
    """Open a table with deltalake, also during commits of other writers. Raises the errors of DeltaTable.

    A listing during commits may miss one commit and contain the next one, which deltalake reports as a gap. A later
    listing has both.
    """
    for _ in range(LISTINGS - 1):
        with contextlib.suppress(DeltaError):
            return DeltaTable(path)
    return DeltaTable(path)


def ensure(path: Path, table: Table, properties: Mapping[str, str]) -> DeltaTable:
    """The table at `path`: created with `properties` if it is not there; columns and properties that differ are set.

    Checkpoints that cannot be read are removed where the commits tell the same. The caller holds the writer lock.
    Durable when it returns. Raises LakeDamaged if its path holds something else, or a table that must not be written
    here.
    """
    if (mirror := places.of(path)) is not None:
        mirror_log.pull(mirror, path, now=True)
    path.mkdir(parents=True, exist_ok=True)
    before = mirror_log.newest(path)
    try:
        existing = DeltaTable(path)
    except TableNotFoundError:
        return _create(path, table, properties)
    except DeltaError as error:
        existing = _without_unusable_checkpoints(path, error)
    Log.open(path).require_writable()
    widened = _widen(existing, table, path)
    found = widened.metadata().configuration
    different = {name: value for name, value in properties.items() if found.get(name) != value}
    if different:
        widened.alter.set_table_properties(different, raise_if_not_exists=False)
    if different or widened is not existing:
        _sync(path, before)
    return DeltaTable(path) if different else widened


def columns_of(log: Log) -> dict[str, str]:
    """Column → type of a table on disk."""
    return {field.name: _kind(field) for field in Schema.from_json(log.metadata["schemaString"]).fields}


def kinds_of(table: Table) -> dict[str, str]:
    """Column → type of a table of the contract, in the same words as `columns_of`."""
    return {field.name: _kind(field) for field in Schema.from_arrow(table.schema).fields}


def redefined(log: Log, table: Table, properties: Mapping[str, str]) -> Action:
    """The action that gives a table exactly the contract's columns, in a commit that replaces all its files."""
    configuration = dict(log.metadata.get("configuration") or {}) | dict(properties)
    configuration.pop(WIDENED, None)
    schema = Schema.from_arrow(table.schema).to_json()
    return {"metaData": {**log.metadata, "schemaString": schema, "configuration": configuration}}


def _without_unusable_checkpoints(path: Path, error: DeltaError) -> DeltaTable:
    """The table without the checkpoints because of which it cannot be opened. Raises LakeDamaged if that does not help.

    Nothing is lost: Log.open reads the same state from the commits, or fails.
    """
    version = Log.open(path).version
    unusable = checkpoints.unusable(path)
    for file in unusable:
        _log.warning("removed %s: it cannot be read, and the commits tell the same", file)
        checkpoints.remove(path, file)
    with contextlib.suppress(DeltaError):
        existing = DeltaTable(path)
        if unusable and existing.version() == version:
            return existing
    raise LakeDamaged(f"{path} cannot be read: {error}", "ventes doctor") from None


def _sync(path: Path, before: int) -> None:
    """Bring to the disk what deltalake wrote: it flushes nothing itself. On a store: publish its commits, those after
    `before`, which are in the mirror only."""
    if (mirror := places.of(path)) is not None:
        try:
            mirror_log.push(mirror, path, before)
        except (FileExistsError, mirror_log.Replaced):
            raise TableReplaced(
                f"another program changed {places.shown(path)} at the same time", "it is done again from what is there"
            ) from None
        return
    for file in (path / "_delta_log").glob("*.json"):
        sync_file(file)
    for folder in (path / "_delta_log", path, *path.parents[:2]):
        sync_folder(folder)


def _create(path: Path, table: Table, properties: Mapping[str, str]) -> DeltaTable:
    foreign = [entry.name for entry in path.iterdir() if entry.name.endswith(".parquet")]
    if (mirror := places.of(path)) is not None:
        stored = mirror.store.list(mirror.key(path) + "/")
        if any("/_delta_log/" in one.key for one in stored):
            raise TableReplaced(
                f"the copy of {places.shown(path)} was deleted while it was opened", "it is opened again"
            )
        foreign = [one.key.rpartition("/")[2] for one in stored if one.key.endswith(".parquet")]
    if foreign:
        raise LakeDamaged(
            f"{places.shown(path)} holds {foreign[0]} but no Delta log", "move the folder away, or `ventes reset`"
        )
    created = DeltaTable.create(
        path,
        schema=table.schema,
        mode="ignore",
        partition_by=list(table.partition_by),
        name=table.name,
        configuration=dict(properties),
        raise_if_key_not_exists=False,  # deltalake knows only its own properties
    )
    _sync(path, -1)
    return created


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
    """The type of a field, without details that differ between writers (nullability of list elements, metadata)."""
    return str(_plain(json.loads(field.type.to_json())))


def _plain(kind: object) -> object:
    if isinstance(kind, dict):
        return {key: _plain(kind[key]) for key in ("elementType", "fields", "name", "type") if key in kind}
    if isinstance(kind, list):
        return [_plain(item) for item in kind]
    return kind
