"""The index of ids: it knows exactly the ids of its table, whatever happened to either."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.id_lots import ACCEPTED_APP, IdLots, drawn
from ventes.config import PROJECT
from ventes.deltalog.log import Log, TableReplaced
from ventes.engines import id_index, id_runs
from ventes.engines.clean_rows import holds_any
from ventes.engines.id_index import stay
from ventes.engines.id_keys import keys_of
from ventes.engines.id_runs import BLOCK, Pairs, Run, RunFile, RunWriter, Unusable, merge, merged

INDEX = id_index.FOLDER


@pytest.fixture
def lots(tmp_path: Path) -> Iterator[IdLots]:
    """An empty table."""
    small = IdLots(tmp_path / "clean")
    yield small
    small.close()


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a table of about 20 lots, with an index in several files."""
    small = IdLots(tmp_path_factory.mktemp("twenty") / "clean")
    fill(small, count=15)
    while len(small.files()) < 2 or small.index._merging or not small.index._memory:
        fill(small, seed=small.last, count=1)
    small.close()
    return small.folder


@pytest.fixture
def filled(tmp_path: Path, twenty: Path) -> Iterator[IdLots]:
    """A copy of that table."""
    shutil.copytree(twenty, tmp_path / "clean")
    small = IdLots(tmp_path / "clean")
    yield small
    small.close()


def weak(_con: object, ids: pa.ChunkedArray) -> np.ndarray:
    """Many ids share a key, the smallest and the largest key among them."""
    keys = [-(2**63), -1, 0, 5, 2**63 - 1]
    return np.array([keys[sum(str(one).encode()) % len(keys)] for one in ids.to_pylist()], np.int64)


def fill(small: IdLots, seed: int = 1, count: int = 40) -> None:
    """Take drawn lots, and compare what was found with a set."""
    seen = set(small.rows())
    for ids in drawn(seed, count):
        assert small.take(ids) == seen & set(ids)
        seen |= set(ids)
    assert sorted(small.rows()) == sorted(seen)


def assert_exact(small: IdLots) -> None:
    """The index finds all ids of the table and no other, and so do further lots."""
    present = small.rows()
    others = [one + 2**60 for one in present[:100]]
    assert small.seen([*present, *others]) == set(present)
    fill(small, seed=99, count=3)


# -- exact, and in few files ----------------------------------------------------------------------


def test_lots_against_a_set(lots: IdLots) -> None:
    fill(lots, count=40)
    assert 1 <= len(lots.files()) <= 8


TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["", "é", "e\u0301", "😀", "a\0b", "x" * 200]))
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30), st.sampled_from([-(2**63), 2**63 - 1]))
STEPS = ("lot", "lot", "lot", "reopen", "killed", "compact", "other release")


@pytest.mark.parametrize(
    ("kind", "values", "keys"),
    [(pa.int64(), NUMBERS, keys_of), (pa.string(), TEXTS, keys_of), (pa.string(), TEXTS, weak)],
    ids=["numbers", "texts", "texts that share keys"],
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_lots_against_a_set(
    tmp_path_factory: pytest.TempPathFactory, kind: pa.DataType, values: Any, keys: Any, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("lots")
    small = IdLots(folder / "clean", kind, keys=keys, most_in_memory=data.draw(st.integers(1, 12)))
    seen: set[Any] = set()
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=10)):
        ids = data.draw(st.lists(values, max_size=12))
        if step == "lot":
            assert small.take(ids) == seen & set(ids)
            seen |= set(ids)
        elif step == "reopen":
            small.index.close()
            small.index = small.opened()
        elif step == "killed":
            small.index = small.opened()
        elif step == "compact":
            small.compact()
        else:
            new = sorted(set(ids) - seen)
            small.append(new, small.last + 1)
            seen |= set(new)
    assert small.seen([*seen, *values_beside(seen, kind)]) == seen
    small.close()
    shutil.rmtree(folder)


def values_beside(seen: set[Any], kind: pa.DataType) -> list[Any]:
    candidates: list[Any] = ["y", "yy", "é!"] if pa.types.is_string(kind) else [7, -7, 2**62]
    return [one for one in candidates if one not in seen]


def test_keys_of_texts_are_those_of_md5() -> None:
    """The last half of the digest, little endian: the same in every process and release."""
    from hashlib import md5

    from ventes.deltalog.database import connect

    texts = ["", "a", "é", "a\0b", "x" * 200]
    with connect() as con:
        keys = keys_of(con, pa.chunked_array([pa.array(texts)]))
    assert keys.tolist() == [int.from_bytes(md5(text.encode()).digest()[8:], "little", signed=True) for text in texts]


@pytest.mark.parametrize("count", [1, 30, 1000])
def test_files_stay_few_and_are_copied_seldom(count: int) -> None:
    sizes: list[int] = []
    copied = 0
    for _ in range(count):
        sizes.append(1)
        if (kept := stay(sizes)) < len(sizes):
            copied += sum(sizes[kept:])
            sizes[kept:] = [sum(sizes[kept:])]
        assert len(sizes) <= count.bit_length()
    assert copied <= count * count.bit_length()


# -- the files ------------------------------------------------------------------------------------


def written(folder: Path, keys: np.ndarray, name: str = "a.run", piece: int = 700) -> RunFile:
    writer = RunWriter(folder, name)
    for start in range(0, len(keys), piece):
        part = keys[start : start + piece]
        writer.add(Pairs(part, part + 1))
    return writer.finish()


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 60_000])
def test_a_file_finds_what_was_written(tmp_path: Path, count: int) -> None:
    keys = np.arange(count, dtype=np.int64) * 3
    run = Run(tmp_path, written(tmp_path, keys))
    assert (len(run), (tmp_path / "a.run").stat().st_size) == (count, run.file.bytes)
    found = run.find(np.arange(-2, 3 * count + 5))
    assert sorted(zip(found.keys.tolist(), found.lots.tolist(), strict=True)) == [(n, n + 1) for n in keys.tolist()]
    parts = list(run.pieces(7))
    assert np.concatenate([part.keys for part in parts]).tolist() == keys.tolist()


def test_equal_keys_across_blocks(tmp_path: Path) -> None:
    keys = np.repeat([-5, 7, np.iinfo(np.int64).max], [3, 3 * BLOCK, BLOCK + 2])
    writer = RunWriter(tmp_path, "a.run")
    writer.add(Pairs(keys, np.arange(len(keys))))
    run = Run(tmp_path, writer.finish())
    for key in (-5, 7, np.iinfo(np.int64).max):
        assert sorted(run.find(np.array([key])).lots.tolist()) == np.flatnonzero(keys == key).tolist()
    assert len(run.find(np.array([-6, 6, 8]))) == 0


def test_merging_is_sorting(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    parts = [np.sort(rng.integers(0, 5000, size)) for size in (1, 30_000, 400, 7_000)]
    parts.append(np.arange(10_000, 30_000))
    runs = [Run(tmp_path, written(tmp_path, keys, f"{n}.run")) for n, keys in enumerate(parts)]
    pieces = list(merge(runs))
    assert np.concatenate([piece.keys for piece in pieces]).tolist() == np.sort(np.concatenate(parts)).tolist()
    assert all((piece.lots == piece.keys + 1).all() for piece in pieces)
    assert max(map(len, pieces)) <= id_runs.PIECE * BLOCK


def test_parts_in_memory_are_merged() -> None:
    both = merged([Pairs(np.array([1, 4]), np.array([10, 40])), Pairs(np.array([2, 4]), np.array([20, 41]))])
    assert (both.keys.tolist(), both.lots.tolist()) == ([1, 2, 4, 4], [10, 20, 40, 41])


@pytest.mark.parametrize("blocks", [20, 200])
def test_a_search_uses_one_block_for_each_key(tmp_path: Path, blocks: int) -> None:
    """However large the file: all other blocks are spoilt here, and so is none that it uses."""
    keys = np.arange(blocks * BLOCK) * 2
    run = Run(tmp_path, file := written(tmp_path, keys))
    used = [0, 7, blocks - 1]
    wanted = [keys[block * BLOCK + 100] for block in used]
    spoil_blocks(tmp_path / "a.run", set(range(blocks)) - set(used))
    assert run.find(np.array(wanted)).keys.tolist() == wanted
    assert len(run.find(np.array([-1, *(one + 1 for one in wanted), keys[-1] + 1]))) == 0
    with pytest.raises(Unusable, match="block 1 of"):
        run.find(np.array([keys[BLOCK + 1]]))
    with pytest.raises(Unusable, match="block 1 of"):
        list(Run(tmp_path, file).pieces(3))


def spoil_blocks(path: Path, blocks: set[int]) -> None:
    with path.open("r+b") as file:
        for block in blocks:
            file.seek(block * BLOCK * 16 + 11)
            file.write(b"\xee")


# -- what a lot reads -----------------------------------------------------------------------------


@pytest.mark.parametrize("history", [10, 100])
def test_a_lot_reads_the_files_of_its_duplicates_only(lots: IdLots, history: int) -> None:
    rng = random.Random(3)
    taken = [rng.sample(range(2**53), 20) for _ in range(history)]
    for ids in taken:
        lots.take(ids)
    kept = {file.path for file in lots.log.files.values() if file.bounds("lot") in {(2, 2), (6, 6)}}
    for file in lots.log.files.values():
        if file.path not in kept:
            (lots.folder / file.path).write_bytes(b"spoilt")
    new = rng.sample(range(2**53, 2**54), 50)
    assert lots.seen(new) == set()
    assert lots.seen([*new, taken[1][3], taken[5][0]]) == {taken[1][3], taken[5][0]}
    again = lots.find([taken[1][3], taken[5][0]]).lots
    assert {file.path for file in lots.log.files.values() if holds_any(file, again)} == kept


def test_after_a_start_only_the_lots_after_its_files_are_read(filled: IdLots) -> None:
    held = json.loads((filled.folder / INDEX / "manifest.json").read_text().splitlines()[0])
    assert held["lot"] < filled.last
    present = filled.rows()
    for file in filled.log.files.values():
        if file.stats["maxValues"]["lot"] < held["stamped_lot"]:
            (filled.folder / file.path).write_bytes(b"spoilt")
    found = filled.find(present)
    assert set(found.ids.to_pylist()) == set(present)


def test_many_lots_are_named_as_a_range(filled: IdLots) -> None:
    known = filled.find(filled.rows())
    assert known.condition == f"lot IN ({', '.join(str(lot) for lot in range(1, filled.last + 1))})"
    many = type(known)(known.ids, np.arange(5, 2005))
    assert many.condition == "lot BETWEEN 5 AND 2004"


# -- killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["run_written", "merge_written", "merge_published"])
@pytest.mark.parametrize("time", [1, 2])
def test_killed_between_two_writes(tmp_path: Path, point: str, time: int) -> None:
    folder = tmp_path / "clean"
    points = f"ids.{point}@{time}:kill9"
    child = subprocess.run(
        [sys.executable, "-m", "harness.id_lots", str(folder), "1", "30"],
        env=os.environ | {"VENTES_FAILPOINTS": points, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"},
        cwd=PROJECT,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    small = IdLots(folder)
    assert_exact(small)
    held = json.loads((folder / INDEX / "manifest.json").read_text().splitlines()[0])
    named = {file["name"] for file in held["files"]} | {"manifest.json"}
    merging = {merging.name for merging in small.index._merging}
    assert {path.name for path in (folder / INDEX).iterdir()} == named | merging
    small.close()


def test_small_files_do_not_wait_for_a_large_merge(filled: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_runs, "PIECE", 1)
    monkeypatch.setattr(id_index, "MERGED_AT_ONCE", 1)
    monkeypatch.setattr(id_index, "MERGED_PER_PAIR", 0)
    while not filled.index._merging:
        fill(filled, seed=filled.last, count=1)
    (large,) = filled.index._merging
    monkeypatch.setattr(large, "step", lambda _: False)  # it never ends
    monkeypatch.setattr(id_index, "MERGED_AT_ONCE", 10_000)
    fill(filled, seed=5, count=30)
    assert filled.index._merging[0] is large
    assert len(filled.files()) <= len(large.runs) + 1 + 5
    monkeypatch.undo()
    fill(filled, seed=6, count=3)
    assert large not in filled.index._merging


def test_leftovers_are_removed_and_a_merge_begins_again(lots: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "MERGED_AT_ONCE", 1)
    monkeypatch.setattr(id_index, "MERGED_PER_PAIR", 0)
    monkeypatch.setattr(id_runs, "PIECE", 1)
    while not lots.index._merging:
        fill(lots, seed=len(lots.rows()), count=1)
    merging = lots.index._merging[0]
    leftover = lots.folder / INDEX / merging.name
    (lots.folder / INDEX / ".manifest.json.1-2.tmp").write_text("x")
    assert leftover.exists()
    lots.index = lots.opened()
    assert_exact(lots)
    assert not leftover.exists()
    assert not list((lots.folder / INDEX).glob(".*"))
    merging.discard()


# -- damaged, of another table, ahead, behind -----------------------------------------------------

Change = Callable[[IdLots], object]


def cut_off(small: IdLots) -> None:
    os.truncate(small.files()[0], small.files()[0].stat().st_size - 1)


def flip_a_key(small: IdLots) -> None:
    spoil_blocks(small.files()[0], {0})


def flip_in_the_directory(small: IdLots) -> None:
    path = small.files()[-1]
    with path.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\xee")


def zero_a_file(small: IdLots) -> None:
    """What power loss may leave: the length, and no content."""
    small.files()[0].write_bytes(bytes(small.files()[0].stat().st_size))


def remove_a_file(small: IdLots) -> None:
    small.files()[-1].unlink()


def cut_off_the_manifest(small: IdLots) -> None:
    os.truncate(small.folder / INDEX / "manifest.json", 40)


def empty_the_manifest(small: IdLots) -> None:
    os.truncate(small.folder / INDEX / "manifest.json", 0)


def changed_manifest(**changes: Any) -> Change:
    def change(small: IdLots) -> None:
        path = small.folder / INDEX / "manifest.json"
        text = json.dumps(json.loads(path.read_text().splitlines()[0]) | changes)
        path.write_text(f"{text}\n{zlib.crc32(text.encode())}\n")

    return change


def remove_the_folder(small: IdLots) -> None:
    shutil.rmtree(small.folder / INDEX)


def remove_the_manifest(small: IdLots) -> None:
    (small.folder / INDEX / "manifest.json").unlink()


REFUSED = {
    "cut off": cut_off,
    "a key flipped": flip_a_key,
    "the directory flipped": flip_in_the_directory,
    "zeros": zero_a_file,
    "a file missing": remove_a_file,
    "manifest cut off": cut_off_the_manifest,
    "manifest empty": empty_the_manifest,
    "other table": changed_manifest(table="0" * 36),
    "other scheme": changed_manifest(scheme="duckdb 1.4"),
    "other format": changed_manifest(format=0),
    "content accepted": changed_manifest(accepted=3),
    "ahead": changed_manifest(lot=1000),
    "a file not named": changed_manifest(files=[]),
    "other stamp": changed_manifest(stamp=1),
}
ABSENT = {"no folder": remove_the_folder, "no manifest": remove_the_manifest}


@pytest.mark.parametrize("change", [*REFUSED.values(), *ABSENT.values()], ids=[*REFUSED, *ABSENT])
def test_what_cannot_be_used_is_built_again(
    filled: IdLots, change: Change, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    change(filled)
    filled.index = filled.opened()
    with caplog.at_level(logging.INFO, "ventes.silver"):
        assert_exact(filled)
    word = "built from the" if request.node.callspec.id in ABSENT else "built again"
    assert word in caplog.text


@pytest.mark.parametrize("change", [flip_a_key, remove_the_folder], ids=["a key flipped", "no folder"])
def test_damaged_while_in_use(filled: IdLots, change: Change) -> None:
    assert len(filled.find([1]).lots) <= 1  # open, and most blocks not used yet
    change(filled)
    assert_exact(filled)
    fill(filled, seed=7, count=10)


def test_an_older_index_is_completed(filled: IdLots, tmp_path: Path) -> None:
    shutil.copytree(filled.folder / INDEX, tmp_path / "older")
    fill(filled, seed=2, count=15)
    filled.index.close()
    shutil.rmtree(filled.folder / INDEX)
    shutil.copytree(tmp_path / "older", filled.folder / INDEX)
    assert_exact(filled)


def test_a_table_that_was_set_back(filled: IdLots, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An older copy of the table without its index, continued by a release without an index: the same numbers of lots,
    other ids."""
    shutil.copytree(filled.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(INDEX))
    fill(filled, seed=2, count=15)
    filled.close()
    shutil.move(filled.folder / INDEX, tmp_path / "ahead")
    shutil.rmtree(filled.folder)
    shutil.move(tmp_path / "copy", filled.folder)
    other = IdLots(filled.folder)
    for number in range(20):
        other.append(list(range(10**9 + 10 * number, 10**9 + 10 * number + 10)), other.last + 1)
    shutil.rmtree(filled.folder / INDEX, ignore_errors=True)
    shutil.move(tmp_path / "ahead", filled.folder / INDEX)
    assert_exact(other)
    assert "it was set back" in caplog.text
    other.close()


def test_a_table_that_was_set_back_while_in_use(filled: IdLots, tmp_path: Path) -> None:
    shutil.copytree(filled.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(INDEX))
    fill(filled, seed=2, count=3)
    for path in (filled.folder / "_delta_log").iterdir():
        if not (tmp_path / "copy" / "_delta_log" / path.name).exists():
            path.unlink()
    filled.log = Log.open(filled.folder)
    assert_exact(filled)


def test_content_that_was_accepted(filled: IdLots) -> None:
    """As many rows as before, but another: a program deleted and inserted one."""
    from deltalake import DeltaTable, write_deltalake

    victim = filled.rows()[0]
    DeltaTable(filled.folder).delete(f"id = {victim}")
    row = {name: [value] for name, value in zip(filled.table.schema.names, (4 * 10**15, None, 1), strict=True)}
    write_deltalake(filled.folder, pa.table(row, filled.table.schema), mode="append")
    filled.log.refresh()
    assert filled.log.edited
    filled.log.accept({ACCEPTED_APP: filled.log.version})
    assert filled.take([victim, 4 * 10**15]) == {4 * 10**15}
    assert_exact(filled)


def test_another_table_at_the_path(filled: IdLots) -> None:
    shutil.rmtree(filled.folder)
    with pytest.raises(TableReplaced):
        filled.find([1])
    other = IdLots(filled.folder)
    other.index = filled.index
    assert other.seen([1, 2, 3]) == set()
    fill(other, count=5)
    other.close()


def test_building_reports_progress(filled: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_the_folder(filled)
    monkeypatch.setattr(id_index, "_REPORT_EVERY", 500)
    reports: list[int] = []
    filled.options["progress"] = lambda: reports.append(1)
    filled.index = filled.opened()
    assert_exact(filled)
    assert len(reports) >= len(filled.rows()) // 1000


# -- a full disk ----------------------------------------------------------------------------------


class FullDisk(RunWriter):
    """A writer on a disk that is full after a few bytes."""

    def add(self, pairs: Pairs) -> None:
        super().add(pairs[: len(pairs) // 2])
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_a_lot_before_it_began(lots: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr(id_index, "RunWriter", FullDisk)
        lots.take(list(range(1, 600)))
        before = lots.rows()
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                lots.take([5, 10**6])
        assert lots.rows() == before
        assert lots.files() == []
    assert lots.take([5, 10**6]) == {5}
    assert len(lots.files()) == 1
    assert_exact(lots)


def test_a_full_disk_ends_a_merge_and_no_lot(filled: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "_Merge", full_merge)
    fill(filled, seed=2, count=20)
    names = [path.name for path in filled.files()]
    monkeypatch.undo()
    fill(filled, seed=3, count=4)
    assert len(filled.files()) < len(names)


def full_merge(*_: object) -> object:
    raise OSError(28, "No space left on device")


def test_no_merge_without_room(lots: IdLots, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(lots.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    fill(lots, count=25)
    several = len(lots.files())
    monkeypatch.undo()
    fill(lots, seed=2, count=3)
    assert len(lots.files()) < several
