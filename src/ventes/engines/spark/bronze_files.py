"""Kafka messages → Bronze's Parquet files, made by Spark's Python workers where they read.

Spark reads the topic in tasks and keeps the books; each task judges its messages with the same code as the embedded
engine (engines/embedded/judge.py, DuckDB) and writes them; the driver commits what all tasks wrote. Measured with
500,000 sales on 2 cores, Kafka's source included: 11 µs of CPU a message so; with the verdict in Spark SQL and Delta's
own writer 26 µs, and 40 in a fresh JVM, which compiles all of that code anew.

A task that fails or runs twice leaves at most files that no commit names; they are vacuumed later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ventes.config import Settings
from ventes.contract.tables import BRONZE
from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.judging.judge_batch import judge_batch
from ventes.judging.messages import RAW

JUDGE_ROWS, JUDGE_BYTES = 16_384, 8_000_000
"""Messages judged at a time; more was no faster."""
FILE_BYTES = 64_000_000
"""Rows kept until they are written: a task's 50,000 sales, so that it makes one file a day, or few large messages."""
_NO_HEADERS = "CAST(NULL AS ARRAY<STRUCT<key: STRING, value: BINARY>>)"


def write(messages: DataFrame, topic_id: str, settings: Settings, ingested_at: datetime) -> list[DataFile]:
    """Write the messages as Bronze rows; the files, durable and named by no commit yet.

    `messages` has the columns of Spark's Kafka source: key, value, partition, offset, timestamp, and headers if they
    were asked for. `ingested_at` (aware) becomes date_ingestion. Workers see the lake under the same path.
    """
    made = as_raw(messages, topic_id).mapInArrow(partial(_write_part, settings, ingested_at), "file string").collect()
    return [DataFile(**json.loads(row["file"])) for row in made]


def as_raw(messages: DataFrame, topic_id: str) -> DataFrame:
    """The columns of the embedded engine's RAW, from those of Spark's Kafka source."""
    raw = messages.withColumn("topic_id", F.lit(topic_id)).withColumnRenamed("timestamp", "kafka_ts")
    if "headers" not in raw.columns:
        raw = raw.withColumn("headers", F.expr(_NO_HEADERS))
    return raw.select(RAW.names)


def _write_part(
    settings: Settings, ingested_at: datetime, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """One task: its messages in, the names and statistics of its files out."""
    with connect(settings.embedded.memory_mb, threads=1) as con:  # the other cores have tasks of their own
        messages = _gathered((pa.Table.from_batches([batch]) for batch in batches), JUDGE_BYTES, JUDGE_ROWS)
        rows = _gathered((judge_batch(con, raw.cast(RAW), settings, ingested_at) for raw in messages), FILE_BYTES)
        made = [file for some in rows for file in data_files.write(settings.bronze, BRONZE, some)]
    yield pa.RecordBatch.from_pydict({"file": pa.array([json.dumps(asdict(file)) for file in made], pa.string())})


def _gathered(parts: Iterator[pa.Table], enough_bytes: int, enough_rows: int | None = None) -> Iterator[pa.Table]:
    """The parts put together until they are large enough, the last ones as they come."""
    held: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        held.append(part)
        rows, size = rows + part.num_rows, size + part.nbytes
        if size >= enough_bytes or (enough_rows is not None and rows >= enough_rows):
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)
