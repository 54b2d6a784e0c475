"""Kafka messages → Bronze rows, in DuckDB: computes the verdict of each message.

Messages that SQL proves to be valid events are converted there (judging/fast_path.py); every other message goes
through `judging.verdict.Judge`. The stream's own rules come last, for all messages alike (judging/rules.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract import tables
from ventes.judging import fast_path, rules
from ventes.judging.judge_rows import columns_of, judge_rows
from ventes.judging.verdict import FRAME_BYTES, Judging
from ventes.stream.declaration import Stream

_BATCH = 2048
"""Rows per DuckDB task, DuckDB's own row group size; it never splits an Arrow batch."""
_MANY = 5_000
"""From this many messages DuckDB builds the Arrow table itself (`sql`), with both threads: 120 ms for 100,000 messages
instead of 190. Below it the result is a stream (`execute`): one thread, but planned only once, which saves 2 ms."""
FEW = 100
"""Up to this many messages, judging one by one (24 µs each) is faster than planning the DuckDB query (8 ms)."""


def judge_batch(
    con: duckdb.DuckDBPyConnection, raw: pa.Table, settings: Settings, ingested_at: datetime, few: int = FEW
) -> pa.Table:
    """`judge_messages` for the stream and the zones of the settings."""
    return judge_messages(con, raw, Judging.of(settings), ingested_at, few)


def judge_messages(
    con: duckdb.DuckDBPyConnection, raw: pa.Table, judging: Judging, ingested_at: datetime, few: int = FEW
) -> pa.Table:
    """Messages as Bronze rows, in the same order, with exactly the schema of the stream's Bronze table.

    `raw` has the columns of judging.messages.RAW. Where kafka_ts is NULL the message arrived at `ingested_at`: the
    sender sets the time of a record unless the topic has LogAppendTime. `con` must not be used elsewhere meanwhile;
    `ingested_at` (aware) becomes date_ingestion. Up to `few` messages are judged without the fast path.
    """
    raw = _arrived(raw, ingested_at)
    bronze = tables.of_stream(judging.stream).bronze
    query = fast_path.query(judging, ingested_at.year) if raw.num_rows > few else None
    columns = _one_by_one(raw, judging) if query is None else _mostly_fast(con, raw, judging, query)
    columns = rules.apply(con, judging.stream, columns)
    stamped = pa.array([ingested_at], bronze.schema.field("date_ingestion").type)
    columns["date_ingestion"] = stamped.take(pa.array(np.zeros(raw.num_rows, dtype=np.int8)))
    for name in ("topic_id", "partition", "offset", "kafka_ts", "key", "value", "headers"):
        columns[name] = raw[name]
    return pa.table([columns[field.name] for field in bronze.schema], schema=bronze.schema)


def _arrived(raw: pa.Table, ingested_at: datetime) -> pa.Table:
    times = raw["kafka_ts"]
    if not times.null_count:
        return raw
    place = raw.schema.get_field_index("kafka_ts")
    return raw.set_column(place, raw.schema.field(place), pc.fill_null(times, pa.scalar(ingested_at, times.type)))


def _one_by_one(raw: pa.Table, judging: Judging) -> rules.Columns:
    judged = judge_rows(raw["value"], raw["kafka_ts"], judging)
    return {name: judged[name] for name in judged.schema.names}


def _mostly_fast(con: duckdb.DuckDBPyConnection, raw: pa.Table, judging: Judging, query: str) -> rules.Columns:
    typed = _typed(con, raw, judging.stream, query)
    columns = {field.name: typed[field.name].cast(field.bronze_type) for field in judging.stream.event.read}
    columns["jour"] = typed["jour"]
    columns["motifs"] = _empty_lists(raw.num_rows)
    columns["_extra"] = pa.nulls(raw.num_rows, pa.string())
    unproven = np.flatnonzero(~typed["_proven"].to_numpy())
    if not len(unproven):
        return columns
    slow = judge_rows(raw["value"].take(unproven), raw["kafka_ts"].take(unproven), judging)
    return {name: _replaced(columns[name], unproven, slow[name]) for name in columns_of(judging.stream).names}


def fast_rows(con: duckdb.DuckDBPyConnection, raw: pa.Table, judging: Judging, year: int) -> pa.Table | None:
    """The fast path's result for `raw` (value, kafka_ts), row by row: the fields, `jour`, and `_proven`.

    If `_proven` is false the other columns are undefined. None if the stream has no fast path.
    """
    query = fast_path.query(judging, year)
    return None if query is None else _typed(con, raw, judging.stream, query)


def _typed(con: duckdb.DuckDBPyConnection, raw: pa.Table, stream: Stream, query: str) -> pa.Table:
    values = raw["value"] if stream.event.frame is None else _unframed(raw["value"])
    messages = pa.table(
        {
            "_row": pa.array(np.arange(raw.num_rows)),
            "_message": _decoded(values),
            "kafka_ts": raw["kafka_ts"].cast(pa.timestamp("us")),
        }
    )
    con.register("_messages", pa.Table.from_batches(messages.to_batches(_BATCH), messages.schema))
    run = con.sql if raw.num_rows >= _MANY else con.execute
    try:
        typed = run(query).to_arrow_table()
    finally:
        con.unregister("_messages")
    order = typed["_row"].to_numpy()  # the connection may have preserve_insertion_order = false
    if not np.array_equal(order, np.arange(len(order))):
        typed = typed.take(np.argsort(order))
    return typed


def _unframed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The messages without the frame of a schema registry; NULL where there is none."""
    framed = pc.and_(
        pc.equal(pc.binary_slice(values, 0, 1), b"\0"), pc.greater_equal(pc.binary_length(values), FRAME_BYTES)
    )
    return pc.if_else(framed, pc.binary_slice(values, FRAME_BYTES), pa.scalar(None, pa.binary()))


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """The messages as text, NULL where the bytes are no UTF-8."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(value) for value in values.to_pylist()], pa.string())


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _replaced(column: pa.ChunkedArray | pa.Array, places: np.ndarray[Any, Any], values: pa.Array) -> pa.ChunkedArray:
    """`column` with `values` at `places`."""
    fast_chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    both = pa.chunked_array([*fast_chunks, values], values.type)
    order = np.arange(len(column))
    order[places] = len(column) + np.arange(len(places))
    return both.take(order)


def _empty_lists(rows: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string()))
