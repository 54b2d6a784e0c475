"""Cuts a large lot into parts, each for one task: row groups of Bronze's files. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ventes.deltalog.actions import DataFile
from ventes.engines.lot_range import LOT_BYTES, LotRange, RowGroup

PART_ROWS = 50_000
"""About so many rows make a part: its task needs as much memory as a lot of the embedded engine, and makes a file of
50,000 rows for each day."""
PART_BYTES = LOT_BYTES
"""Or so many bytes, before compression."""


@dataclass
class Part:
    """Row groups of some files of Bronze."""

    files: list[DataFile] = field(default_factory=list)
    groups: dict[str, range] = field(default_factory=dict)
    """Path of a file → the numbers of its row groups."""

    def add(self, file: DataFile, number: int) -> None:
        """Add a row group: of another file than before, or a later one of the same."""
        first = number
        if file.path in self.groups:
            first = self.groups[file.path].start
        else:
            self.files.append(file)
        self.groups[file.path] = range(first, number + 1)


def parts_of(
    files: Sequence[DataFile], groups: Sequence[Sequence[RowGroup]], lot_range: LotRange, cores: int
) -> list[Part]:
    """The parts of a lot, of about the same size and in order; a task reads of each the rows of the range.

    `groups`: the row groups of each of `files`. There are a few parts for each core, or one where they are small.
    """
    inside = [
        (file, number, group)
        for file, of_file in zip(files, groups, strict=True)
        for number, group in enumerate(of_file)
        if lot_range.meets(group.bounds)
    ]
    rows = sum(group.rows for _, _, group in inside)
    size = sum(group.size for _, _, group in inside)
    count = cores * math.ceil(max(1, rows / PART_ROWS, size / PART_BYTES) / cores)
    parts: dict[int, Part] = {}
    before = 0.0
    for file, number, group in inside:
        share = (group.rows / max(1, rows) + group.size / max(1, size)) / 2
        place = min(count - 1, int((before + share / 2) * count))
        parts.setdefault(place, Part()).add(file, number)
        before += share
    return list(parts.values())
