"""Idempotent, durable appends and replacements: rows or files in, one version of the table out.

Each commit carries an application transaction (app_id, version). One that the table already has, or a later one,
changes nothing, so a job may repeat whatever it is not sure of. Data files reach the disk before the log names them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile, transaction
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
    """Append `rows` under the transaction (app_id, version); no rows still record the transaction.

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

    It is for the caller to ask `has` first. Raises LakeDamaged if another writer committed one of them meanwhile.
    """
    stamps = [transaction(app_id, version) for app_id, version in transactions.items()]
    return log.commit([*stamps, *(file.add(True) for file in new)], "WRITE")


def replace(
    log: Log,
    table: Table,
    old: Collection[DataFile],
    rows: Sequence[pa.Table],
    app_id: str | None = None,
    version: int = 0,
    accept: bool = False,
) -> list[DataFile]:
    """Put the files of `rows` (one each, of a table without partitions) in the place of `old`, in one commit.

    The commit carries the transaction (app_id, version), or none: a repair outside the count of lots. It is not checked
    whether the table has that transaction. `accept`: what the table then holds is right, whoever wrote the rest.
    Returns the new files.
    """
    log.require_in_place()
    new = [data_files.write_one(log.path, table, in_table_order(table, part), {}) for part in rows]
    stamp = [] if app_id is None else [transaction(app_id, version)]
    log.commit([*stamp, *(file.remove(True) for file in old), *(file.add(True) for file in new)], "MERGE", accept)
    return new


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
