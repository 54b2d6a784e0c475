"""Commits are complete or absent, idempotent, and no writer overwrites another; readers see one complete version."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from harness.shipped import BRONZE
from harness.silver_engine import bronze_rows
from harness.silver_run import settings_of
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot, TableMissing, VersionGone, Watcher
from ventes.errors import LakeDamaged
from ventes.lake import tables


@pytest.fixture
def bronze(tmp_path: Path) -> Path:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    return settings.bronze


def add(target: Any, offset: int, count: int = 1) -> int | None:
    rows = bronze_rows([{"offset": offset + n} for n in range(count)])
    log = target if isinstance(target, Log) else Log.open(target)
    return commit.append(log, BRONZE, rows, "job", offset)


def test_a_transaction_is_committed_once(bronze: Path) -> None:
    assert add(bronze, 5) == 1
    assert add(bronze, 5) is None
    assert add(bronze, 4) is None  # an older one of the same application
    assert Snapshot.open(bronze, BRONZE).rows == 1


def test_no_rows_still_record_the_transaction(bronze: Path) -> None:
    commit.append(Log.open(bronze), BRONZE, BRONZE.schema.empty_table(), "job", 3)
    assert Snapshot.open(bronze, BRONZE).transactions["job"] == 3
    assert DeltaTable(bronze).transaction_version("job") == 3


def test_a_commit_that_came_between_is_kept(bronze: Path) -> None:
    log = Log.open(bronze)
    write_deltalake(bronze, bronze_rows([{"offset": 100}]), mode="append")
    assert log.commit([], "WRITE") == 2
    assert len(log.files) == 1


def test_a_file_removed_by_another_writer_stops_the_commit(bronze: Path) -> None:
    add(bronze, 0)
    log = Log.open(bronze)
    (file,) = log.files.values()
    DeltaTable(bronze).delete()
    with pytest.raises(LakeDamaged, match="another writer removed"):
        log.commit([file.remove(True)], "MERGE")


def test_writers_in_several_threads_lose_nothing(bronze: Path) -> None:
    def write(thread: int) -> None:
        log = Log.open(bronze)
        for number in range(10):
            rows = bronze_rows([{"offset": thread * 10 + number}])
            commit.append(log, BRONZE, rows, f"job-{thread}", number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Snapshot.open(bronze, BRONZE).rows == 40
    assert DeltaTable(bronze).version() == 40


def test_the_state_is_the_same_from_a_checkpoint(bronze: Path) -> None:
    for offset in range(5):
        add(bronze, offset)
    followed = Log.open(bronze)
    DeltaTable(bronze).create_checkpoint()
    add(bronze, 5)
    for old in range(5):
        (bronze / "_delta_log" / f"{old:020d}.json").unlink()
    opened = Log.open(bronze)
    followed.refresh()
    assert opened.files == followed.files
    assert opened.transactions == followed.transactions
    assert opened.version == followed.version == 6
    with pytest.raises(VersionGone):
        Log.open(bronze, version=2)


def test_an_empty_or_truncated_commit_is_reported(bronze: Path) -> None:
    for content, message in ((b"", "00001.json is empty"), (b'{"add":', "not valid JSON")):
        (bronze / "_delta_log" / f"{1:020d}.json").write_bytes(content)
        with pytest.raises(LakeDamaged, match=message):
            Log.open(bronze)


def test_a_table_that_needs_a_newer_reader_is_refused(bronze: Path) -> None:
    text = '{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"]}}'
    (bronze / "_delta_log" / f"{1:020d}.json").write_text(text)
    with pytest.raises(LakeDamaged, match="table feature 'deletionVectors'"):
        Log.open(bronze)


def test_a_watcher_gives_the_same_snapshot_until_something_is_committed(bronze: Path) -> None:
    watcher = Watcher(bronze, BRONZE)
    first = watcher.latest()
    assert watcher.latest() is first
    add(bronze, 0)
    assert watcher.latest().rows == 1
    assert first.rows == 0


def test_a_watcher_detects_a_table_deleted_and_created_again(bronze: Path, tmp_path: Path) -> None:
    watcher = Watcher(bronze, BRONZE)
    add(bronze, 0)
    assert watcher.latest().rows == 1
    bronze.rename(tmp_path / "away")
    with pytest.raises(TableMissing):
        watcher.latest()
    tables.ensure(settings_of(tmp_path), BRONZE)
    add(bronze, 7, count=3)
    assert watcher.latest().rows == 3


def test_as_of_finds_the_version_of_a_moment(bronze: Path) -> None:
    moments = []
    for offset in range(4):
        add(bronze, offset)
        time.sleep(0.01)  # file times tell the versions apart
        moments.append(datetime.now(timezone.utc))
    for index, moment in enumerate(moments):
        assert Snapshot.open(bronze, BRONZE, as_of=moment).rows == index + 1
    with pytest.raises(VersionGone):
        Snapshot.open(bronze, BRONZE, as_of=moments[0] - timedelta(days=1))
    assert Snapshot.open(bronze, BRONZE, version=2).rows == 2


def test_a_view_has_the_contracts_columns_and_leaves_out_files(bronze: Path) -> None:
    add(bronze, 0)
    add(bronze, 10)
    snapshot = Snapshot.open(bronze, BRONZE)
    with connect() as con:
        snapshot.view(con, "bronze_data", keep=lambda file: (file.bounds("offset") or (0, 0))[0] >= 10)
        assert con.sql('SELECT "offset" FROM bronze_data').fetchall() == [(10,)]
        assert con.table("bronze_data").columns == BRONZE.schema.names
        snapshot.view(con, "bronze_data", keep=lambda file: False)
        assert con.sql("SELECT * FROM bronze_data").to_arrow_table().schema.names == BRONZE.schema.names


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TableMissing):
        Snapshot.open(tmp_path / "nothing", BRONZE)
