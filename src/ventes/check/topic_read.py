"""Reads the topic for `verify`, for a comparison with Bronze."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import duckdb
import pyarrow as pa
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, Message

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import HEADERS
from ventes.lake import accepted_gaps

BATCH, BATCH_BYTES = 10_000, 8_000_000
"""Messages requested at a time, and about how many bytes."""
QUEUE_KB = 16_384
"""Limit of librdkafka's queue."""
POLL_SECONDS = 0.1
"""Seconds that `consume` waits for a full batch, also at the end of the topic."""
PATIENCE_SECONDS = 20.0
"""Seconds without a message of a partition before its end, after which the read fails."""

_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
        ("ms", pa.int64()),
    ]
)
_FINGERPRINT = """md5(concat_ws('|', coalesce(md5("key"), '-'), coalesce(md5("value"), '-'),
    coalesce(list_aggregate(list_transform(headers, lambda h: md5(h."key") || coalesce(md5(h."value"), '-')),
                            'string_agg', ','), '')))"""
"""Hash of key, value and headers of a message."""


def load(
    settings: Settings,
    con: duckdb.DuckDBPyConnection,
    name: str,
    progress: Callable[[str], None],
    firsts: Mapping[tuple[str, int], int] | None = None,
) -> int | None:
    """Create tables `<name>` and `this_topic` (partition, offset, fingerprint, ms) over the same range of offsets.

    `ms` is the message's time; in `<name>` NULL if the sender set it. Only committed messages are read, as by the jobs.
    The range of a partition is from the topic's low watermark (after a recorded gap) to Bronze's last offset. Needs the
    view `all_bronze`. `firsts`: only offsets from these on, of these (topic_id, partition). Returns the number of
    messages read, None if the topic does not exist.
    """
    with kafka.Admin(settings) as admin:
        kafka_id = admin.topic_id()
        if kafka_id is None:
            return None
        watermarks = admin.end_offsets()
    accepted = accepted_gaps.read(settings.lake)
    topic_id = accepted.label(kafka_id)
    last = dict(
        con.execute(
            'SELECT "partition", max("offset") FROM all_bronze WHERE topic_id = ? GROUP BY 1', [topic_id]
        ).fetchall()
    )
    ranges = {}
    for partition, (low, high) in watermarks.items():
        first = max(low, accepted.last(topic_id, partition) + 1)
        if firsts is not None:
            first = max(first, firsts.get((topic_id, partition), high))
        final = min(high - 1, last.get(partition, -1))
        if first <= final:
            ranges[partition] = (first, final)
    con.execute(f'CREATE TABLE {name} ("partition" INTEGER, "offset" BIGINT, fingerprint VARCHAR, ms BIGINT)')
    count = _consume(settings, ranges, con, name, progress) if ranges else 0
    bounds = " OR ".join(
        f'("partition" = {partition} AND "offset" BETWEEN {low} AND {high})'
        for partition, (low, high) in ranges.items()
    )
    con.execute(
        f"""CREATE TABLE this_topic AS
            SELECT "partition", "offset", {_FINGERPRINT} AS fingerprint, epoch_ms(kafka_ts) AS ms
            FROM all_bronze WHERE topic_id = ? AND ({bounds or "false"})""",
        [topic_id],
    )
    return count


def _consume(
    settings: Settings,
    ranges: dict[int, tuple[int, int]],
    con: duckdb.DuckDBPyConnection,
    name: str,
    progress: Callable[[str], None],
) -> int:
    total = sum(high - low + 1 for low, high in ranges.values())
    count = 0
    limits = {"enable.partition.eof": True, "queued.max.messages.kbytes": QUEUE_KB}
    most = 50  # until the size of the messages is known
    with kafka.consuming(settings, "ventes-verify", **limits) as consumer:
        consumer.assign(settings.topic, {partition: low for partition, (low, _) in ranges.items()})
        unread = set(ranges)
        heard = time.monotonic()
        while unread:
            messages = consumer.client.consume(most, POLL_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE_SECONDS:
                why = consumer.connection.trouble or f"partitions {sorted(unread)} gave nothing"
                raise kafka.unavailable(settings, f"{why} for {PATIENCE_SECONDS:.0f} s")
            rows = []
            for message in messages:
                error = message.error()
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise kafka.unavailable(settings, kafka.plain(error.str()))
                    unread.discard(message.partition())
                    continue
                partition, offset = message.partition(), message.offset()
                assert partition is not None, "a message without an error has a place"
                assert offset is not None
                end = ranges[partition][1]
                if offset <= end:
                    rows.append((partition, offset, message.key(), message.value(), _headers(message), _time(message)))
                if offset >= end:
                    unread.discard(partition)
            if rows:
                columns = list(zip(*rows, strict=True))
                read = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
                most = max(1, min(BATCH, BATCH_BYTES * len(rows) // max(1, read.nbytes)))
                con.register("_read", read)
                con.execute(f'INSERT INTO {name} SELECT "partition", "offset", {_FINGERPRINT}, ms FROM _read')
                con.unregister("_read")
                count += len(rows)
                progress(f"reading the topic: {count:,} of {total:,}")
    return count


def _headers(message: Message) -> list[dict[str, object]] | None:
    headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]  # never a dict here
    return [{"key": key, "value": value} for key, value in headers] or None


def _time(message: Message) -> int | None:
    kind, milliseconds = message.timestamp()
    return milliseconds if kind == TIMESTAMP_LOG_APPEND_TIME else None
