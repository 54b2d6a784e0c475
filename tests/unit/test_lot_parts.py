"""A large lot is cut into parts of about the same size that together read each of its row groups once."""

from __future__ import annotations

import json
import random

import pytest

from ventes.deltalog.actions import DataFile
from ventes.engines.lot_range import Bounds, LotRange, RowGroup
from ventes.engines.spark.lot_parts import PART_BYTES, PART_ROWS, Part, parts_of

GROUP = 16_384


def lake(*sizes: list[tuple[int, int]]) -> tuple[list[DataFile], list[list[RowGroup]], int]:
    """Files with row groups of these (rows, bytes), one after the other in partition 0 of T; the last offset."""
    files, groups, offset = [], [], 0
    for number, of_file in enumerate(sizes):
        first, mine = offset, []
        for rows, size in of_file:
            mine.append(RowGroup(bounds(offset, offset + rows - 1), rows, size))
            offset += rows
        stats = {"minValues": {"offset": first}, "maxValues": {"offset": offset - 1}}
        files.append(DataFile(f"file-{number}", 1, {}, 0, json.dumps(stats)))
        groups.append(mine)
    return files, groups, offset - 1


def bounds(first: int, last: int) -> Bounds:
    return Bounds(("T", "T"), (0, 0), (first, last))


def read(part: Part) -> list[tuple[str, int]]:
    return [(file.path, number) for file in part.files for number in part.groups[file.path]]


def rows_of(part: Part, files: list[DataFile], groups: list[list[RowGroup]]) -> int:
    place = {file.path: number for number, file in enumerate(files)}
    return sum(groups[place[path]][number].rows for path, number in read(part))


@pytest.mark.parametrize(
    ("files", "cores", "expected"),
    [
        ([[(GROUP, 6_000_000)] * 3] * 8, 2, 8),  # Bronze's own files of 49,152 rows
        ([[(GROUP, 6_000_000)] * 24], 2, 8),  # merged into one
        ([[(15_000, 6_000_000)]] * 4, 2, 2),
        ([[(15_000, 6_000_000)]] * 4, 4, 4),
        ([[(100, 1_000)]], 2, 1),  # a row group is not divided
        ([[(3, 15_000_000)] * 10], 2, 4),  # 150 MB of large messages
    ],
)
def test_parts_of_equal_size(files: list[list[tuple[int, int]]], cores: int, expected: int) -> None:
    made, groups, last = lake(*files)
    parts = parts_of(made, groups, LotRange({}, {("T", 0): last}), cores)
    assert len(parts) == expected
    assert len({rows_of(part, made, groups) for part in parts}) <= 2
    assert [place for part in parts for place in read(part)] == [
        (file.path, number) for file, mine in zip(made, groups, strict=True) for number in range(len(mine))
    ]


def test_row_groups_outside_of_the_lot_are_left_out() -> None:
    files, groups, _ = lake([(10, 100)] * 5, [(10, 100)] * 5)
    parts = parts_of(files, groups, LotRange({("T", 0): 24}, {("T", 0): 70}), 2)
    places = [place for part in parts for place in read(part)]
    assert places == [*(("file-0", number) for number in (2, 3, 4)), *(("file-1", number) for number in (0, 1, 2))]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_files_are(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [
        [(rng.randint(1, GROUP), rng.randint(1, 16_000_000)) for _ in range(rng.randint(1, 9))]
        for _ in range(rng.randint(1, 30))
    ]
    files, groups, last = lake(*sizes)
    cores = rng.randint(1, 16)
    after = rng.randint(-1, last - 1)
    lot = LotRange({("T", 0): after}, {("T", 0): rng.randint(after + 1, last)})
    parts = parts_of(files, groups, lot, cores)
    inside = {
        (file.path, number): group
        for file, mine in zip(files, groups, strict=True)
        for number, group in enumerate(mine)
        if lot.meets(group.bounds)
    }
    assert [place for part in parts for place in read(part)] == list(inside)
    for part in parts:
        mine = [inside[place] for place in read(part)]
        assert sum(group.rows for group in mine) <= 2 * PART_ROWS + GROUP
        assert sum(group.size for group in mine) <= 2 * PART_BYTES + 16_000_000
