"""Finding ids in the files of ventes_clean."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ventes.deltalog.actions import DataFile
from ventes.engines.embedded.known_ids import KnownIds
from ventes.engines.event_ids import EventIds


def write(folder: Path, name: str, ids: list[int], group: int = 4, stats: bool = True) -> DataFile:
    pq.write_table(pa.table({"x": ids, "vente_id": ids}), folder / name, row_group_size=group, write_statistics=stats)
    bounds = {"numRecords": len(ids), "minValues": {"vente_id": min(ids)}, "maxValues": {"vente_id": max(ids)}}
    return DataFile(name, 1, {}, 0, json.dumps(bounds) if stats else None)


def find(known: KnownIds, ids: list[int], files: list[DataFile]) -> list[str]:
    return [file.path for file in known.files_with(EventIds(pa.array(ids, pa.int64())), files)]


def test_only_files_that_hold_an_id(tmp_path: Path) -> None:
    files = [write(tmp_path, "a", [1, 3, 5, 7, 9, 11]), write(tmp_path, "b", [2, 4, 40, 60])]
    known = KnownIds(tmp_path, "vente_id")
    assert find(known, [5], files) == ["a"]
    assert find(known, [6, 8], files) == []
    assert find(known, [4, 11], files) == ["a", "b"]
    assert find(known, [], files) == []
    assert find(known, [100], files) == []


def test_files_without_statistics_are_read(tmp_path: Path) -> None:
    files = [write(tmp_path, "a", [9, 1, 5], stats=False)]
    known = KnownIds(tmp_path, "vente_id")
    assert find(known, [5], files) == ["a"]
    assert find(known, [6], files) == []


@pytest.mark.parametrize("most", [1, 5, 100])
def test_what_is_kept_is_bounded_and_changes_no_answer(tmp_path: Path, most: int) -> None:
    ids = list(range(0, 80, 2))
    files = [write(tmp_path, "a", ids, group=4)]
    known = KnownIds(tmp_path, "vente_id", most_ids=most)
    for _ in range(2):
        assert [find(known, [number], files) for number in range(80)] == [
            ["a"] if number % 2 == 0 else [] for number in range(80)
        ]
    assert known.kept <= max(most, 4)


def test_a_row_group_is_read_once(tmp_path: Path) -> None:
    files = [write(tmp_path, "a", [1, 3, 5])]
    known = KnownIds(tmp_path, "vente_id")
    assert find(known, [3], files) == ["a"]
    (tmp_path / "a").unlink()
    assert find(known, [5], files) == ["a"]


def write_texts(folder: Path, name: str, ids: list[str], bounds: tuple[str, str] | None) -> DataFile:
    pq.write_table(pa.table({"ref": ids}), folder / name, row_group_size=2)
    stats = {"minValues": {"ref": bounds[0]}, "maxValues": {"ref": bounds[1]}} if bounds else {}
    return DataFile(name, 1, {}, 0, json.dumps({"numRecords": len(ids), **stats}))


def find_texts(known: KnownIds, ids: list[str], files: list[DataFile]) -> list[str]:
    return [file.path for file in known.files_with(EventIds(pa.array(ids, pa.string())), files)]


def test_texts_are_found_by_their_bounds_and_their_hashes(tmp_path: Path) -> None:
    files = [
        write_texts(tmp_path, "a", ["A-1", "A-3", "é", "😀"], ("A-1", "😀")),
        write_texts(tmp_path, "b", ["B-1", "B-2"], ("B-1", "B-2")),
        write_texts(tmp_path, "c", ["B-1"], None),
    ]
    known = KnownIds(tmp_path, "ref")
    assert find_texts(known, ["A-3"], files) == ["a"]
    assert find_texts(known, ["B-1", "😀"], files) == ["a", "b", "c"]
    assert find_texts(known, ["A-2", "B-3", "z"], files) == []
    assert find_texts(known, [], files) == []


def test_bounds_that_were_cut_off_leave_out_no_text(tmp_path: Path) -> None:
    """Writers keep the first characters only; some make the upper bound larger, some do not."""
    long = ["commande-" + "x" * 40 + end for end in ("1", "5", "9")]
    for upper in (long[-1][:32], long[-1][:32] + "\U0010ffff", long[-1][:31] + "y"):
        files = [write_texts(tmp_path, "a", long, (long[0][:32], upper))]
        known = KnownIds(tmp_path, "ref")
        assert [find_texts(known, [one], files) for one in long] == [["a"]] * 3
        assert find_texts(known, ["commande-z", "a", "commande-" + "x" * 40 + "4"], files) == []


def test_ids_are_different_and_compared_with_bounds() -> None:
    ids = EventIds(pa.array(["b", "a", "b"]))
    assert (len(ids), ids.column.to_pylist()) == (2, ["b", "a"])
    assert ids.may_be_within(("b", "b"))
    assert not ids.may_be_within(("c", "d"))
    assert ids.may_be_within(None)
