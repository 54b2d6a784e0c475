"""Spark and the lake library share tables: each reads, skips and continues what the other wrote."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from harness.maintaining import maintenance_of
from harness.shipped import BRONZE
from harness.silver_engine import START, bronze_rows, random_sales
from harness.silver_run import settings_of
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.lake import tables
from ventes.lake.positions import positions


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, maintenance={"compact_every": 10})
    tables.ensure(settings, BRONZE)
    return settings


def add(target: Path | Log, offset: int, count: int = 1) -> None:
    sales = [{"offset": offset + n, "timestamp": START + timedelta(microseconds=offset + n)} for n in range(count)]
    log = target if isinstance(target, Log) else Log.open(target)
    commit.append(log, BRONZE, bronze_rows(sales), "job", offset)


def test_spark_reads_every_type_as_it_was_written(settings: Settings, spark: SparkSession) -> None:
    rows = bronze_rows([*random_sales(1, 50), {"offset": 50, "timestamp": None, "montant": None, "motifs": ["empty"]}])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "job", 1)
    read = spark.read.format("delta").load(str(settings.bronze)).orderBy("offset").toArrow()
    assert read.select(BRONZE.schema.names).cast(BRONZE.schema).equals(rows)


def test_statistics_hide_no_row(settings: Settings, spark: SparkSession) -> None:
    """Delta statistics have milliseconds: with a truncated maximum Spark would skip the file that contains it."""
    odd = datetime(2026, 3, 1, 9, 0, 0, 123_999, tzinfo=timezone.utc)
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows([{"offset": 0, "timestamp": odd}]), "job", 1)
    add(settings.bronze, 5)
    table = spark.read.format("delta").load(str(settings.bronze))
    assert table.where(F.col("timestamp") == F.lit(odd)).count() == 1
    assert table.where(F.col("offset") == 5).count() == 1
    assert table.where(F.col("topic_id") == "T").count() == 2


def test_spark_appends_after_us_and_we_after_spark(settings: Settings, spark: SparkSession) -> None:
    log = Log.open(settings.bronze)
    add(log, 0, count=3)
    more = spark.createDataFrame(bronze_rows([{"offset": 3}, {"offset": 4}]))
    writer = more.write.format("delta").mode("append")
    writer.option("txnAppId", "spark-job").option("txnVersion", 7).save(str(settings.bronze))
    add(log, 5)
    assert (log.transactions["job"], log.transactions["spark-job"]) == (5, 7)
    assert log.edited  # rows of a foreign writer belong to no lot
    assert positions(settings.bronze) == {("T", 0): 5}
    assert tables.snapshot(settings, BRONZE).rows == 6
    assert spark.read.format("delta").load(str(settings.bronze)).count() == 6


def test_a_stream_sees_each_row_once_through_merges_and_checkpoints(
    settings: Settings, spark: SparkSession, tmp_path: Path
) -> None:
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

    for offset in range(25):
        add(log, offset)
        maintenance.run_due()
    drain()
    for offset in range(25, 50):
        add(log, offset)
        maintenance.run_due()
    drain()
    assert sorted(seen) == list(range(50))
    assert any("OPTIMIZE" in file.read_text() for file in (settings.bronze / "_delta_log").glob("*.json"))
    assert list((settings.bronze / "_delta_log").glob("*.checkpoint.parquet"))


def test_spark_continues_from_its_own_and_from_our_checkpoints(settings: Settings, spark: SparkSession) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    for offset in range(30):
        add(log, offset)
        maintenance.run_due()
    for offset in range(30, 42):  # crosses Spark's checkpoint interval of 10
        spark.createDataFrame(bronze_rows([{"offset": offset}])).write.format("delta").mode("append").save(
            str(settings.bronze)
        )
        maintenance.run_due()
    opened = Log.open(settings.bronze)
    log.refresh()
    assert opened.files == log.files
    assert opened.transactions == log.transactions
    assert tables.snapshot(settings, BRONZE).rows == 42
    assert spark.read.format("delta").load(str(settings.bronze)).count() == 42
