"""Kafka messages → Bronze rows, in DuckDB: computes the verdict of each message.

Messages that SQL proves to be valid sales are converted there (judging/fast_path.sql); every other message goes
through `judging.verdict.judge`. This file contains the SQL that reads JSON in DuckDB, and the checks that a message is
one object with the eleven fields and nothing else.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract.tables import BRONZE, EVENT_FIELDS
from ventes.judging import fast_path
from ventes.judging.judge_rows import VERDICT, judge_rows

_NAMES = ("client_nom", "produit_nom", "categorie", "pays", "segment")
_OTHERS = tuple(field for field in EVENT_FIELDS if field not in _NAMES)

_STRUCTURE = json.dumps({field: "JSON" if field in _NAMES else "VARCHAR" for field in EVENT_FIELDS})
_STRING = """CASE WHEN starts_with(f.{0}, '"') THEN TRY(from_json(f.{0}, '"VARCHAR"')) END AS n_{0}"""
_NOT_BLANK = """CASE WHEN (n_{0} >= '!' AND n_{0} < chr(133)) OR (n_{0} >= '¡' AND n_{0} < 'ᙿ') OR n_{0} >= '、'
  THEN n_{0} END AS t_{0}"""

# TRY, because one malformed message would otherwise fail the query for all. DuckDB's parser (yyjson) refuses
# trailing data, raw control characters and half surrogate pairs, as `judge` does, but takes a comma before the
# closing brace, NaN, and keys more than once. So: the object ends in `}` after a value, has eleven members, and
# all eleven fields are there (NULLs end in `proven = false`), hence each once and none else. A name is asked for
# as JSON, whose quote proves that it was a string; then the quotes come off. The bounds in _NOT_BLANK leave out
# every first character that Unicode calls white space, and some that are none.
_TEXTS = f"""
WITH objects AS (
  SELECT row_number, kafka_ts,
    CASE WHEN strlen(message) <= 16384 AND starts_with(message, '{{')
          AND suffix(message, '}}')
          AND NOT (suffix(message, ',}}') OR suffix(message, ' }}') OR suffix(message, chr(9) || '}}')
                   OR suffix(message, chr(10) || '}}') OR suffix(message, chr(13) || '}}'))
          AND NOT contains(message, '\\u0000')
         THEN message END AS message
  FROM _messages
),
parsed AS (
  SELECT row_number, kafka_ts, TRY(from_json(message, '{_STRUCTURE}')) AS f,
    TRY(len(json_keys(message))) = 11 AS exact_object
  FROM objects
),
members AS (
  SELECT row_number, kafka_ts, exact_object,
    {", ".join(f"f.{field} AS t_{field}" for field in _OTHERS)},
    {", ".join(_STRING.format(field) for field in _NAMES)}
  FROM parsed
)
SELECT *, {", ".join(_NOT_BLANK.format(field) for field in _NAMES)} FROM members
"""
_BATCH = 2048
"""Rows per DuckDB task, DuckDB's own row group size; it never splits an Arrow batch."""
_MANY = 5_000
"""From this many messages DuckDB builds the Arrow table itself (`sql`), with both threads: 120 ms for 100,000 messages
instead of 190. Below it the result is a stream (`execute`): one thread, but planned only once, which saves 2 ms."""
FEW = 100
"""Up to this many messages, judging one by one (24 µs each) is faster than planning the DuckDB query (8 ms)."""
_TYPED = ", ".join("horodatage AS timestamp" if field == "timestamp" else field for field in EVENT_FIELDS)


def judge_batch(
    con: duckdb.DuckDBPyConnection, raw: pa.Table, settings: Settings, ingested_at: datetime, few: int = FEW
) -> pa.Table:
    """Messages as Bronze rows, in the same order, with exactly BRONZE's schema.

    `raw` has key, value, headers, topic_id, partition, offset and kafka_ts, typed as in BRONZE. Where kafka_ts is NULL
    the message arrived at `ingested_at`: the sender sets the time of a record unless the topic has LogAppendTime.
    `con` must not be used elsewhere meanwhile; `ingested_at` (aware) becomes date_ingestion. Up to `few` messages are
    judged without SQL.
    """
    raw = _arrived(raw, ingested_at)
    columns = _one_by_one(raw, settings) if raw.num_rows <= few else _mostly_fast(con, raw, settings, ingested_at.year)
    stamped = pa.array([ingested_at], BRONZE.schema.field("date_ingestion").type)
    columns["date_ingestion"] = stamped.take(pa.array(np.zeros(raw.num_rows, dtype=np.int8)))
    for name in ("topic_id", "partition", "offset", "kafka_ts", "key", "value", "headers"):
        columns[name] = raw[name]
    return pa.table([columns[field.name] for field in BRONZE.schema], schema=BRONZE.schema)


def _arrived(raw: pa.Table, ingested_at: datetime) -> pa.Table:
    times = raw["kafka_ts"]
    if not times.null_count:
        return raw
    place = raw.schema.get_field_index("kafka_ts")
    return raw.set_column(place, raw.schema.field(place), pc.fill_null(times, pa.scalar(ingested_at, times.type)))


def _one_by_one(raw: pa.Table, settings: Settings) -> dict[str, pa.Array | pa.ChunkedArray]:
    judged_rows = judge_rows(raw["value"], raw["kafka_ts"], settings.source_zone, settings.business_zone)
    return {name: judged_rows[name] for name in VERDICT.names}


def _mostly_fast(
    con: duckdb.DuckDBPyConnection, raw: pa.Table, settings: Settings, year: int
) -> dict[str, pa.Array | pa.ChunkedArray]:
    typed = fast_rows(con, raw, settings, year)
    columns = {name: typed[name] for name in (*EVENT_FIELDS, "jour")}
    columns["motifs"] = _empty_lists(raw.num_rows)
    columns["_extra"] = pa.nulls(raw.num_rows, pa.string())
    unproven = np.flatnonzero(~typed["proven"].to_numpy())
    if not len(unproven):
        return columns
    slow = judge_rows(
        raw["value"].take(unproven), raw["kafka_ts"].take(unproven), settings.source_zone, settings.business_zone
    )
    return {name: _replaced(columns[name], unproven, slow[name]) for name in VERDICT.names}


def fast_rows(con: duckdb.DuckDBPyConnection, raw: pa.Table, settings: Settings, year: int) -> pa.Table:
    """The fast path's result for `raw` (value, kafka_ts), row by row: the eleven fields, `jour`, and `proven`.

    If `proven` is false the other columns are undefined.
    """
    query = fast_path.query(settings.source_zone, settings.business_zone, year)
    messages = pa.table(
        {
            "row_number": pa.array(np.arange(raw.num_rows)),
            "message": _decoded(raw["value"]),
            "kafka_ts": raw["kafka_ts"].cast(pa.timestamp("us")),
        }
    )
    con.register("_messages", pa.Table.from_batches(messages.to_batches(_BATCH), messages.schema))
    run = con.sql if raw.num_rows >= _MANY else con.execute
    try:
        typed = run(
            f"WITH texts AS ({_TEXTS}) SELECT row_number, {_TYPED}, jour, proven FROM ({query})"
        ).to_arrow_table()
    finally:
        con.unregister("_messages")
    order = typed["row_number"].to_numpy()  # the connection may have preserve_insertion_order = false
    if not np.array_equal(order, np.arange(len(order))):
        typed = typed.take(np.argsort(order))
    stamps = pc.assume_timezone(typed["timestamp"], "UTC")
    return typed.set_column(typed.schema.get_field_index("timestamp"), "timestamp", stamps)


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
