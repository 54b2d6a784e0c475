"""Delta logs and table folders damaged or replaced: what is said, and that following it loses and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harness import sample_lake
from harness.silver_run import run
from tests.unit.test_silver_loop import assert_exact
from ventes.check.doctor import lake as doctor
from ventes.check.doctor.finding import Finding
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.contract.tables import BRONZE, CLEAN, PAR_PAYS, REJETS
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper

Harm = Callable[[Path], object]


def empty(file: Path) -> None:
    file.write_bytes(b"")


def half(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def garbage(file: Path) -> None:
    file.write_bytes(b"\0garbage" * 9)


def missing(file: Path) -> None:
    file.unlink()


def last_commit(path: Path) -> Path:
    return max(path.glob("_delta_log/*.json"), key=lambda file: file.name)


# -- the last commit --------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Settings:
    """A lake of three lots with rejected sales in each."""
    settings = sample_lake.settings_at(tmp_path)
    tables.ensure(settings, BRONZE)
    for _ in range(3):
        take_messages(settings)
    return settings


def take_messages(settings: Settings, count: int = 60) -> None:
    """More messages in Bronze, a third of them rejected, and a lot of them in Silver."""
    first, now = sample_lake.next_offset(settings), datetime.now(timezone.utc)
    rows = sample_lake.messages(first, count, now, sample_lake.Shape(bad_percent=30))
    commit.append(Log.open(settings.bronze), BRONZE, rows, "test", first + 1)
    assert run(settings) == 0


def finding(settings: Settings, table: Table, *, repair: bool = False) -> Finding:
    found = doctor.findings(settings, repair)
    return next(one for one in found if one.name == f"table {table.name}")


def assert_whole(settings: Settings) -> None:
    assert_exact(settings)
    report = Verification(settings, read_topic=False).run()
    assert report.ok, [check.line() for check in report.checks if not check.ok]


@pytest.mark.parametrize("table", [CLEAN, REJETS, PAR_PAYS], ids=lambda table: table.name)
@pytest.mark.parametrize("harm", [empty, half, missing])
def test_the_last_commit_of_a_silver_table(lake: Settings, table: Table, harm: Harm) -> None:
    """Named before anything is written; the steps that are printed make Silver exact again."""
    path = path_of(lake, table)
    before = {one.name: Log.open(path_of(lake, one)).version for one in (CLEAN, REJETS, PAR_PAYS) if one is not table}
    torn = last_commit(path)
    harm(torn)
    if harm is not missing:
        with pytest.raises(LakeDamaged, match=r"ventes doctor --repair") as raised:
            run(lake)
        assert str(torn) in str(raised.value)
        found = finding(lake, table)
        assert (found.level, str(torn) in found.cause) == ("bad", True)
        assert "ventes doctor --repair" in found.next_step
        mended = finding(lake, table, repair=True)
        assert "ventes rebuild silver" in mended.next_step
    if table is PAR_PAYS:
        assert run(lake) == 0  # made from ventes_clean
    else:
        with pytest.raises(LakeDamaged, match="ventes rebuild silver"):
            run(lake)
        assert {name: Log.open(lake.silver / name).version for name in before} == before
        assert rebuild(lake, lambda _: None, lambda _: None, Stopper()) is not None
    take_messages(lake)
    assert_whole(lake)


# -- checkpoints of the log -------------------------------------------------------------------

POINTER = "_last_checkpoint"


def points_nowhere(file: Path) -> None:
    file.write_text('{"version":999,"size":1}', encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        (POINTER, empty, False),
        (POINTER, garbage, False),
        (POINTER, points_nowhere, True),
        ("*.checkpoint.parquet", missing, True),
        ("*.checkpoint.parquet", empty, True),
        ("*.checkpoint.parquet", half, True),
        ("*.checkpoint.parquet", garbage, True),
    ],
)
@pytest.mark.parametrize("repair", ["by the job", "by doctor"])
def test_a_checkpoint_that_cannot_be_read_costs_nothing(
    lake: Settings, name: str, harm: Harm, said: bool, repair: str
) -> None:
    """It only repeats what the commits say; yet Spark and deltalake would refuse the table."""
    for table in (BRONZE, CLEAN, PAR_PAYS):
        path = path_of(lake, table)
        whole = DeltaTable(path)
        rows, version = whole.to_pyarrow_table().num_rows, whole.version()
        whole.create_checkpoint()
        (file,) = path.glob(f"_delta_log/{name}")
        harm(file)
        assert tables.snapshot(lake, table).rows == rows  # the page and verify read on
        found = finding(lake, table)
        assert found.level == ("warn" if said or found.level == "warn" else "ok")
        if said:
            assert (found.level, "the commits are all there" in found.cause) == ("warn", True)
            assert "nothing is lost" in found.next_step
        if repair == "by doctor":
            finding(lake, table, repair=True)
        else:
            tables.ensure(lake, table)  # what the table's job begins with
        opened = DeltaTable(path)
        assert (opened.version(), opened.to_pyarrow_table().num_rows) == (version, rows)
        assert finding(lake, table).level == "ok"
    take_messages(lake)
    assert_whole(lake)


def test_a_checkpoint_whose_commits_are_gone_is_damage(lake: Settings) -> None:
    """As after a vacuum of the log: then no older state may pass for the table."""
    path = path_of(lake, CLEAN)
    DeltaTable(path).create_checkpoint()
    last = Log.open(path).version
    for version in range(last):
        (path / "_delta_log" / f"{version:020d}.json").unlink()
    (checkpoint,) = path.glob("_delta_log/*.checkpoint.parquet")
    half(checkpoint)
    with pytest.raises(LakeDamaged, match=f"checkpoint {last} of .* cannot be read"):
        Log.open(path)
    with pytest.raises(LakeDamaged):
        run(lake)
    assert checkpoint.exists()
    found = finding(lake, CLEAN)
    assert (found.level, "ventes rebuild silver" in found.next_step) == ("bad", True)


def test_an_older_checkpoint_does_not_stand_for_a_newer_one_whose_commits_are_gone(lake: Settings) -> None:
    path = path_of(lake, CLEAN)
    DeltaTable(path).create_checkpoint()
    take_messages(lake)
    take_messages(lake)
    DeltaTable(path).create_checkpoint()
    newest = max(path.glob("_delta_log/*.checkpoint.parquet"), key=lambda file: file.name)
    last_commit(path).unlink()
    garbage(newest)
    with pytest.raises(LakeDamaged, match="cannot be read"):
        Log.open(path)
    assert len(Log.open(path, int(newest.name[:20]) - 1).files) > 0  # the past that is whole can be read
