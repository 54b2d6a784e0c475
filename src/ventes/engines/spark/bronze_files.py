"""Kafka messages → Bronze's Parquet files, written by Spark's Python workers.

Spark reads the topic in tasks and keeps the offsets; each task judges its messages with the same code as the embedded
engine (judging/judge_batch.py, DuckDB) and writes them; the driver commits the files of all tasks. Measured with
500,000 sales on 2 cores, including Kafka's source: 11 µs of CPU per message then, 8 since what a task costs by itself
is less (docs/performance.md); with the verdict in Spark SQL and Delta's own writer 26 µs, and 40 µs in a new JVM, which
must compile that code first.

A task gets the stream from the driver, pickled: the file that declares it need not be where the task runs.

A task that fails or runs twice leaves at most files that no commit names; they are vacuumed later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from ventes.config import Settings
from ventes.contract.tables import of_stream
from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.engines.spark import worker_state, write_files
from ventes.engines.spark.task_lake import TaskLake
from ventes.engines.spark.write_files import FILE_BYTES, gathered
from ventes.judging.judge_batch import judge_messages
from ventes.judging.messages import RAW
from ventes.judging.verdict import Judging

JUDGE_ROWS, JUDGE_BYTES = 25 * 1024, 10_000_000
"""Messages judged at a time: half of a task's 50,000, in the JVM's portions of 1,024. The query costs 10 ms whatever
their number: 2.3 µs of CPU a sale with two parts, 2.9 with parts of 16,384, of which the last has 848."""
_BROKERS_TIME = "CASE WHEN timestampType = 1 THEN timestamp END"  # 1: LogAppendTime
_HEADERS = "ARRAY<STRUCT<key: STRING, value: BINARY>>"
_NO_HEADERS, _EMPTY_HEADERS = f"CAST(NULL AS {_HEADERS})", f"CAST(array() AS {_HEADERS})"


def write(messages: DataFrame, topic_id: str, settings: Settings, ingested_at: datetime) -> list[DataFile]:
    """Write the messages as Bronze rows; returns the files, durable and not committed yet.

    `messages` has the columns of Spark's Kafka source: key, value, partition, offset, timestamp, and headers if they
    were asked for. `ingested_at` (aware) becomes date_ingestion. Workers must have the lake at the same path, unless it
    is on an object store. Raises what a task raised about that: StoreUnavailable, StoreRefused.
    """
    lake = TaskLake.of(settings, messages.sparkSession.sparkContext)
    task = partial(
        _write_part, Judging.of(settings), topic_id, lake, settings.bronze, settings.embedded.memory_mb, ingested_at
    )
    try:
        rows = _for_tasks(messages).mapInArrow(task, write_files.NAMED).collect()
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


def _for_tasks(messages: DataFrame) -> DataFrame:
    """The columns of RAW that the JVM passes on: not the topic, which is the same text in each row, and no list that is
    NULL. Spark asks for the size of its portion at each row, and Arrow then goes through all NULLs of a column of lists
    since the last one that is not: of 1,024 rows without headers that was a third of what the JVM does in a task."""
    raw = messages.withColumn("kafka_ts", F.expr(_BROKERS_TIME))
    headers = f"coalesce(headers, {_EMPTY_HEADERS})" if "headers" in raw.columns else _EMPTY_HEADERS
    return raw.withColumn("headers", F.expr(headers)).select([name for name in RAW.names if name != "topic_id"])


def _as_raw(messages: pa.Table, topic_id: str) -> pa.Table:
    """What `_for_tasks` selected, with the columns and types of RAW."""
    headers = _null_where_empty(messages["headers"])
    messages = messages.set_column(messages.schema.get_field_index("headers"), "headers", headers)
    messages = messages.append_column("topic_id", pa.repeat(topic_id, messages.num_rows))
    return messages.select(RAW.names).cast(RAW)


def _null_where_empty(lists: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """As Spark's source had them: its headers are never an empty list."""
    lengths = pc.list_value_length(lists)
    if not pc.max(lengths).as_py():
        return pa.nulls(len(lists), lists.type)
    return pc.if_else(pc.equal(lengths, 0), pa.scalar(None, lists.type), lists)


def _write_part(
    judging: Judging,
    topic_id: str,
    lake: TaskLake,
    bronze: Path,
    memory_mb: int,
    ingested_at: datetime,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """One task: writes its messages, returns the names and statistics of its files."""
    bronze, table = lake.here(bronze), of_stream(judging.stream).bronze
    with worker_state.database(memory_mb) as con:
        parts = gathered((pa.Table.from_batches([batch]) for batch in batches), JUDGE_BYTES, JUDGE_ROWS)
        judged = (judge_messages(con, _as_raw(part, topic_id), judging, ingested_at) for part in parts)
        rows = gathered(judged, FILE_BYTES)
        files = (lake.uploaded(bronze, data_files.write(bronze, table, some)) for some in rows)
        yield write_files.written(files)
