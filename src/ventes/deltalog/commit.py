"""Idempotent, durable commits: rows in, one version of the table out.

Each commit carries an application transaction (app_id, version). One that the table already has, or a later one,
changes nothing, so a job may repeat whatever it is not sure of. Data files reach the disk before the log names them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from ventes.contract.tables import Table
from ventes.deltalog import data_files
from ventes.deltalog.log import DataFile, Log, transaction
from ventes.errors import LakeDamaged

Target = Path | DeltaTable | Log
"""A table to write to. A Log kept by the caller spares reading the table anew each time."""


def log_of(target: Target) -> Log:
    if isinstance(target, Log):
        target.refresh()
        return target
    path = target if isinstance(target, Path) else Path(target.table_uri.removeprefix("file://"))
    return Log.open(path)


def append(target: Target, table: Table, rows: pa.Table, app_id: str, version: int) -> int | None:
    """Append `rows` under the transaction (app_id, version); no rows still record the transaction.

    `rows` has the contract's columns and types, in any order. Returns the table's new version, or None where the
    transaction was there already. A process killed in here leaves at most files that no commit names (vacuumed later).
    """
    log = log_of(target)
    if log.transactions.get(app_id, -1) >= version:
        return None
    new = data_files.write(log.path, table, conform(table, rows))
    return log.commit([transaction(app_id, version), *(file.add(True) for file in new)], "WRITE")


def replace(
    target: Target,
    table: Table,
    old: Collection[DataFile],
    rows: Sequence[pa.Table],
    app_id: str | None = None,
    version: int = 0,
    data_change: bool = True,
) -> list[DataFile]:
    """Put the files of `rows` (one each, of a table without partitions) in the place of `old`, in one commit.

    The commit carries the transaction (app_id, version), or none: a repair outside the count of lots. It is not checked
    whether the table has that transaction. Returns the new files. `data_change` False: same rows, other files.
    """
    log = log_of(target)
    new = [data_files.write_one(log.path, table, conform(table, part), {}) for part in rows]
    stamp = [] if app_id is None else [transaction(app_id, version)]
    operation = "MERGE" if data_change else "OPTIMIZE"
    log.commit([*stamp, *(f.remove(data_change) for f in old), *(f.add(data_change) for f in new)], operation)
    return new


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` in the contract's column order; refuses other columns or types."""
    if rows.schema.equals(table.schema):
        return rows
    try:
        ordered = rows.select(table.schema.names)
        if len(rows.column_names) == len(table.schema) and ordered.schema.types == table.schema.types:
            return pa.Table.from_arrays(ordered.columns, schema=table.schema)
    except KeyError:
        pass
    raise LakeDamaged(
        f"rows for {table.name} have the columns {_short(rows.schema)}, the contract has {_short(table.schema)}",
        "correct the query that made them",
    )


def _short(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
