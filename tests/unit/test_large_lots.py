"""Large lots, as Spark's tasks take them, in this process: exact whatever the parts, and safe where a step fails."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.in_process_tasks import LargeLotsInProcess
from harness.lot_counts import assert_reported
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_engine import bronze_rows, random_sales
from harness.silver_run import Row, loop_of, rows_of, settings_of, stored_rollups
from tests.unit.test_silver_loop import assert_exact
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.engines import id_index, id_lookups
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.lot_range import LotRange
from ventes.engines.spark import large_lots, lot_tasks
from ventes.errors import LockLost
from ventes.lake import tables
from ventes.lake.open_tables import OpenTables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    return settings


def fill(settings: Settings, seed: int, count: int, first: int = 0, partitions: int = 1) -> None:
    rows = bronze_rows(random_sales(seed, count, first, partitions))
    commit.append(Log.open(settings.bronze), BRONZE, rows, f"test-{seed}", 1)


def run(settings: Settings, max_rows: int = 10_000) -> None:
    assert loop_of(settings, LargeLotsInProcess, max_rows=max_rows).run() == 0


@pytest.mark.parametrize("places", [1, 3, 8])
def test_every_row_is_clean_or_rejected_and_every_sum_is_exact(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """Two lots of three files each; half of the ids come again. `places`: for the doubtful rows of a lot, about."""
    monkeypatch.setattr(large_lots, "PART_ROWS", max(1, 60 // places))
    monkeypatch.setattr(lot_tasks, "PASSED_BYTES", 1_000)  # a few rows at a time
    for lot in range(2):
        for file in range(3):
            fill(settings, seed=lot * 10 + file, count=100, first=100 * (3 * lot + file))
        run(settings)
    assert Log.open(tables.path_of(settings, CLEAN)).transactions["ventes-silver"] == 2
    assert_exact(settings)


def test_partitions_and_lots_that_end_within_a_row_group(settings: Settings, tmp_path: Path) -> None:
    """As the embedded engine takes them: which of an id is first depends on how lots cut several partitions."""
    other = settings_of(tmp_path / "embedded")
    tables.ensure(other, BRONZE)
    for one in (settings, other):
        fill(one, seed=1, count=500, partitions=3)
    run(settings, max_rows=130)
    assert loop_of(other, EmbeddedSilver, max_rows=130).run() == 0
    assert Log.open(tables.path_of(settings, CLEAN)).transactions["ventes-silver"] > 2
    for table in (CLEAN, REJETS):
        assert _without_times(rows_of(settings, table)) == _without_times(rows_of(other, table)), table.name
    assert stored_rollups(settings) == stored_rollups(other)
    assert_reported(settings)


def _without_times(rows: list[Row]) -> list[Row]:
    """But for when it was done."""
    return [{name: value for name, value in row.items() if name != "date_traitement"} for row in rows]


def test_nothing_but_duplicates(settings: Settings) -> None:
    sale = {"vente_id": 5, "offset": 0}
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows([sale]), "test", 1)
    run(settings)
    again = [sale | {"offset": offset} for offset in range(1, 50)]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(again), "test", 2)
    run(settings)
    assert [row["motifs"] for row in rows_of(settings, REJETS)] == [["duplicate"]] * 49
    assert_exact(settings)


def test_rejected_rows_have_their_bytes(settings: Settings) -> None:
    """Also a duplicate, whose raw message is not passed on with its row."""
    large = {"offset": 1, "motifs": ["not_json"], "vente_id": None, "value": b"x" * 5_000_000}
    sales: list[dict[str, Any]] = [{"offset": 0, "vente_id": 7}, large, {"offset": 2, "vente_id": 7, "value": b"again"}]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", 1)
    run(settings)
    assert {row["offset"]: row["value"] for row in rows_of(settings, REJETS)} == {1: b"x" * 5_000_000, 2: b"again"}


def test_a_lot_whose_lock_is_lost_meanwhile_is_not_committed(settings: Settings) -> None:
    fill(settings, seed=2, count=40)
    run(settings)
    before = {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS)}
    fill(settings, seed=3, count=40, first=40)

    def lost() -> None:
        raise LockLost("another one has it", "look")

    engine = LargeLotsInProcess(settings, OpenTables(settings), require_lock=lost)
    with pytest.raises(LockLost):
        engine.take(LotRange({("T", 0): 39}, {("T", 0): 79}), 2)
    engine.close()
    assert before == {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS)}
    run(settings)
    assert_exact(settings)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_task_that_finds_the_index_damaged_has_it_built_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """The ids of the first lot are in a file only. Another process writes it, so the workers have not read it yet."""
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 20)
    monkeypatch.setattr(id_lookups, "_open", {})
    fill(settings, seed=4, count=60)
    run(settings)
    opened = OpenTables(settings)
    engine = LargeLotsInProcess(settings, opened)
    engine.known_ids.write_due(opened.log(CLEAN))
    files = list((tables.path_of(settings, CLEAN) / id_index.FOLDER).glob("*.run"))
    assert files
    for file in files:
        if damage == "missing":
            file.rename(file.with_suffix(".away"))
        else:
            content = bytearray(file.read_bytes())
            content[3] ^= 1
            file.write_bytes(content)
    fill(settings, seed=5, count=60, first=60)
    engine.take(LotRange({("T", 0): 59}, {("T", 0): 119}), 2)
    engine.close()
    assert "the index of ids is built again" in caplog.text
    run(settings)
    assert_exact(settings)


def test_the_engines_take_turns_with_one_index(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 60)
    for batch in range(6):
        rng = random.Random(batch)
        ids = [rng.choice((rng.randrange(1, 2**53), rng.randrange(1, 200))) for _ in range(100)]
        sales = [{"offset": batch * 100 + number, "vente_id": one} for number, one in enumerate(ids)]
        commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", batch)
        engine = EmbeddedSilver if batch % 3 == 2 else partial(LargeLotsInProcess, cores=3)
        assert loop_of(settings, engine, max_rows=50).run() == 0
    assert_exact(settings)
    assert list((tables.path_of(settings, CLEAN) / id_index.FOLDER).glob("*.run"))
