"""A process that does not write the index of ids finds in its files what is there, and notices damage."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ventes.engines import id_lookups
from ventes.engines.id_lookups import find_in_files
from ventes.engines.id_runs import BLOCK, Pairs, RunFile, RunFiles, RunWriter, Unusable


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_lookups, "_open", {})


def written(folder: Path, name: str, lots: dict[int, int]) -> RunFile:
    keys = np.array(sorted(lots), np.int64)
    writer = RunWriter(folder, name)
    writer.add(Pairs(keys, np.array([lots[key] for key in keys.tolist()], np.int64)))
    return writer.finish()


def found(folder: Path, files: list[RunFile], wanted: set[int]) -> list[tuple[int, int]]:
    pairs = find_in_files(RunFiles(folder, tuple(files)), np.array(sorted(wanted), np.int64))
    assert (np.diff(pairs.keys) >= 0).all()
    return sorted(zip(pairs.keys.tolist(), pairs.lots.tolist(), strict=True))


@pytest.mark.parametrize("many", [20, 3_000])
def test_every_pair_of_every_file_is_found(tmp_path: Path, many: int) -> None:
    rng = random.Random(many)
    content = [{rng.randrange(-50_000, 50_000): lot for _ in range(4 * BLOCK)} for lot in (1, 2, 3)]
    files = [written(tmp_path, f"{number}.run", lots) for number, lots in enumerate(content)]
    wanted = {rng.randrange(-50_000, 50_000) for _ in range(many)}
    assert found(tmp_path, files, wanted) == sorted(
        (key, lots[key]) for lots in content for key in wanted if key in lots
    )
    assert found(tmp_path, [], wanted) == []


def test_files_that_the_index_has_no_more_are_closed(tmp_path: Path) -> None:
    first, second = (written(tmp_path, f"{lot}.run", {lot: lot, 7: lot}) for lot in (1, 2))
    assert found(tmp_path, [first, second], {1, 2, 7}) == [(1, 1), (2, 2), (7, 1), (7, 2)]
    (tmp_path / "1.run").unlink()
    assert found(tmp_path, [second], {1, 2, 7}) == [(2, 2), (7, 2)]
    assert list(id_lookups._open) == ["2.run"]


def test_damage_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path, "a.run", dict.fromkeys(range(3 * BLOCK), 1))
    path = tmp_path / "a.run"
    content = bytearray(path.read_bytes())
    content[BLOCK * 16 + 8] ^= 1  # a key of the second block
    path.write_bytes(content)
    assert found(tmp_path, [file], {3}) == [(3, 1)]
    with pytest.raises(Unusable, match="damaged"):
        found(tmp_path, [file], {BLOCK + 5})
    id_lookups._open.clear()
    path.unlink()
    with pytest.raises(Unusable, match="missing"):
        found(tmp_path, [file], {3})
