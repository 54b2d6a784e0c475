"""Tables changed by other programs: set back, edited, optimized, replaced by an older copy. No row counts twice."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from harness.shipped import BRONZE, CLEAN, REJETS, ROLLUPS
from harness.silver_engine import PlainEngine, bronze_rows, random_sales
from harness.silver_run import run, settings_of
from tests.unit.test_silver_loop import assert_exact, fill_bronze
from ventes.config import Settings
from ventes.contract.tables import POSITION
from ventes.deltalog import commit, compaction
from ventes.deltalog.log import Log
from ventes.deltalog.table import Table
from ventes.engines.bronze_edits import settle
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult
from ventes.errors import LakeDamaged, SourceChanged, VentesError
from ventes.lake import tables
from ventes.lake.positions import of_bronze
from ventes.lake.tables import path_of
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper

Edit = Callable[[Path], object]


def actions_of(path: Path, version: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "_delta_log" / f"{version:020d}.json").read_text().splitlines()]


@pytest.fixture(scope="module")
def three_lots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake of three lots."""
    folder = tmp_path_factory.mktemp("three_lots")
    made = settings_of(folder)
    tables.ensure(made, BRONZE)
    for lot in range(3):
        fill_bronze(made, seed=lot, count=200, first=200 * lot)
        run(made)
    return folder


@pytest.fixture
def settings(tmp_path: Path, three_lots: Path) -> Settings:
    """A copy of that lake."""
    shutil.copytree(three_lots, tmp_path, dirs_exist_ok=True)
    return settings_of(tmp_path)


def set_back(path: Path) -> None:
    table = DeltaTable(path)
    table.restore(table.version() - 1)


def delete_one(path: Path) -> None:
    table = DeltaTable(path)
    newest = max(table.to_pyarrow_table()["offset"].to_pylist())
    table.delete(f'"offset" = {newest}')


def add_one(path: Path) -> None:
    """A row at a position that is there, but not the same row."""
    rows = DeltaTable(path).to_pyarrow_table().slice(0, 1)
    number = rows.schema.get_field_index("kafka_ts")
    later = pc.add(rows["kafka_ts"], pa.scalar(timedelta(hours=1)))
    write_deltalake(path, rows.set_column(number, rows.schema.field(number), later), mode="append")


def optimize(path: Path) -> None:
    DeltaTable(path).optimize.compact()


def merged_twice(settings: Settings, table: Table) -> int:
    """The files merged by the job's compaction and by deltalake at the same time; returns how many rows then are there
    twice: the job's commit comes first, deltalake's is based on the version before."""
    path = path_of(settings, table)
    theirs = DeltaTable(path)
    log = Log.open(path)
    rows = log.present_rows
    group = sorted(log.files.values(), key=lambda file: file.path)[:2]
    merged = compaction.merge_files(path, table, group)
    log.commit([*(file.remove(False) for file in group), merged.add(False)], "OPTIMIZE")
    theirs.optimize.compact()
    log.refresh()
    return log.present_rows - rows


@pytest.mark.parametrize("table", [CLEAN, REJETS], ids=lambda table: table.name)
@pytest.mark.parametrize("edit", [set_back, delete_one, add_one])
def test_rows_that_no_lot_wrote_or_that_are_gone_are_refused(settings: Settings, table: Table, edit: Edit) -> None:
    edit(path_of(settings, table))
    before = {one.name: DeltaTable(path_of(settings, one)).version() for one in (CLEAN, REJETS, *ROLLUPS)}
    with pytest.raises(LakeDamaged, match=rf"{table.name} holds 1?\d* rows (fewer|more) than were written"):
        run(settings)
    assert before == {one.name: DeltaTable(path_of(settings, one)).version() for one in (CLEAN, REJETS, *ROLLUPS)}


@pytest.mark.parametrize("table", [CLEAN, REJETS], ids=lambda table: table.name)
def test_the_edit_is_noticed_while_the_job_runs(settings: Settings, table: Table) -> None:
    """Between two lots, without a restart."""
    from harness.silver_run import UntilIdle, loop_of

    class EditsOnce(UntilIdle):
        edited = False

        def wait(self, seconds: float) -> bool:
            if not self.edited:
                self.edited = True
                set_back(path_of(settings, table))
                fill_bronze(settings, seed=9, count=50, first=600)
                return False
            return super().wait(seconds)

    with pytest.raises(LakeDamaged, match="than were written"):
        loop_of(settings, stopper=EditsOnce()).run()


@pytest.mark.parametrize("table", ROLLUPS, ids=lambda table: table.name)
@pytest.mark.parametrize("edit", [set_back, optimize])
def test_a_changed_rollup_is_built_again(settings: Settings, table: Table, edit: Edit) -> None:
    edit(path_of(settings, table))
    fill_bronze(settings, seed=9, count=50, first=600)
    assert run(settings) == 0
    assert_exact(settings)


@pytest.mark.parametrize("table", ROLLUPS, ids=lambda table: table.name)
def test_a_rollup_changed_within_a_lot_is_built_again(settings: Settings, table: Table) -> None:
    """Between the lot's clean rows and its aggregates: these would be made from removed files."""

    class EditsOnce(PlainEngine):
        edited = False

        def take(self, lot_range: LotRange, lot: int) -> LotResult:
            result = super().take(lot_range, lot)
            if not self.edited:
                self.edited = True
                set_back(path_of(settings, table))
            return result

    fill_bronze(settings, seed=9, count=50, first=600)
    assert run(settings, make_engine=EditsOnce) == 0
    assert_exact(settings)


@pytest.mark.parametrize("table", ROLLUPS, ids=lambda table: table.name)
def test_a_rollup_with_edited_values_is_built_again(settings: Settings, table: Table) -> None:
    column = next(field.name for field in table.schema if pa.types.is_decimal(field.type))
    DeltaTable(path_of(settings, table)).update({column: f"{column} + 1"})
    assert run(settings) == 0
    assert_exact(settings)


@pytest.mark.parametrize("table", [CLEAN, REJETS, *ROLLUPS], ids=lambda table: table.name)
def test_set_back_and_forward_again_changes_nothing(settings: Settings, table: Table) -> None:
    path = path_of(settings, table)
    newest = DeltaTable(path).version()
    set_back(path)
    DeltaTable(path).restore(newest)
    fill_bronze(settings, seed=9, count=50, first=600)
    assert run(settings) == 0
    assert_exact(settings)


@pytest.mark.parametrize("table", [BRONZE, CLEAN, REJETS], ids=lambda table: table.name)
def test_a_manual_optimize_is_accepted(settings: Settings, table: Table) -> None:
    optimize(path_of(settings, table))
    for lot in range(2):
        fill_bronze(settings, seed=9 + lot, count=50, first=600 + 50 * lot)
        assert run(settings) == 0
    assert not Log.open(path_of(settings, CLEAN)).edited
    assert ("ventes-accepted" in Log.open(path_of(settings, table)).transactions) == (table is not BRONZE)
    assert_exact(settings)


@pytest.mark.parametrize("table", [BRONZE, CLEAN, REJETS], ids=lambda table: table.name)
def test_files_that_two_programs_merged_at_once_count_once(settings: Settings, table: Table) -> None:
    """deltalake does not notice that its OPTIMIZE and the job's merge took the same files."""
    path = path_of(settings, table)
    version = DeltaTable(path).version()
    assert merged_twice(settings, table) > 0
    log = Log.open(path)
    if table is BRONZE:
        fill_bronze(settings, seed=9, count=50, first=600)  # a job that has not noticed yet
        log.refresh()
        settle(log, settings.stream, logging.getLogger())
    else:
        fill_bronze(settings, seed=9, count=50, first=600)
    assert run(settings) == 0
    log.refresh()
    assert not log.edited
    places = [tuple(row.values()) for row in DeltaTable(path).to_pyarrow_table(columns=list(POSITION)).to_pylist()]
    assert len(places) == len(set(places)) == log.present_rows
    assert_exact(settings)
    written = [action for number in range(version + 1, log.version + 1) for action in actions_of(path, number)]
    assert not any(action["remove"]["dataChange"] for action in written if "remove" in action), "a stream would fail"


def test_bronze_with_doubled_rows_is_not_taken(settings: Settings) -> None:
    """A lot would reject the second copy as a duplicate: Silver waits until Bronze's job has removed it."""
    before = DeltaTable(path_of(settings, CLEAN)).version()
    fill_bronze(settings, seed=9, count=50, first=600)
    doubled = merged_twice(settings, BRONZE)
    assert doubled > 0
    assert run(settings) == 0
    assert DeltaTable(path_of(settings, CLEAN)).version() == before
    with pytest.raises(VentesError, match=f"{doubled} rows more than its job wrote"):
        rebuild(settings, say=print, progress=print, stopper=Stopper())
    settle(log := Log.open(settings.bronze), settings.stream, logging.getLogger())
    assert not log.edited
    assert run(settings) == 0
    assert_exact(settings)


def test_a_second_row_that_is_no_copy_stops_bronze(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    commit.append_files(log, [], {"ventes-bronze:T:0": 599})
    add_one(settings.bronze)
    log.refresh()
    with pytest.raises(SourceChanged, match="no job wrote: 1 more than were written"):
        settle(log, settings.stream, logging.getLogger())
    assert DeltaTable(settings.bronze).to_pyarrow_table().num_rows == 601


@pytest.mark.parametrize("table", [REJETS, *ROLLUPS], ids=lambda table: table.name)
def test_an_older_copy_of_a_folder_is_refused_or_completed(settings: Settings, tmp_path: Path, table: Table) -> None:
    path, copy = path_of(settings, table), tmp_path / "copy"
    shutil.copytree(path, copy)
    fill_bronze(settings, seed=9, count=200, first=600)
    run(settings)
    shutil.rmtree(path)
    shutil.copytree(copy, path)
    if table is REJETS:
        with pytest.raises(LakeDamaged, match="an older copy"):
            run(settings)
    else:
        assert run(settings) == 0
        assert_exact(settings)


def test_a_restored_bronze_continues_after_its_last_row(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    commit.append_files(log, [], {"ventes-bronze:T:0": 612})  # read through markers
    assert of_bronze(log) == {("T", 0): 612}
    DeltaTable(settings.bronze).restore(DeltaTable(settings.bronze).version() - 2)
    log.refresh()
    assert log.edited
    assert log.missing_rows == 200
    assert of_bronze(log) == {("T", 0): 399}


def test_rows_that_no_job_wrote_stop_bronze_until_they_are_deleted(settings: Settings) -> None:
    """With them as its position, Bronze would skip the messages before them."""
    log = Log.open(settings.bronze)
    commit.append_files(log, [], {"ventes-bronze:T:0": 599})
    table = DeltaTable(settings.bronze)
    row = table.to_pyarrow_table().slice(0, 1)
    row = row.set_column(
        row.schema.get_field_index("offset"), row.schema.field("offset"), [pa.array([700], pa.int64())]
    )
    write_deltalake(settings.bronze, row, mode="append")
    log.refresh()
    with pytest.raises(SourceChanged, match="no job wrote: partition 0 of T up to offset 700") as caught:
        settle(log, settings.stream, logging.getLogger())
    assert "DELETE" in (caught.value.hint or "")
    DeltaTable(settings.bronze).delete('"offset" = 700')
    log.refresh()
    settle(log, settings.stream, logging.getLogger())
    assert not log.edited
    assert of_bronze(log) == {("T", 0): 599}


def test_every_commit_of_ours_is_accounted_for(settings: Settings) -> None:
    """Appends, replacements and compactions keep these checksums correct, also from a checkpoint."""
    for table in (BRONZE, CLEAN, REJETS, *ROLLUPS):
        path = path_of(settings, table)
        log = Log.open(path)
        assert not log.edited
        assert log.missing_rows == 0
        assert log.present_rows == DeltaTable(path).to_pyarrow_table().num_rows
        DeltaTable(path).create_checkpoint()
        opened = Log.open(path)
        assert (opened.checksum, opened.rows, opened.edited) == (log.checksum, log.rows, False)


def test_a_lake_without_checksums_is_accepted(settings: Settings) -> None:
    """A lake of a release without these checksums."""
    log = Log.open(path_of(settings, CLEAN))
    for name in ("ventes-files", "ventes-rows"):
        log.transactions.pop(name)
    assert not log.edited
    assert log.missing_rows == 0
    rows = bronze_rows(random_sales(1, 1, 0, 1))
    assert rows.num_rows == 1
