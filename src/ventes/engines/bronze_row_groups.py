"""The row groups of Bronze's files and their sizes, from the Parquet footers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import group_bytes
from ventes.engines.lot_range import Bounds, RowGroup


class BronzeRowGroups:
    """Reads each footer once, as long as a lot may begin in its file."""

    def __init__(self) -> None:
        self._known: dict[Path, list[RowGroup]] = {}

    def of(self, table: Path, files: Sequence[DataFile]) -> list[RowGroup]:
        """The row groups of `files`, those that may hold rows of the next lot. Forgets those of all other files."""
        paths = [table / file.path for file in files]
        self._known = {path: self._known[path] if path in self._known else _read(path) for path in paths}
        return [group for groups in self._known.values() for group in groups]


def _read(path: Path) -> list[RowGroup]:
    footer = pq.read_metadata(path)
    columns = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    found = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        bounds = [_bounds(group, columns[name]) for name in ("topic_id", "partition", "offset")]
        found.append(RowGroup(Bounds(*bounds), group.num_rows, group_bytes(group)))
    return found


def _bounds(group: pq.RowGroupMetaData, column: int) -> tuple[Any, Any] | None:
    statistics = group.column(column).statistics
    return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None
