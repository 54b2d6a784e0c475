"""A user's own Spark on our tables: what it can read and change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from harness.maintaining import maintenance_of
from harness.shipped import BRONZE
from harness.silver_engine import bronze_rows
from harness.silver_run import settings_of
from tests.spark.test_lake import add
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.deltalog.vacuum import Vacuum
from ventes.errors import LakeDamaged
from ventes.lake import tables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, maintenance={"compact_every": 10})
    tables.ensure(settings, BRONZE)
    return settings


def aged(table: Path, seconds: float) -> None:
    """Make every commit of the table older by this duration."""
    for file in (table / "_delta_log").glob("*.json"):
        when = file.stat().st_mtime - seconds
        os.utime(file, (when, when))


def offsets(spark: SparkSession, table: Path, **options: object) -> list[int]:
    reader = spark.read.format("delta")
    for name, value in options.items():
        reader = reader.option(name, str(value))
    return sorted(row["offset"] for row in reader.load(str(table)).select("offset").collect())


def test_spark_reads_the_past_as_deltalake_does(settings: Settings, spark: SparkSession) -> None:
    log = Log.open(settings.bronze)
    for offset in range(4):
        add(log, offset)
    aged(settings.bronze, 30 * 60)
    for version in range(1, 5):
        past = DeltaTable(settings.bronze, version=version).to_pyarrow_table()["offset"].to_pylist()
        assert offsets(spark, settings.bronze, versionAsOf=version) == sorted(past) == list(range(version))


def test_a_table_of_an_older_release_keeps_its_history_too(settings: Settings, spark: SparkSession) -> None:
    table = DeltaTable(settings.bronze)
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 5 minutes"})
    tables.ensure(settings, BRONZE)
    kept = DeltaTable(settings.bronze).metadata().configuration["delta.deletedFileRetentionDuration"]
    assert kept == f"interval {60 * settings.maintenance.history_hours:.0f} minutes"
    version = DeltaTable(settings.bronze).version()
    tables.ensure(settings, BRONZE)  # and only once
    assert DeltaTable(settings.bronze).version() == version
    log = Log.open(settings.bronze)
    add(log, 0)
    add(log, 1)
    aged(settings.bronze, 30 * 60)
    assert offsets(spark, settings.bronze, versionAsOf=log.version - 1) == [0]


def test_a_stream_that_was_down_gets_each_row_once(settings: Settings, spark: SparkSession, tmp_path: Path) -> None:
    """Files were merged within one minute, and the vacuum ran a quarter of an hour later."""
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    seen: list[int] = []

    def drain() -> None:
        query = (
            spark.readStream.format("delta")
            .load(str(settings.bronze))
            .writeStream.foreachBatch(lambda rows, _: seen.extend(row["offset"] for row in rows.collect()))
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination(60)
        assert query.exception() is None

    add(log, 0)
    drain()
    for offset in range(1, 45):
        add(log, offset)
        maintenance.run_due()
    assert len(log.files) < 15, "nothing was merged"
    later = time.time() + 15 * 60
    Vacuum(log.path, settings.maintenance.history_hours * 3600, now=lambda: later).run(set(log.files))
    drain()
    assert sorted(seen) == list(range(45))


def test_no_checksum_of_spark_is_left_beside_our_pointer(settings: Settings, spark: SparkSession) -> None:
    folder = settings.bronze / "_delta_log"
    for offset in range(12):  # crosses Spark's checkpoint interval of 10
        rows = spark.createDataFrame(bronze_rows([{"offset": offset}]))
        rows.write.format("delta").mode("append").save(str(settings.bronze))
    assert (folder / "._last_checkpoint.crc").exists(), "Spark wrote no checksum: this shows nothing"
    maintenance = maintenance_of(settings, BRONZE, Log.open(settings.bronze))
    maintenance._checkpoint()
    assert not (folder / "._last_checkpoint.crc").exists()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    assert offsets(spark, settings.bronze) == list(range(12))


FEATURES = {
    "CHECK constraint 'positive'": "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (offset >= 0)",
    "appendOnly": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.appendOnly' = 'true')",
    "change data feed": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "inCommitTimestamp": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')",
    "rowTracking": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
    "deletionVectors": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
    "columnMapping": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name',"
    " 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')",
    "typeWidening": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
    "v2Checkpoint": "ALTER TABLE {t} SET TBLPROPERTIES ('delta.checkpointPolicy' = 'v2')",
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_that_we_do_not_keep_is_refused_by_name_before_any_commit(
    settings: Settings, spark: SparkSession, feature: str
) -> None:
    followed = Log.open(settings.bronze)
    add(followed, 0)
    spark.sql(FEATURES[feature].format(t=f"delta.`{settings.bronze}`"))
    version = DeltaTable(settings.bronze).version()
    named = feature if feature != "columnMapping" else "reader version 2|columnMapping|column mapping"
    for attempt in (
        lambda: commit.append(followed, BRONZE, bronze_rows([{"offset": 1}]), "job", 1),
        lambda: tables.ensure(settings, BRONZE),
        lambda: add(settings.bronze, 1),
    ):
        with pytest.raises(LakeDamaged, match=named):
            attempt()
    assert DeltaTable.is_deltatable(str(settings.bronze))
    assert max(int(f.name[:20]) for f in (settings.bronze / "_delta_log").glob("*.json")) == version
