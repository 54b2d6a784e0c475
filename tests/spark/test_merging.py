"""Files are merged by Spark's tasks, with the rows that the driver would have written."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from harness.pipeline import wait_for
from harness.shipped import BRONZE
from harness.silver_engine import START, bronze_rows
from harness.silver_run import settings_of
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.actions import DataFile
from ventes.deltalog.compaction import MergeHere, mergeable
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import Policy, TableMaintenance
from ventes.engines.spark import merging
from ventes.engines.spark.merging import TaskMerging
from ventes.engines.spark.task_lake import TaskLake
from ventes.lake import tables

DAYS = 3


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def bronze(settings: Settings) -> Log:
    """Four small files for each of three days, so three groups to merge."""
    tables.ensure(settings, BRONZE)
    log = Log.open(settings.bronze)
    for offset in range(4 * DAYS):
        rows = [{"offset": offset, "timestamp": START + timedelta(days=offset % DAYS)}]
        commit.append(log, BRONZE, bronze_rows(rows), "job", offset)
    return log


@pytest.fixture
def by_tasks(spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> TaskMerging:
    monkeypatch.setattr(merging, "TASK_BYTES", 0)
    return TaskMerging(spark.sparkContext, partial(TaskLake.of, settings, spark.sparkContext))


def offsets(log: Log, made: DataFile | str) -> list[int]:
    assert isinstance(made, DataFile), made
    found: list[int] = pq.read_table(log.path / made.path, columns=["offset"])["offset"].to_pylist()
    return found


def groups_of(log: Log) -> list[list[DataFile]]:
    groups = mergeable(log.files.values())
    assert len(groups) == DAYS
    return groups


def test_tasks_write_what_the_driver_would(bronze: Log, by_tasks: TaskMerging) -> None:
    groups = groups_of(bronze)
    there = by_tasks.merge(bronze.path, BRONZE, groups)
    here = MergeHere().merge(bronze.path, BRONZE, groups)
    assert [offsets(bronze, made) for made in there] == [offsets(bronze, made) for made in here]
    assert sorted(offset for made in there for offset in offsets(bronze, made)) == list(range(4 * DAYS))
    for one, other in zip(there, here, strict=True):
        assert isinstance(one, DataFile)
        assert isinstance(other, DataFile)
        assert (one.partition, one.stats) == (other.partition, other.stats)


def test_they_are_committed_like_any_merge(bronze: Log, by_tasks: TaskMerging) -> None:
    maintenance = TableMaintenance(BRONZE, bronze, Policy(1, 3600.0), merging=by_tasks)
    commit.append(bronze, BRONZE, bronze_rows([{"offset": 99, "timestamp": START}]), "job", 99)
    maintenance.run_due()
    maintenance.close()
    assert len(bronze.files) == DAYS
    kept = sorted(offset for file in bronze.files.values() for offset in offsets(bronze, file))
    assert kept == [*range(4 * DAYS), 99]


def test_a_group_with_a_missing_file_does_not_stop_the_others(bronze: Log, by_tasks: TaskMerging) -> None:
    groups = groups_of(bronze)
    (bronze.path / groups[1][0].path).unlink()
    made = by_tasks.merge(bronze.path, BRONZE, groups)
    assert [isinstance(one, DataFile) for one in made] == [True, False, True]
    assert groups[1][0].path in str(made[1])


def test_few_bytes_are_no_work_for_a_task(bronze: Log, spark: SparkSession) -> None:
    def asked() -> TaskLake:
        raise AssertionError("a job of Spark is begun")

    groups: Sequence[Sequence[DataFile]] = groups_of(bronze)
    made = TaskMerging(spark.sparkContext, asked).merge(bronze.path, BRONZE, groups)
    assert sorted(offset for one in made for offset in offsets(bronze, one)) == list(range(4 * DAYS))


@pytest.mark.timeout(120)
def test_a_merge_in_progress_is_ended_by_close(bronze: Log, by_tasks: TaskMerging, spark: SparkSession) -> None:
    """As on a cluster that has lost its workers: the job would wait for ever, and `ventes stop` with it."""
    groups = groups_of(bronze)
    stuck = bronze.path / groups[0][0].path
    stuck.unlink()
    os.mkfifo(stuck)  # who opens it waits
    results: list[list[DataFile | str]] = []
    merge = threading.Thread(target=lambda: results.append(by_tasks.merge(bronze.path, BRONZE, groups)))
    merge.start()
    try:
        tracker = spark.sparkContext.statusTracker()
        wait_for(tracker.getActiveJobsIds, "the job of the merge runs")
        by_tasks.close()
        merge.join(60)
        assert not merge.is_alive()
    finally:
        writer = os.open(stuck, os.O_RDWR)  # whoever still waits is let go
        merge.join(30)
        os.close(writer)
    assert [isinstance(made, str) for made in results[0]] == [True] * DAYS
    assert "cancelled" in str(results[0][0])
