"""Damaged or replaced Delta logs and table folders: the error, and that its next steps lose and duplicate nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from deltalake import DeltaTable

from harness import sample_lake
from harness.pipeline import Pipeline, sales, wait_for
from harness.shipped import BRONZE, CLEAN, PAR_PAYS, REJETS
from harness.silver_run import run
from tests.unit.test_silver_loop import assert_exact
from ventes import kafka
from ventes.check.doctor import lake as doctor
from ventes.check.doctor.finding import Finding
from ventes.check.verify import Verification
from ventes.config import Settings
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
    """Reported before anything is written; the printed steps make Silver exact again."""
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
    """It only repeats the content of the commits; but Spark and deltalake would refuse the table."""
    for table in (BRONZE, CLEAN, PAR_PAYS):
        path = path_of(lake, table)
        whole = DeltaTable(path)
        rows, version = whole.to_pyarrow_table().num_rows, whole.version()
        whole.create_checkpoint()
        (file,) = path.glob(f"_delta_log/{name}")
        harm(file)
        assert tables.snapshot(lake, table).rows == rows  # the page and verify can still read
        found = finding(lake, table)
        assert found.level == ("warn" if said or found.level == "warn" else "ok")
        if said:
            assert (found.level, "the commits are all there" in found.cause) == ("warn", True)
            assert "nothing is lost" in found.next_step
        if repair == "by doctor":
            finding(lake, table, repair=True)
        else:
            tables.ensure(lake, table)  # the first action of the table's job
        opened = DeltaTable(path)
        assert (opened.version(), opened.to_pyarrow_table().num_rows) == (version, rows)
        assert finding(lake, table).level == "ok"
    take_messages(lake)
    assert_whole(lake)


def test_a_checkpoint_whose_commits_are_gone_is_damage(lake: Settings) -> None:
    """As after a vacuum of the log: then no older state may be used as the table."""
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
    assert len(Log.open(path, int(newest.name[:20]) - 1).files) > 0  # complete earlier versions can be read


# -- under the running pipeline ---------------------------------------------------------------

ENGINES = ["embedded", pytest.param("spark", marks=pytest.mark.long)]


@pytest.fixture(params=ENGINES)
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "pipeline", request.param) as running:
        yield running


@pytest.mark.timeout(280)
def test_the_last_commit_of_bronze(pipeline: Pipeline) -> None:
    """As power loss leaves it. `doctor` says what to do; the rows come from Kafka again."""
    pipeline.start("silver")
    for number, harm in enumerate((missing, half)):
        pipeline.start("bronze")
        pipeline.send(sales(100, 1 + 1000 * number))
        pipeline.catch_up()
        pipeline.send([b"not json"])  # a commit of its own
        pipeline.catch_up()
        assert pipeline.stop("bronze") == 0
        assert pipeline.stop("silver") == 0
        torn = last_commit(pipeline.settings.bronze)
        harm(torn)
        if harm is not missing:
            pipeline.start("bronze")
            assert pipeline.died("bronze") == 3
            beat = pipeline.heartbeat("bronze")
            assert beat is not None
            assert (beat.phase, str(torn) in beat.reason) == ("failed", True)
            assert "ventes doctor --repair" in beat.reason
            said = pipeline.ventes("doctor", code=1)
            assert f"the last commit {torn} is " in said
            said = pipeline.ventes("doctor", "--repair", code=None)
            assert "start the pipeline: it reads the missing rows from Kafka again" in said
        pipeline.start("silver")
    pipeline.start("bronze")
    pipeline.send(sales(10, 10**6))
    pipeline.catch_up()
    pipeline.verify()
    assert pipeline.rows(BRONZE) == 2 * 101 + 10


@pytest.mark.long
@pytest.mark.timeout(280)
def test_folders_deleted_or_replaced_while_they_are_written(pipeline: Pipeline) -> None:
    """The job says so and starts again from what is there; nothing is appended to a table that it does not know."""
    bronze, silver = pipeline.settings.bronze, pipeline.settings.silver
    for job in ("bronze", "silver"):
        pipeline.start(job)
    pipeline.send(sales(50))
    pipeline.catch_up()
    copy = pipeline.folder / "copy"
    shutil.copytree(bronze, copy)
    pipeline.send(sales(50, 1001))
    pipeline.catch_up()

    shutil.rmtree(silver / PAR_PAYS.name)
    pipeline.send([*sales(20, 2001), b"not json"])
    pipeline.catch_up()  # made anew from ventes_clean
    pipeline.verify()

    for table in (CLEAN, REJETS):
        shutil.rmtree(silver / table.name)
        assert pipeline.died("silver") == 3
        beat = pipeline.heartbeat("silver")
        assert beat is not None
        assert "ventes rebuild silver" in beat.reason
        pipeline.ventes("rebuild", "silver", "--yes")
        pipeline.start("silver")
        pipeline.send(sales(10, 3001 if table is CLEAN else 4001))
        pipeline.catch_up()
    pipeline.verify()

    for number, older_self in enumerate((False, True)):
        shutil.rmtree(bronze)
        if older_self:
            shutil.copytree(copy, bronze)
        assert pipeline.died("bronze") == 1
        assert f"{bronze} was deleted, or replaced by another table" in pipeline.log("bronze")
        pipeline.start("bronze")  # as the supervisor does
        pipeline.send(sales(10, 5001 + 1000 * number))
        pipeline.catch_up()
        pipeline.verify()


@pytest.mark.long
@pytest.mark.timeout(280)
def test_a_bronze_of_another_topic_put_in_its_place(pipeline: Pipeline, tmp_path: Path) -> None:
    bronze = pipeline.settings.bronze
    for job in ("bronze", "silver"):
        pipeline.start(job)
    pipeline.send(sales(50))
    pipeline.catch_up()
    other = sample_lake.settings_at(tmp_path / "other")
    sample_lake.make(other, 30, lots=1)
    ours = pipeline.folder / "ours"
    bronze.rename(ours)
    shutil.copytree(other.bronze, bronze)
    before = Log.open(bronze).version
    assert pipeline.died("bronze") == 1
    pipeline.start("bronze")
    assert pipeline.died("bronze") == 3
    beat = pipeline.heartbeat("bronze")
    assert beat is not None
    assert f"Bronze holds {sample_lake.TOPIC}" in beat.reason
    assert pipeline.died("silver") == 3
    beat = pipeline.heartbeat("silver")
    assert beat is not None
    assert "it is another Bronze: put the old one back" in beat.reason
    assert Log.open(bronze).version == before
    shutil.rmtree(bronze)
    ours.rename(bronze)
    for job in ("bronze", "silver"):
        pipeline.start(job)
    pipeline.send(sales(10, 1001))
    pipeline.catch_up()
    pipeline.verify()


@pytest.mark.long
@pytest.mark.timeout(280)
def test_partitions_added_while_sales_come(pipeline: Pipeline) -> None:
    """1 → 3, under both jobs, with a producer that finds the new ones by itself."""
    for job in ("bronze", "silver"):
        pipeline.start(job)
    pipeline.send(sales(50))
    pipeline.catch_up()
    admin = AdminClient(kafka.client_config(pipeline.settings))
    topic = pipeline.settings.topic
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    wait_for(lambda: len(kafka.end_offsets(pipeline.settings)) == 3, "the topic has three partitions")
    for number, partition in enumerate((0, 1, 2, 1)):
        pipeline.send(sales(40, 1001 + 100 * number), partition)
    pipeline.catch_up()
    pipeline.kill("bronze")
    pipeline.send(sales(40, 9001), 2)
    pipeline.start("bronze")
    pipeline.catch_up()
    pipeline.verify()
    assert pipeline.rows(CLEAN) == 50 + 5 * 40
