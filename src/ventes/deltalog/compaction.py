"""Compaction: choosing and merging small files. Nothing is committed here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.present import local_path, local_paths
from ventes.deltalog.table import Table
from ventes.errors import StoreUnavailable

TIERS = ((512 << 10, 2), (8 << 20, 32), (64 << 20, 8))
"""(a file below this size is in the tier, number of files in this and lower tiers from which they are merged). A row is
rewritten about once per tier, so the work is proportional to the rows, not to rows × commits. 32, because that many
files of a backlog, of 2 to 3 MB each, make one that is above all tiers: those rows are rewritten once."""
MOST_BYTES = 128 << 20
"""Input of one merge at most."""


def mergeable(live: Iterable[DataFile]) -> list[list[DataFile]]:
    """Groups of files to merge now, each of one partition and at most MOST_BYTES."""
    by_partition: dict[tuple[str | None, ...], list[DataFile]] = defaultdict(list)
    for file in live:
        by_partition[tuple(file.partition.values())].append(file)
    return [group for members in by_partition.values() for group in _cut(_worth_merging(members))]


def _worth_merging(members: list[DataFile]) -> list[DataFile]:
    """The files of the largest tier that has enough files, with all smaller ones."""
    group: list[DataFile] = []
    floor = 0
    for limit, enough in TIERS:
        if sum(floor <= file.size < limit for file in members) >= enough:
            group = [file for file in members if file.size < limit]
        floor = limit
    return group


def _cut(group: list[DataFile]) -> Iterator[list[DataFile]]:
    """The group in parts of at most MOST_BYTES, each of consecutive offsets; parts with a single file are left out.

    Topics are kept apart: a file of two begins at the offsets of both, so whoever follows the newer one would read it
    again and again.
    """
    part: list[DataFile] = []
    for file in sorted(group, key=_place):
        full = sum(one.size for one in part) + file.size > MOST_BYTES
        if part and (full or _topics(part[-1]) != _topics(file)):
            if len(part) > 1:
                yield part
            part = []
        part.append(file)
    if len(part) > 1:
        yield part


def _topics(file: DataFile) -> tuple[str, str]:
    return file.bounds("topic_id") or ("", "")


def _place(file: DataFile) -> tuple[tuple[str, str], tuple[int, int], str]:
    return _topics(file), file.bounds("offset") or (0, 0), file.path


class Merging(Protocol):
    """Where groups of files are merged: in this process, or elsewhere."""

    def merge(self, path: Path, table: Table, groups: Sequence[Sequence[DataFile]]) -> list[DataFile | str]:
        """For each group the new file, or the reason why there is none: one of its files cannot be read, the lake does
        not answer, or whoever merges is gone. Raises what is an error of ours. Called in the thread of maintenance."""

    def close(self) -> None:
        """End a `merge` in progress, which may then give reasons. Called in another thread."""


class MergeHere:
    """Merges in this process, one group after the other; a group is not interrupted."""

    def merge(self, path: Path, table: Table, groups: Sequence[Sequence[DataFile]]) -> list[DataFile | str]:
        return [merged_or_reason(path, table, group) for group in groups]

    def close(self) -> None:
        pass


def merged_or_reason(path: Path, table: Table, group: Sequence[DataFile]) -> DataFile | str:
    """The new file of a group, or why it cannot be made."""
    try:
        return merge_files(path, table, group)
    except (FileNotFoundError, pa.ArrowInvalid, StoreUnavailable) as error:
        return str(error)


def merge_files(path: Path, table: Table, group: Sequence[DataFile]) -> DataFile:
    """Write the rows of `group`, in the order of their offsets, as one file; nothing is committed."""
    ordered = sorted(group, key=_place)
    schema = table.stored
    return data_files.write_stream(path, table, schema, _pieces(path, schema, ordered), group[0].partition)


def without_rows(path: Path, table: Table, file: DataFile, dropped: Sequence[int]) -> DataFile | None:
    """Write `file` again without the rows whose numbers (from 0) are in `dropped`; None if none would stay.

    Nothing is committed.
    """
    gone, schema = pa.array(dropped, pa.int64()), table.stored

    def pieces() -> Iterator[pa.Table]:
        first = 0
        for part in _parts(local_path(path, file), schema):
            numbers = pa.array(range(first, first + part.num_rows), pa.int64())
            first += part.num_rows
            stay = part.filter(pc.invert(pc.is_in(numbers, gone)))
            if stay.num_rows:
                yield stay

    with pq.ParquetFile(local_path(path, file)) as source:
        if source.metadata.num_rows == len(dropped):
            return None
    return data_files.write_stream(path, table, schema, pieces(), file.partition)


def _pieces(path: Path, schema: pa.Schema, group: Sequence[DataFile]) -> Iterator[pa.Table]:
    """The rows of the files in pieces of at most a row group: small files together, large ones in parts."""
    held: list[pa.Table] = []
    rows = size = 0
    local_paths(path, group)
    for file in group:
        for part in _parts(local_path(path, file), schema):
            full = rows + part.num_rows > data_files.ROW_GROUP or size + part.nbytes > data_files.ROW_GROUP_BYTES
            if full and held:
                yield pa.concat_tables(held)
                held, rows, size = [], 0, 0
            held.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
    if held:
        yield pa.concat_tables(held)


def _parts(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file in parts that are limited in rows and bytes."""
    with pq.ParquetFile(path) as source:
        for number in range(source.num_row_groups):
            most = data_files.rows_within(source.metadata.row_group(number), data_files.ROW_GROUP_BYTES)
            # each thread would keep its own memory
            for batch in source.iter_batches(min(most, data_files.ROW_GROUP), row_groups=[number], use_threads=False):
                yield data_files.with_columns(pa.Table.from_batches([batch]), schema)
