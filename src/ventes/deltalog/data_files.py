"""Writing the Parquet files of a table: complete, synced to disk, with statistics for the log.

Small decimals are stored as integers, which every reader supports and which need a third of the fixed-length form.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.deltalog.actions import DataFile
from ventes.deltalog.table import Table
from ventes.runtime.files import sync_file
from ventes.store import places

ROW_GROUP = 16_384
"""Rows per row group at most: a merge holds one row group in memory, 7 MB of Bronze. DuckDB's default, 122,880, made
the Bronze job use 250 MB more."""
ROW_GROUP_BYTES = 16_000_000
"""Bytes in memory of a row group of more than one row, at most: twice those of ordinary events, so that only large
messages make smaller row groups. Writing one takes four times as much for a moment."""
WRITER: dict[str, Any] = {"compression": "snappy", "store_decimal_as_integer": True}
SAMPLE = 1_024
"""Rows that show which columns repeat their values; a file of fewer rows is too small for it to matter. A dictionary of
a column whose values are nearly all different is built, given up and doubles its cost: an id, a time, an offset. Left
out, a batch of sales takes a sixth less CPU to write, and its file is a tenth smaller."""
MANY_FILES = 8
SYNC_THREADS = 16
"""Where at least MANY_FILES files and folders are written together, so many threads bring them to the disk: 2,000 files
of as many days in 3 s instead of 30 on a busy disk."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
SPARED_SECONDS = 3600.0
"""A new file is dated so far ahead. VACUUM of another program with `RETAIN 0 HOURS` deletes every file that the newest
version does not name, if it is older than now: also those that a job has written and not committed yet."""


def write(path: Path, table: Table, rows: pa.Table) -> list[DataFile]:
    """Write `rows` (exactly the contract's schema) as new files in `path`, one per partition; none for no rows.

    Durable when it returns; on an object store when they are committed, which waits for the uploads that are begun
    here. After an error none of the files is left.
    """
    with _durable(path) as files:
        for partition, values in _parts(table, rows):
            files.write(table, values.schema, iter([values]), partition)
    return files.made


def write_one(path: Path, table: Table, rows: pa.Table, partition: Mapping[str, str | None]) -> DataFile:
    """Write one file that belongs to `partition`; durable when it returns."""
    return write_stream(path, table, rows.schema, iter([rows]), partition)


def write_stream(
    path: Path, table: Table, schema: pa.Schema, pieces: Iterator[pa.Table], partition: Mapping[str, str | None]
) -> DataFile:
    """The same from pieces, so that a large file is never in memory as a whole."""
    with _durable(path) as files:
        files.write(table, schema, pieces, partition)
    return files.made[0]


class _NewFiles:
    """Files that are being written into a table's folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folders: set[Path] = set()
        """Folders that got a file, or a folder."""
        self.made: list[DataFile] = []

    def write(
        self, table: Table, schema: pa.Schema, pieces: Iterator[pa.Table], partition: Mapping[str, str | None]
    ) -> None:
        """Write one more file; not durable yet."""
        target = self._path / self._new_name(partition)
        gathered = Statistics(table)
        try:
            first = next(pieces, schema.empty_table())
            with pq.ParquetWriter(
                target,
                schema,
                use_dictionary=_repeating(first),
                write_statistics=_bounded(table, schema),
                **WRITER,
            ) as writer:
                pieces = chain((first,) if first.num_rows else (), pieces)
                del first  # a merge has one piece in memory, not two
                for piece in pieces:
                    for group in in_row_groups(piece):
                        writer.write_table(group)
                    gathered.take(piece)
            now = time.time()
            os.utime(target, (now, now + SPARED_SECONDS))
            size = target.stat().st_size
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        relative = str(target.relative_to(self._path))
        self.made.append(DataFile(relative, size, partition, int(now * 1000), json.dumps(gathered.delta())))

    def _new_name(self, partition: Mapping[str, str | None]) -> str:
        """A path in the table for a new file; its folder exists."""
        folder = "".join(f"{name}={NULL_PARTITION if value is None else value}/" for name, value in partition.items())
        if not (self._path / folder).is_dir():
            (self._path / folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(self._path)
        self._folders.add(self._path / folder)
        return f"{folder}part-{uuid.uuid4()}.snappy.parquet"

    def sync(self) -> None:
        """Bring the files and their names to the disk.

        In several threads where they are many: the file system then writes its journal once for several of them.
        On an object store: begin to upload them.
        """
        if (mirror := places.of(self._path)) is not None:
            mirror.upload([self._path / file.path for file in self.made])
            return
        paths = [*(self._path / file.path for file in self.made), *self._folders]
        if len(paths) < MANY_FILES:
            for path in paths:
                sync_file(path)
            return
        with ThreadPoolExecutor(SYNC_THREADS, "sync") as pool:
            list(pool.map(sync_file, paths))

    def delete(self) -> None:
        discard(self._path, self.made)


def discard(path: Path, files: Iterable[DataFile]) -> None:
    """Delete data files of the table at `path` that no commit names."""
    gone = [path / file.path for file in files]
    if (mirror := places.of(path)) is not None:
        mirror.discard(gone)
        return
    for file in gone:
        file.unlink(missing_ok=True)


@contextmanager
def _durable(path: Path) -> Iterator[_NewFiles]:
    """What the block writes is durable after it. After an error it is deleted, which frees a full disk at once."""
    files = _NewFiles(path)
    try:
        yield files
        files.sync()
    except BaseException:
        files.delete()
        raise


def in_row_groups(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows in parts of at most ROW_GROUP rows and, where a part has several rows, ROW_GROUP_BYTES."""
    size = rows.nbytes
    if rows.num_rows <= ROW_GROUP and (size <= ROW_GROUP_BYTES or rows.num_rows <= 1):
        yield rows
        return
    parts = max(1, -(-size // ROW_GROUP_BYTES))
    step = max(1, min(ROW_GROUP, rows.num_rows // parts, rows.num_rows - 1))
    for start in range(0, rows.num_rows, step):
        yield from in_row_groups(rows.slice(start, step))  # again, because their sizes may differ


def rows_within(group: pq.RowGroupMetaData, size: int) -> int:
    """How many rows of a row group have about `size` bytes together; at least one.

    All columns count, because of a column with a dictionary the footer tells less than it has in memory; the raw
    message, which has none, is at least as large as what was read out of it.
    """
    return max(1, int(size * group.num_rows / max(1, group_bytes(group))))


def group_bytes(group: pq.RowGroupMetaData) -> int:
    """The bytes of a row group before compression."""
    return sum(group.column(number).total_uncompressed_size for number in range(group.num_columns))


def group_bounds(group: pq.RowGroupMetaData, column: int) -> tuple[Any, Any] | None:
    """Smallest and largest value of a column (by its number) in a row group; None if they are not known."""
    found = group.column(column).statistics
    return (found.min, found.max) if found is not None and found.has_min_max else None


def _repeating(rows: pa.Table) -> list[str]:
    """The columns that get a dictionary: not bytes and lists, whose size in memory the footer then tells; and of many
    rows only those whose values repeat."""
    flat = [
        field.name for field in rows.schema if not pa.types.is_binary(field.type) and not pa.types.is_nested(field.type)
    ]
    if rows.num_rows < SAMPLE:
        return flat
    sample = rows.slice(0, SAMPLE)
    return [name for name in flat if pc.count_distinct(sample[name]).as_py() <= SAMPLE // 2]


def _bounded(table: Table, schema: pa.Schema) -> list[str]:
    """The columns of which a row group has smallest and largest value: for texts and bytes these cost as much as a
    column, and no query skips rows by them, unless the table is in their order."""
    return [
        field.name
        for field in schema
        if field.name in table.stats
        or not (pa.types.is_string(field.type) or pa.types.is_binary(field.type) or pa.types.is_nested(field.type))
    ]


def with_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with the columns and types of `schema`, in its order; a column that `rows` lacks is NULL."""
    # for the one row of a small lot a look-up by name or a cast to the same type takes longer than all else
    held = dict(zip(rows.column_names, rows.columns, strict=True))
    columns = []
    for field in schema:
        column = held.get(field.name)
        if column is None:
            column = pa.nulls(rows.num_rows, field.type)
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _parts(table: Table, rows: pa.Table) -> Iterator[tuple[Mapping[str, str | None], pa.Table]]:
    """Each value of the partition column, in order, and its rows without that column, in their order."""
    if rows.num_rows == 0:
        return
    if not table.partition_by:
        yield {}, rows
        return
    (name,) = table.partition_by
    if pc.count_distinct(rows[name], mode="all").as_py() > 1:
        rows = rows.take(pc.sort_indices(rows[name]))  # stable
    counts = pc.value_counts(rows[name]).to_pylist()
    rows = rows.drop([name])
    start = 0
    for found in counts:
        value = found["values"]
        yield {name: None if value is None else str(value)}, rows.slice(start, found["counts"])
        start += found["counts"]


def statistics(table: Table, rows: pa.Table) -> dict[str, Any]:
    """Delta's file statistics of the columns `table.stats`, as other readers' data skipping expects them."""
    gathered = Statistics(table)
    gathered.take(rows)
    return gathered.delta()


class Statistics:
    """The statistics of a file that is written piece by piece."""

    def __init__(self, table: Table) -> None:
        self._columns = table.stats
        self._rows = 0
        self._nulls = dict.fromkeys(table.stats, 0)
        self._low: dict[str, Any] = {}
        self._high: dict[str, Any] = {}

    def take(self, rows: pa.Table) -> None:
        self._rows += rows.num_rows
        for name in self._columns:
            self._nulls[name] += rows[name].null_count
            bounds = pc.min_max(rows[name])
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            if low is not None:
                self._low[name] = min(low, self._low.get(name, low))
                self._high[name] = max(high, self._high.get(name, high))

    def delta(self) -> dict[str, Any]:
        """numRecords, minValues, maxValues, nullCount."""
        return {
            "numRecords": self._rows,
            "minValues": {name: bound_text(value) for name, value in self._low.items()},
            "maxValues": {name: bound_text(value, up=True) for name, value in self._high.items()},
            "nullCount": self._nulls,
        }


def bound_text(value: Any, up: bool = False) -> Any:
    """A bound in Delta's JSON. Timestamps have milliseconds: upper bounds are rounded up, or readers skip rows."""
    if isinstance(value, datetime):
        value = value.astimezone(timezone.utc)
        if up and value.microsecond % 1000:
            value += timedelta(milliseconds=1)
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return value if isinstance(value, int | str) else str(value)
