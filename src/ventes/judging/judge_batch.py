"""Kafka messages → Bronze rows, in DuckDB: computes the verdict of each message.

Messages whose verdict SQL proves are judged there (judging/fast_path.py); every other message goes through
`judging.verdict.Judge`, which also writes the unknown fields that SQL cannot write. The stream's own rules come last,
for all messages alike (judging/rules.py).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract import tables
from ventes.deltalog import database
from ventes.deltalog.database import Prepared
from ventes.judging import fast_path, rules
from ventes.judging.fast_extra import Names
from ventes.judging.judge_rows import columns_of, judge_rows
from ventes.judging.unknown_names import sampled, with_earlier
from ventes.judging.verdict import FRAME_BYTES, Judging, judge_of
from ventes.stream.strict_json import Refused

FEW = 100
"""Up to so many messages are judged one by one (28 µs each), which is faster than the query: running it takes 5 ms,
and planning it 25, once for a connection."""
_MANY = 5_000
"""From this many messages `threads` judge a part each: DuckDB computes a prepared query's result in one thread. With
two of its own, the database takes a fifth more CPU for the same."""
THREADS = 2
"""For a job or a check that judges large batches by itself: 59 ms instead of 85 for 35,000 messages."""

_MESSAGES = pa.schema([("_row", pa.int64()), ("_message", pa.string()), ("kafka_ts", pa.timestamp("us"))])


def judge_batch(
    con: duckdb.DuckDBPyConnection,
    raw: pa.Table,
    settings: Settings,
    ingested_at: datetime,
    few: int = FEW,
    threads: int = 1,
) -> pa.Table:
    """`judge_messages` for the stream and the zones of the settings."""
    return judge_messages(con, raw, Judging.of(settings), ingested_at, few, threads)


def judge_messages(
    con: duckdb.DuckDBPyConnection,
    raw: pa.Table,
    judging: Judging,
    ingested_at: datetime,
    few: int = FEW,
    threads: int = 1,
) -> pa.Table:
    """Messages as Bronze rows, in the same order, with exactly the schema of the stream's Bronze table.

    `raw` has the columns of judging.messages.RAW. Where kafka_ts is NULL the message arrived at `ingested_at`: the
    sender sets the time of a record unless the topic has LogAppendTime. `con` must not be used elsewhere meanwhile;
    `ingested_at` (aware) becomes date_ingestion.
    """
    raw = _arrived(raw, ingested_at)
    bronze = tables.of_stream(judging.stream).bronze
    found = fast_rows(con, raw, judging, ingested_at.year, threads) if raw.num_rows > few else None
    columns = _one_by_one(raw, judging) if found is None else _mostly_fast(raw, judging, found)
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


def _mostly_fast(raw: pa.Table, judging: Judging, decided: pa.Table) -> rules.Columns:
    columns = {field.name: decided[field.name].cast(field.bronze_type) for field in judging.stream.event.read}
    columns["jour"] = decided["jour"]
    columns["motifs"] = _lists_of_codes(decided["_reasons"])
    undecided = decided["_reasons"].is_null().to_numpy().copy()
    columns["_extra"] = _with_open_extras(decided, raw["value"], judging, undecided)
    places = np.flatnonzero(undecided)
    if not len(places):
        return columns
    slow = judge_rows(raw["value"].take(places), raw["kafka_ts"].take(places), judging)
    return {name: _replaced(columns[name], places, slow[name]) for name in columns_of(judging.stream).names}


def _lists_of_codes(reasons: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The `motifs` of the fast path's `_reasons`; few texts of codes are different."""
    if not reasons.null_count and not pc.max(pc.binary_length(reasons)).as_py():
        return _empty_lists(len(reasons))
    texts = reasons.combine_chunks().dictionary_encode()
    lists = [sorted(text.split(",")[:-1]) for text in texts.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(texts.indices)


def _with_open_extras(
    decided: pa.Table, values: pa.ChunkedArray, judging: Judging, undecided: npt.NDArray[np.bool_]
) -> pa.ChunkedArray:
    """`_extra`, with those that SQL left open. A message that turns out to be no strict JSON becomes `undecided`."""
    places = np.flatnonzero(decided["_extra_open"].to_numpy() & ~undecided)
    if not len(places):
        return decided["_extra"]
    judge = judge_of(judging)
    extras: list[str | None] = []
    for place, value in zip(places.tolist(), values.take(places).to_pylist(), strict=True):
        try:
            extras.append(judge.extra(value))
        except Refused:
            extras.append(None)
            undecided[place] = True
    return _replaced(decided["_extra"], places, pa.array(extras, pa.string()))


def fast_rows(
    con: duckdb.DuckDBPyConnection, raw: pa.Table, judging: Judging, year: int, threads: int = 1
) -> pa.Table | None:
    """What SQL makes of `raw` (value, kafka_ts), row by row: the columns of fast_path.query.

    Where `_reasons` is NULL the other columns are undefined. None if the stream has no fast path.
    """
    if fast_path.query(judging, year) is None:
        return None
    values = raw["value"] if judging.stream.event.frame is None else _unframed(raw["value"])
    messages = _decoded(values)
    query = fast_path.query(judging, year, _names(con, messages, judging))
    assert query is not None
    columns = [pa.array(np.arange(raw.num_rows)), messages, raw["kafka_ts"].cast(pa.timestamp("us"))]
    found = _run(con, query, pa.table(columns, schema=_MESSAGES), threads)
    order = found["_row"].to_numpy()  # the connection may have preserve_insertion_order = false
    return found if np.all(order[1:] > order[:-1]) else found.take(np.argsort(order))


def _names(con: duckdb.DuckDBPyConnection, messages: pa.ChunkedArray | pa.Array, judging: Judging) -> Names:
    """The names to ask for: of this batch, and of earlier ones on this connection, whose query is planned already."""
    known = _ASKED.setdefault(con, {})
    known[judging] = with_earlier(sampled(messages, judge_of(judging)), known.get(judging, ()))
    return known[judging]


_ASKED: WeakKeyDictionary[duckdb.DuckDBPyConnection, dict[Judging, Names]] = WeakKeyDictionary()


def _run(con: duckdb.DuckDBPyConnection, query: str, messages: pa.Table, threads: int) -> pa.Table:
    if threads == 1 or messages.num_rows < _MANY:
        return database.run(con, query, {"_messages": messages})
    rows = -(-messages.num_rows // threads)
    parts = [{"_messages": messages.slice(first, rows)} for first in range(0, messages.num_rows, rows)]
    queries = database.prepared(con, query, {"_messages": messages.schema}, len(parts))
    with ThreadPoolExecutor(threads) as pool:
        return pa.concat_tables(pool.map(Prepared.run, queries, parts))


_LONGEST = 2**31 - 1
"""Bytes of a value of an Arrow array."""


def _unframed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The messages without the frame of a schema registry; NULL where there is none."""
    framed = pc.and_(
        pc.equal(pc.binary_slice(values, 0, 1), b"\0"), pc.greater_equal(pc.binary_length(values), FRAME_BYTES)
    )
    # without an end, Arrow 23 multiplies the largest number by the rows, and refuses an even number of them
    return pc.if_else(framed, pc.binary_slice(values, FRAME_BYTES, _LONGEST), pa.scalar(None, pa.binary()))


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


def _replaced(
    column: pa.ChunkedArray | pa.Array, places: np.ndarray[Any, Any], values: pa.ChunkedArray | pa.Array
) -> pa.ChunkedArray:
    """`column` with `values` at `places`."""
    chunks = [part for whole in (column, values) for part in getattr(whole, "chunks", [whole])]
    both = pa.chunked_array(chunks, values.type)
    order = np.arange(len(column))
    order[places] = len(column) + np.arange(len(places))
    return both.take(order)


def _empty_lists(rows: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string()))
