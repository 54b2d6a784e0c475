"""The row groups of Bronze's files and their sizes, from the Parquet footers."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ventes.contract.tables import POSITION
from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import group_bounds, group_bytes
from ventes.deltalog.log import Log
from ventes.engines.lot_range import Bounds, RowGroup

NEWEST_FILES = 8
"""Files whose messages tell how large the next ones may be."""


class BronzeRowGroups:
    """Reads each footer once, as long as a lot may begin in its file."""

    def __init__(self) -> None:
        self._known: dict[Path, list[RowGroup]] = {}

    def of(self, table: Path, files: Sequence[DataFile]) -> list[RowGroup]:
        """The row groups of `files`, those that may hold rows of the next lot. Forgets those of all other files."""
        paths = [table / file.path for file in files]
        self._known = {path: self._known[path] if path in self._known else _read(path) for path in paths}
        return [group for groups in self._known.values() for group in groups]


def recent_message_bytes(bronze: Log) -> float:
    """Bytes of a message, before compression: the average of the newest files, 0 if there are none or one is gone."""
    newest = heapq.nlargest(NEWEST_FILES, bronze.files.values(), key=lambda file: file.modified)
    try:
        groups = BronzeRowGroups().of(bronze.path, newest)
    except (OSError, pa.ArrowException):
        return 0.0
    return sum(group.size for group in groups) / max(1, sum(group.rows for group in groups))


def _read(path: Path) -> list[RowGroup]:
    footer = pq.read_metadata(path)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    places = places_of(footer)
    return [RowGroup(bounds_of_group(group, places), group.num_rows, group_bytes(group)) for group in groups]


def places_of(footer: pq.FileMetaData) -> list[int]:
    """Where the columns of a position are in the row groups of a file."""
    paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
    return [paths.index(name) for name in POSITION]


def bounds_of_group(group: pq.RowGroupMetaData, places: Sequence[int]) -> Bounds:
    """The bounds of a row group. `places`: see `places_of`."""
    return Bounds(*(group_bounds(group, place) for place in places))
