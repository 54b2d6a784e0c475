"""Kafka messages → Bronze's Parquet files, written by Spark's Python workers.

Spark reads the topic in tasks and keeps the offsets; each task judges its messages with the same code as the embedded
engine (judging/judge_batch.py, DuckDB) and writes them; the driver commits the files of all tasks. Measured with
500,000 sales on 2 cores, including Kafka's source: 11 µs of CPU per message; with the verdict in Spark SQL and Delta's
own writer 26 µs, and 40 µs in a new JVM, which must compile that code first.

A task gets the stream from the driver, pickled: the file that declares it need not be where the task runs.

A task that fails or runs twice leaves at most files that no commit names; they are vacuumed later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ventes.config import Settings
from ventes.contract.tables import of_stream
from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.engines.spark import write_files
from ventes.engines.spark.task_lake import TaskLake
from ventes.engines.spark.write_files import FILE_BYTES, gathered
from ventes.judging.judge_batch import judge_messages
from ventes.judging.messages import RAW
from ventes.judging.verdict import Judging

JUDGE_ROWS, JUDGE_BYTES = 16_384, 8_000_000
"""Messages judged at a time; larger values were not faster."""
_BROKERS_TIME = "CASE WHEN timestampType = 1 THEN timestamp END"  # 1: LogAppendTime
_NO_HEADERS = "CAST(NULL AS ARRAY<STRUCT<key: STRING, value: BINARY>>)"


def write(messages: DataFrame, topic_id: str, settings: Settings, ingested_at: datetime) -> list[DataFile]:
    """Write the messages as Bronze rows; returns the files, durable and not committed yet.

    `messages` has the columns of Spark's Kafka source: key, value, partition, offset, timestamp, and headers if they
    were asked for. `ingested_at` (aware) becomes date_ingestion. Workers must have the lake at the same path, unless it
    is on an object store. Raises what a task raised about that: StoreUnavailable, StoreRefused.
    """
    lake = TaskLake.of(settings, messages.sparkSession.sparkContext)
    task = partial(_write_part, Judging.of(settings), lake, settings.bronze, settings.embedded.memory_mb, ingested_at)
    try:
        rows = as_raw(messages, topic_id).mapInArrow(task, write_files.NAMED).collect()
    except (PySparkException, Py4JError) as error:
        if told := lake.told(str(error)):
            raise told from None
        raise
    return write_files.named(rows)


def as_raw(messages: DataFrame, topic_id: str) -> DataFrame:
    """The columns of the embedded engine's RAW, from those of Spark's Kafka source."""
    raw = messages.withColumn("topic_id", F.lit(topic_id)).withColumn("kafka_ts", F.expr(_BROKERS_TIME))
    if "headers" not in raw.columns:
        raw = raw.withColumn("headers", F.expr(_NO_HEADERS))
    return raw.select(RAW.names)


def _write_part(
    judging: Judging,
    lake: TaskLake,
    bronze: Path,
    memory_mb: int,
    ingested_at: datetime,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """One task: writes its messages, returns the names and statistics of its files."""
    bronze, table = lake.here(bronze), of_stream(judging.stream).bronze
    with connect(memory_mb, threads=1) as con:  # one thread: each other core runs its own task
        messages = gathered((pa.Table.from_batches([batch]) for batch in batches), JUDGE_BYTES, JUDGE_ROWS)
        rows = gathered((judge_messages(con, raw.cast(RAW), judging, ingested_at) for raw in messages), FILE_BYTES)
        files = (lake.uploaded(bronze, data_files.write(bronze, table, some)) for some in rows)
        yield write_files.written(files)
