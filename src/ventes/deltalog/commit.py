"""Idempotent, durable appends and replacements of rows or files; each makes one version of the table.

Each commit has an application transaction (app_id, version). If the table already has it or a later one, nothing
changes, so a job can safely repeat a commit. Data files are synced to disk before the log names them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from ventes.deltalog import data_files
from ventes.deltalog.actions import Action, DataFile, transaction
from ventes.deltalog.log import Log
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged


def has(log: Log, app_id: str, version: int) -> bool:
    """Whether the table has the transaction (app_id, version), or a later one of `app_id`. Reads new commits first."""
    log.refresh()
    return log.transactions.get(app_id, -1) >= version


def append(
    log: Log, table: Table, rows: pa.Table, app_id: str, version: int, also: Mapping[str, int] | None = None
) -> int | None:
    """Append `rows` with the transaction (app_id, version); without rows only the transaction is recorded.

    `rows` has the table's columns and types, in any order. `also`: further transactions of the same commit. Returns the
    table's new version, or None where the transaction was there already. A process killed in here leaves at most files
    that no commit names (vacuumed later).
    """
    log.require_in_place()
    if has(log, app_id, version):
        return None
    return append_files(
        log, data_files.write(log.path, table, in_table_order(table, rows)), {**(also or {}), app_id: version}
    )


def append_files(log: Log, new: Sequence[DataFile], transactions: dict[str, int]) -> int:
    """Commit files that are on the disk under `transactions` (app_id → version); returns the table's new version.

    The caller must call `has` first. Raises LakeDamaged if another writer committed one of them meanwhile.
    """
    stamps = [transaction(app_id, version) for app_id, version in transactions.items()]
    return log.commit([*stamps, *(file.add(True) for file in new)], "WRITE")


def replace(log: Log, table: Table, old: Collection[DataFile], rows: Sequence[pa.Table]) -> list[DataFile]:
    """Replace the files `old` by `rows` (one file each, in a table without partitions), in one commit without a
    transaction: a repair outside the lots. Returns the new files."""
    log.require_in_place()
    new = [data_files.write_one(log.path, table, in_table_order(table, part), {}) for part in rows]
    replace_files(log, old, new, {})
    return new


def replace_files(
    log: Log,
    old: Collection[DataFile],
    new: Sequence[DataFile],
    transactions: Mapping[str, int],
    accept: bool = False,
    also: Sequence[Action] = (),
) -> None:
    """Replace the files `old` by files that are on the disk, in one commit with `transactions` (app_id → version).

    It is not checked whether the table has these. `accept`: record the resulting content as correct, including files of
    other programs. `also`: further actions of the same commit.
    """
    stamps = [transaction(app_id, version) for app_id, version in transactions.items()]
    changes = [*(file.remove(True) for file in old), *(file.add(True) for file in new)]
    log.commit([*also, *stamps, *changes], "MERGE", accept)


def in_table_order(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` in the table's column order. Raises LakeDamaged for other columns or types."""
    if rows.schema.equals(table.schema):
        return rows
    try:
        ordered = rows.select(table.schema.names)
        if len(rows.column_names) == len(table.schema) and ordered.schema.types == table.schema.types:
            return pa.Table.from_arrays(ordered.columns, schema=table.schema)
    except KeyError:
        pass
    raise LakeDamaged(
        f"rows for {table.name} have the columns {_short(rows.schema)}, the table has {_short(table.schema)}",
        "correct the query that made them",
    )


def _short(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
