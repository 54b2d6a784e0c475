"""Bronze's rows as a lot needs them: light, without the raw messages; and the rejected rows with theirs, to a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ventes.contract.tables import POSITION
from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import with_columns
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.engines.bronze_rows import pieces, with_values
from ventes.engines.lot_range import LotRange
from ventes.errors import LakeDamaged

_RAW_COLUMNS = ("key", "value", "headers")
"""The raw message: the largest part of a row."""
_NEEDED_TO_JUDGE = ("value", "kafka_ts", "date_ingestion")


def lot_rows(bronze: Snapshot, lot_range: LotRange, groups: Mapping[str, range] | None = None) -> pa.Table:
    """Bronze's rows of the range, without columns that may be large and are not needed yet: those are NULL.

    `groups`: as for `pieces`.
    """
    needed = [name for name in bronze.table.schema.names if name not in (*POSITION, *_RAW_COLUMNS)]
    return _together(bronze, (_lighter(piece, bronze) for piece in pieces(bronze, lot_range, needed, groups=groups)))


def lot_rows_judged_again(bronze: Snapshot, lot_range: LotRange, judged: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """The same with the verdict that `judged` gives on some rows; date_ingestion is unchanged."""
    return _together(
        bronze,
        (
            _lighter(_replaced(judged(piece), "date_ingestion", piece["date_ingestion"]), bronze)
            for piece in pieces(bronze, lot_range, _NEEDED_TO_JUDGE)
        ),
    )


def write_rejects(
    path: Path,
    table: Table,
    rows: pa.Table,
    bronze: Snapshot,
    lot_range: LotRange,
    days: Collection[date | None] | None = None,
) -> DataFile:
    """Write rejected rows (of `days` in Bronze, if known) with their raw bytes, which are read from Bronze in pieces.

    One new file of `table` in `path`, durable and not committed. Raises LakeDamaged if Bronze lacks some of them.
    """
    found = with_values(rows, bronze, lot_range, days)
    file = data_files.write_stream(path, table, table.schema, found, {})
    if file.rows != rows.num_rows:
        data_files.discard(path, [file])
        raise LakeDamaged(
            f"Bronze gave the raw bytes of {file.rows} rejected rows of {rows.num_rows}", "ventes verify says which"
        )
    return file


def _together(bronze: Snapshot, parts: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([bronze.table.schema.empty_table(), *parts])


def _lighter(rows: pa.Table, bronze: Snapshot) -> pa.Table:
    """Bronze rows without the raw message, which few need, and without unknown fields if the row is rejected."""
    rows = rows.drop([name for name in _RAW_COLUMNS if name in rows.column_names])
    rows = with_columns(rows, bronze.table.schema)
    extra = rows["_extra"]
    if extra.null_count == len(extra):
        return rows
    valid = pc.equal(pc.list_value_length(rows["motifs"]), 0).to_pylist()
    # in Python, because take and if_else would allocate as much memory as all texts together
    kept = [text if wanted else None for text, wanted in zip(extra.to_pylist(), valid, strict=True)]
    return _replaced(rows, "_extra", pa.array(kept, pa.string()))


def _replaced(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
