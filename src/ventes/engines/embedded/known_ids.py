"""Finds which ids of a lot are already in the clean events, without reading the whole table.

An id can only be in a file whose range of ids (in the log) includes it, and there only in row groups whose range (in
the footer) includes it. Ids that grow with time match no file, or the newest files. Ids that were read stay in a
least-recently-used cache, 8 bytes per id; so if a producer starts again at 1, each old row group is read once.

Of texts the cache holds hashes. A file that is named although it holds no id costs time, not rows: the caller compares
the ids themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from ventes.deltalog.actions import DataFile
from ventes.engines.event_ids import Bounds, EventIds, Keys, keys_of, share_a_key

Part = tuple[str, int]
"""A row group: the file's path in the table, and its number."""

MOST_IDS = 4_000_000
"""Ids in the cache: 32 MB."""


class KnownIds:
    """Finds ids in the files of one table. Data files never change, so cached ids stay valid as long as the file."""

    def __init__(self, table: Path, column: str, most_ids: int = MOST_IDS) -> None:
        """`column`: the one with the id."""
        self._table = table
        self._column = column
        self._most = most_ids
        self._groups: dict[str, list[Bounds | None]] = {}
        """File → range of each row group, None if the footer has none."""
        self._read: OrderedDict[Part, Keys] = OrderedDict()
        self.kept = 0
        """Ids in memory now."""

    def files_with(self, ids: EventIds, live: Iterable[DataFile]) -> list[DataFile]:
        """Those of the `live` files that contain any of `ids`, and perhaps others."""
        candidates = [file for file in live if ids.may_be_within(file.bounds(self._column))]
        if len(self._groups) > 4 * len(candidates) + 1000:
            self._groups.clear()
        return [file for file in candidates if self._holds(ids, file)]

    def _holds(self, ids: EventIds, file: DataFile) -> bool:
        return any(
            ids.may_be_within(bounds) and share_a_key(ids.keys, self._keys(file.path, number))
            for number, bounds in enumerate(self._ranges(file.path))
        )

    def _ranges(self, path: str) -> list[Bounds | None]:
        if path not in self._groups:
            footer = pq.read_metadata(self._table / path)
            column = footer.schema.names.index(self._column)
            groups = [footer.row_group(number).column(column) for number in range(footer.num_row_groups)]
            self._groups[path] = [_bounds(group) for group in groups]
        return self._groups[path]

    def _keys(self, path: str, number: int) -> Keys:
        """The sorted keys of a row group."""
        part = (path, number)
        if part in self._read:
            self._read.move_to_end(part)
            return self._read[part]
        with pq.ParquetFile(self._table / path) as file:
            keys = keys_of(file.read_row_group(number, columns=[self._column])[self._column])
        self._read[part] = keys
        self.kept += len(keys)
        while self.kept > self._most and len(self._read) > 1:
            _, oldest = self._read.popitem(last=False)
            self.kept -= len(oldest)
        return keys


def _bounds(group: pq.ColumnChunkMetaData) -> Bounds | None:
    found = group.statistics
    try:
        return (found.min, found.max) if found is not None and found.has_min_max else None
    except UnicodeDecodeError:  # a bound that was cut off within a character
        return None
