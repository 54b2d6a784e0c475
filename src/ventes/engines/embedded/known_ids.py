"""Finds which ids of a lot are already in ventes_clean, without reading the whole table.

An id can only be in a file whose range of vente_id (in the log) includes it, and there only in row groups whose range
(in the footer) includes it. Ids that grow with time match no file, or the newest files. Ids that were read stay in a
least-recently-used cache, 8 bytes per id; so if a producer starts again at 1, each old row group is read once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ventes.deltalog.actions import DataFile

Ids = npt.NDArray[np.int64]
Part = tuple[str, int]
"""A row group: the file's path in the table, and its number."""

MOST_IDS = 4_000_000
"""Ids in the cache: 32 MB."""


class KnownIds:
    """Finds ids in the files of one table. Data files never change, so cached ids stay valid as long as the file."""

    def __init__(self, table: Path, most_ids: int = MOST_IDS) -> None:
        self._table = table
        self._most = most_ids
        self._groups: dict[str, list[tuple[int, int] | None]] = {}
        """File → range of each row group, None if the footer has none."""
        self._read: OrderedDict[Part, Ids] = OrderedDict()
        self.kept = 0
        """Ids in memory now."""

    def files_with(self, ids: Ids, live: Iterable[DataFile]) -> list[DataFile]:
        """Those of the `live` files that contain any of `ids` (sorted)."""
        candidates = [file for file in live if _overlaps(ids, file.bounds("vente_id"))]
        if len(self._groups) > 4 * len(candidates) + 1000:
            self._groups.clear()
        return [file for file in candidates if self._holds(ids, file)]

    def _holds(self, ids: Ids, file: DataFile) -> bool:
        return any(
            _overlaps(ids, bounds) and _common(ids, self._ids(file.path, number))
            for number, bounds in enumerate(self._ranges(file.path))
        )

    def _ranges(self, path: str) -> list[tuple[int, int] | None]:
        if path not in self._groups:
            footer = pq.read_metadata(self._table / path)
            column = footer.schema.names.index("vente_id")
            statistics = [footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups)]
            self._groups[path] = [(s.min, s.max) if s is not None and s.has_min_max else None for s in statistics]
        return self._groups[path]

    def _ids(self, path: str, number: int) -> Ids:
        """The sorted ids of a row group."""
        part = (path, number)
        if part in self._read:
            self._read.move_to_end(part)
            return self._read[part]
        with pq.ParquetFile(self._table / path) as file:
            column = file.read_row_group(number, columns=["vente_id"])["vente_id"]
        ids = np.sort(column.to_numpy())
        self._read[part] = ids
        self.kept += len(ids)
        while self.kept > self._most and len(self._read) > 1:
            _, oldest = self._read.popitem(last=False)
            self.kept -= len(oldest)
        return ids


def _overlaps(ids: Ids, bounds: tuple[int, int] | None) -> bool:
    """Whether one of the sorted `ids` is within `bounds` (inclusive). True for unknown bounds."""
    if bounds is None:
        return len(ids) > 0
    return bool(np.searchsorted(ids, bounds[0], "left") < np.searchsorted(ids, bounds[1], "right"))


def _common(ids: Ids, others: Ids) -> bool:
    """Whether two sorted arrays share a value."""
    if len(ids) > len(others):
        ids, others = others, ids
    places = np.searchsorted(others, ids)
    inside = places < len(others)
    return bool((others[places[inside]] == ids[inside]).any())
