"""Silver over a lake on S3: exact, wherever it is killed, and seen from a machine that has nothing of it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harness.object_store import Proxy, client, environment
from harness.shipped import BRONZE, CLEAN, ROLLUPS
from harness.silver_run import killed_at, rows_of, run, settings_of
from tests.unit.test_silver_loop import assert_exact, fill_bronze
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log, OutcomeUnknown, TableReplaced, VersionGone
from ventes.deltalog.table import Table
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import LakeDamaged, StoreUnavailable
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.store import mirror_log, places
from ventes.store.mirror import Mirror

IN_CI = ["silver.after_rejets", f"silver.after_rollup.{ROLLUPS[0].name}"]
POINTS = ["silver.before_rejets", "silver.after_clean", "silver.after_lot", "silver.after_publication"]
POINTS += [*(f"silver.after_rollup.{table.name}" for table in ROLLUPS[1:]), "store.uploaded", "store.published"]


@pytest.fixture
def settings(tmp_path: Path, bucket: str) -> Settings:
    settings = settings_of(tmp_path, f"{bucket}/lake", store={"poll_seconds": 3600})  # a writer need not ask
    tables.ensure(settings, BRONZE)
    return settings


def mirror_of(settings: Settings) -> Mirror:
    mirror = places.of(settings.lake)
    assert mirror is not None
    return mirror


def elsewhere(settings: Settings, tmp_path: Path, name: str = "elsewhere") -> Settings:
    """The same lake as another machine sees it, which has read nothing of it yet."""
    return settings_of(tmp_path / name, str(settings.paths.lake), store={"poll_seconds": 0.01})


def test_it_is_exact_and_another_machine_sees_the_same(settings: Settings, tmp_path: Path) -> None:
    far = elsewhere(settings, tmp_path)
    for batch in range(2):
        fill_bronze(settings, seed=batch, count=150, first=batch * 150)
        assert run(settings) == 0
        assert_exact(far)
    keys = client(os.environ["AWS_ENDPOINT_URL"]).list_objects_v2(Bucket=str(settings.paths.lake).split("/")[2])
    names = [one["Key"].split("/") for one in keys["Contents"]]
    assert {name[0] for name in names} == {"lake"}
    assert {name[1] for name in names} == {"bronze", "silver", "locks"}
    assert not [name for name in names if "_ids" in name or name[-1].endswith(".tmp")]


def test_the_mirror_may_be_deleted_at_any_time(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    for path in sorted(settings.lake.rglob("*.parquet"))[::2]:
        path.unlink()
    for path in sorted(settings.lake.rglob("part-*.parquet"))[::3]:
        path.write_bytes(b"PAR1")
    assert_exact(settings)
    subprocess.run(["rm", "-r", settings.lake], check=True)
    fill_bronze(settings, seed=3, count=50, first=300)
    assert run(settings, make_engine=EmbeddedSilver) == 0
    assert_exact(settings)


@pytest.mark.parametrize("point", [*IN_CI, *(pytest.param(point, marks=pytest.mark.long) for point in POINTS)])
def test_killed_anywhere_it_continues_exactly(settings: Settings, tmp_path: Path, point: str) -> None:
    fill_bronze(settings)
    killed_at(point, tmp_path, "at-once", str(settings.paths.lake))
    assert run(settings) == 0
    assert_exact(elsewhere(settings, tmp_path))


def test_a_lot_asks_the_store_for_no_more_than_it_needs(settings: Settings, through: Proxy) -> None:
    go_through(settings)
    fill_bronze(settings, count=100)
    run(settings, max_rows=100)
    through.asked.clear()
    fill_bronze(settings, seed=2, count=100, first=100)
    before = Log.open(path_of(settings, CLEAN)).version
    run(settings, max_rows=10)
    lots = Log.open(path_of(settings, CLEAN)).version - before
    assert lots == 10
    asked = Counter(method for method, path in through.asked if f"/{CLEAN.name}/" in path)
    assert asked["PUT"] <= 4 * lots  # a file for each of up to three days, and the commit
    assert asked["HEAD"] <= lots + 2  # before each commit: is it still the same table
    assert asked["GET"] <= 6  # when it was opened
    assert not [path for method, path in through.asked if method == "GET" and path.endswith(".parquet")]


def go_through(settings: Settings) -> None:
    """Open the store anew: the client of before does not go through the proxy."""
    vars(mirror_of(settings)).pop("store", None)


# -- commits whose outcome is not known -------------------------------------------------------------


def test_a_commit_whose_answer_was_lost_is_not_made_twice(settings: Settings, through: Proxy) -> None:
    fill_bronze(settings)
    lost: list[str] = []

    def once_per_commit(method: str, path: str) -> bool:
        found = method == "PUT" and "_delta_log" in path and path.endswith(".json") and path not in lost
        if found:
            lost.append(path)
        return found

    go_through(settings)
    through.weather.swallows = once_per_commit
    assert run(settings) == 0
    assert len(lost) > 10
    through.weather.swallows = lambda method, path: False
    assert_exact(settings)


def test_a_commit_that_lands_after_its_error_sends_the_job_back_to_the_tables(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log.open(settings.bronze)
    mirror = mirror_of(settings)
    create, landed = mirror.store.create, []

    def lands_late(key: str, data: bytes) -> None:
        landed.append((key, data))
        raise StoreUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(mirror.store, "create", lands_late)
        with pytest.raises(StoreUnavailable):
            commit.append_files(log, [], {"test:0": 5})
    create(*landed[0])
    with pytest.raises(OutcomeUnknown, match="succeeded although"):
        commit.append_files(log, [], {"test:0": 5})
    assert Log.open(settings.bronze).transactions["test:0"] == 5


# -- other writers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [BRONZE, CLEAN, ROLLUPS[0]], ids=lambda table: table.name)
def test_of_two_writers_of_a_version_one_is_refused(settings: Settings, tmp_path: Path, table: Table) -> None:
    fill_bronze(settings, count=20)
    run(settings)
    far = elsewhere(settings, tmp_path)
    here, there = Log.open(path_of(settings, table)), Log.open(path_of(far, table))
    commit.append_files(there, [], {"job": 1})
    with pytest.raises(LakeDamaged, match="another writer committed job 1"):
        commit.append_files(here, [], {"job": 1})
    commit.append_files(here, [], {"other": 1})  # not the same work: it follows
    assert Log.open(path_of(settings, table)).transactions.items() >= {"job": 1, "other": 1}.items()
    there.refresh(now=True)
    assert there.version == here.version


def test_a_table_that_was_made_again_elsewhere_is_noticed(settings: Settings, tmp_path: Path) -> None:
    fill_bronze(settings, count=30)
    far = elsewhere(settings, tmp_path)
    here = Log.open(settings.bronze)
    mirror = mirror_of(far)
    mirror.store.delete([one.key for one in mirror.store.list("bronze/")])
    with pytest.raises(TableReplaced):
        commit.append_files(here, [], {"job": 1})
    mirror_log.drop(mirror, far.bronze)
    tables.ensure(far, BRONZE)
    assert Log.open(settings.bronze).metadata["id"] == Log.open(far.bronze).metadata["id"] != here.metadata["id"]


def test_an_earlier_version_is_read_on_a_machine_that_has_none(settings: Settings, tmp_path: Path) -> None:
    for number in range(25):
        commit.append_files(Log.open(settings.bronze), [], {"job": number})
    table = DeltaTable(settings.bronze)
    table.create_checkpoint()
    mirror_log.publish_checkpoint(mirror_of(settings), settings.bronze)
    far = elsewhere(settings, tmp_path)
    assert Log.open(far.bronze).version == 25
    assert mirror_log.newest(far.bronze) == 25
    assert len(list((far.bronze / "_delta_log").glob("*.json"))) == 1  # the checkpoint stands for the others
    assert Log.open(far.bronze, 7).transactions["job"] == 6
    with pytest.raises(VersionGone):
        Log.open(far.bronze, 26)


def test_deltalake_reads_the_lake_on_the_store(settings: Settings) -> None:
    fill_bronze(settings, count=40)
    run(settings)
    options = {**environment(os.environ["AWS_ENDPOINT_URL"]), "AWS_ALLOW_HTTP": "true"}
    theirs = DeltaTable(mirror_of(settings).place(path_of(settings, CLEAN)), storage_options=options)
    assert theirs.to_pyarrow_table().num_rows == len(rows_of(settings, CLEAN))
