"""Parquet files of a table, written by Spark's Python workers.

The driver commits the files of all tasks in one append of deltalog.commit. Delta's own writer took twice the CPU for
Bronze's rows, does not fsync, and its commit can have only one transaction.

A task that fails or runs twice leaves at most files that no commit names; they are vacuumed later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pyarrow as pa
from pyspark.sql import Row

from ventes.deltalog.actions import DataFile

FILE_BYTES = 64_000_000
"""Size of rows collected before writing: a task's 50,000 sales, so that it makes one file per day, or few large
messages."""
NAMED = "file string"
"""The result of a writing task: a row for each file."""


def gathered(parts: Iterator[pa.Table], enough_bytes: int, enough_rows: int | None = None) -> Iterator[pa.Table]:
    """The parts, concatenated until they are large enough; the last ones may be smaller."""
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


def written(files: Iterator[list[DataFile]]) -> pa.RecordBatch:
    """Names and statistics of files, as rows for the driver."""
    texts = [json.dumps(asdict(file)) for some in files for file in some]
    return pa.RecordBatch.from_pydict({"file": pa.array(texts, pa.string())})


def named(rows: list[Row]) -> list[DataFile]:
    """The files that `written` described."""
    return [DataFile(**json.loads(row["file"])) for row in rows]
