"""Spark's workers write the same Bronze rows as the embedded engine, for the same messages."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.functions import lit

from harness.corpus import ARRIVAL, load
from harness.messages import VERDICT, assert_same_rows, damaged, expected, raw_table, valid
from ventes.config import Settings
from ventes.contract.tables import HEADERS, of
from ventes.deltalog.log import Log
from ventes.engines.spark import bronze_files
from ventes.judging.judge_batch import judge_batch
from ventes.lake import tables

INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
ZONES = {"UTC": ("UTC", "UTC"), "Paris": ("Europe/Paris",) * 2, "New York": ("Asia/Kathmandu", "America/New_York")}


@pytest.fixture(params=ZONES)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    source, rules = ZONES[request.param]
    places = {"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "logs"}
    return Settings(source={"time_zone": source}, rules={"time_zone": rules}, paths=places)


def kafka_rows(spark: SparkSession, raw: pa.Table) -> DataFrame:
    """A frame with the columns of Spark's Kafka source."""
    columns = ["key", "value", "partition", "offset", "kafka_ts", "headers"]
    frame = spark.createDataFrame(raw.select(columns)).withColumnRenamed("kafka_ts", "timestamp")
    return frame.withColumn("timestampType", F.lit(1))  # LogAppendTime


def written(frame: DataFrame, settings: Settings) -> pa.Table:
    """The rows of Bronze after the frame's files are committed."""
    bronze = of(settings).bronze
    tables.ensure(settings, bronze)
    log = Log.open(settings.bronze)
    log.commit([file.add(True) for file in bronze_files.write(frame, "topic-1", settings, INGESTED)], "WRITE")
    return tables.snapshot(settings, bronze).arrow().select(bronze.schema.names).cast(bronze.schema).sort_by("offset")


def test_corpus_and_seeded_damage(spark: SparkSession, config: Settings) -> None:
    rng = random.Random(f"spark {config.source.time_zone}")
    values = [event.value for event in load()] + damaged(rng, 6_000) + valid(rng, 2_000)
    raw = raw_table(values)

    ours = written(kafka_rows(spark, raw).repartition(2), config)

    with duckdb.connect() as con:
        assert_same_rows(ours, judge_batch(con, raw, config, INGESTED), values)
    assert_same_rows(ours.select(VERDICT.names), expected(raw, config), values)
    if config.source.time_zone == "UTC":
        for event, row in zip(load(), ours["motifs"].to_pylist(), strict=False):
            if event.default_zones and event.kafka_ts == ARRIVAL:
                assert tuple(row) == event.motifs, event.name


def test_headers_and_key_may_be_missing_and_tasks_empty(spark: SparkSession, tmp_path: Path) -> None:
    settings = Settings(paths={"lake": tmp_path / "lake"})
    frame = kafka_rows(spark, raw_table([None, b"{}"])).drop("headers").withColumn("key", lit(None).cast("binary"))
    rows = written(frame.repartition(5), settings).to_pylist()
    assert [(row["key"], row["headers"], row["motifs"][0]) for row in rows] == [
        (None, None, "empty"),
        (None, None, "missing:categorie"),
    ]


def test_large_messages_go_to_several_files_and_none_is_lost(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(paths={"lake": tmp_path / "lake"})
    values: list[bytes | None] = [bytes([65 + number % 26]) * 3_000_000 for number in range(30)]
    frame = kafka_rows(spark, raw_table(values)).coalesce(1)

    rows = written(frame, settings)

    assert rows["value"].to_pylist() == values
    assert len(Log.open(settings.bronze).files) == 2, "of 64 MB at most"


def test_tasks_need_no_file_that_declares_the_stream(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "essai.py"
    file.write_text(
        "from ventes.stream import *\n"
        'fields = (Text("ref"), Instant("at"), Integer("n", path="o.n", optional=True))\n'
        'rules = (Rule("odd", "n % 2 = 0", "It is odd."),)\n'
        'STREAM = Stream("essai", "essai", Event("ref", "at", fields), rules=rules)\n'
    )
    settings = Settings(stream=file, paths={"lake": tmp_path / "lake"})
    assert settings.stream.name == "essai"
    file.unlink()
    values: list[bytes | None] = [
        b'{"ref": "a", "at": "2026-01-05T09:00:00Z", "o": {"n": 2}}',
        b'{"ref": "b", "at": "2026-01-05T09:00:00Z", "o": {"n": 3}}',
        b'{"ref": "c", "at": "2026-01-05T09:00:00Z"}',
    ]
    rows = written(kafka_rows(spark, raw_table(values)).repartition(2), settings).to_pylist()
    assert [(row["ref"], row["n"], row["motifs"]) for row in rows] == [("a", 2, []), ("b", 3, ["odd"]), ("c", None, [])]


@pytest.mark.parametrize("tasks", [1, 4])  # one with and without headers; some without any
def test_headers_arrive_as_they_were_sent(spark: SparkSession, tmp_path: Path, tasks: int) -> None:
    settings = Settings(paths={"lake": tmp_path / "lake"})
    sent = [None, [{"key": "a", "value": b"\xff\x00"}], [{"key": "", "value": None}, {"key": "é", "value": b""}], None]
    raw = raw_table([b"{}"] * 4)
    place = raw.schema.get_field_index("headers")
    raw = raw.set_column(place, raw.schema.field(place), pa.array(sent, HEADERS))
    frame = kafka_rows(spark, raw).repartitionByRange(tasks, "offset")
    assert [row["headers"] for row in written(frame, settings).to_pylist()] == sent
