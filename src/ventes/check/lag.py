"""The lag of each job, from the broker and the tables, not from the jobs' heartbeats.

In messages: Bronze, the messages of the topic from the offset at which reading would continue; Silver, Bronze's rows
after its position. In seconds: the age of the oldest message not yet processed, by the broker's time. A backlog of
five messages that arrived just now has a lag of 0 s; for a message that is not processed the lag grows with time. A
time in the future (a clock that was set back, a broker with another clock) gives no age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TopicPartition

from ventes import kafka
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot
from ventes.engines import source
from ventes.errors import VentesError
from ventes.lake import accepted_gaps, tables
from ventes.lake.positions import Position, bronze, furthest, positions
from ventes.lake.tables import path_of
from ventes.runtime.durations import in_words

FETCH_SECONDS = 2.0
CLOCK_SECONDS = 1.0
"""Seconds by which two clocks may differ: a message that has just arrived is 0 s old."""
HELD_SECONDS = 5.0
"""Messages that an open transaction blocks for longer than this are reported; normally it takes milliseconds."""


@dataclass(frozen=True)
class Lag:
    """`messages` and `seconds` are None if they are unknown; `seconds` also if no usable time gives an age.

    `problem`: the reason, or what a user must do, or why messages in the topic are not counted.
    """

    messages: int | None
    seconds: float | None = None
    problem: str = ""


def of_bronze(settings: Settings, now: float, connect: Callable[[Settings], kafka.Admin] = kafka.Admin) -> Lag:
    """The topic's messages after Bronze's position, from the broker (through `connect`); `now` in Unix seconds."""
    try:
        # In this order, because all of them grow meanwhile: so the table is never ahead of the topic, and messages
        # that arrive between the two requests for the topic's end are not counted as blocked.
        accepted, table = accepted_gaps.read(settings.lake), bronze(settings)
        with connect(settings) as admin:
            written = admin.end_offsets(committed=False)
            topic = source.read_topic(settings, admin)
        resume = source.resume(topic, table, accepted, _moment(now))
        messages = source.lag(topic, resume.offsets)
        seconds = _age(_age_of_oldest(settings, topic, resume.offsets, now)) if messages else 0.0
        return Lag(messages, seconds, _held_back(settings, topic, written, now))
    except VentesError as error:  # no broker, no topic, or another topic than the one that was read
        return Lag(None, None, str(error))


def _held_back(settings: Settings, topic: source.Topic, written: Mapping[int, tuple[int, int]], now: float) -> str:
    """The messages that cannot be read yet because a transaction is open, as text; '' if there are none.

    `written`: where the partitions end for a reader that does not wait for transactions.
    """
    ends = {number: high for number, (_, high) in topic.ranges.items()}
    beyond = {number: pair for number, pair in written.items() if pair[1] > ends.get(number, pair[1])}
    if not beyond:
        return ""
    behind = source.Topic(topic.name, topic.kafka_id, beyond)
    age = _age_of_oldest(settings, behind, ends, now, committed=False)
    if age is None or -CLOCK_SECONDS <= age < HELD_SECONDS:
        return ""
    count = sum(high - ends[number] for number, (_, high) in beyond.items())
    when = f"{in_words(age)} ago" if age > 0 else "in the future, by its own clock"
    return (
        f"{count} offsets wait for the end of a transaction that some producer began {when}: "
        "they cannot be read before; Kafka aborts it after its transaction.timeout.ms"
    )


def of_silver(settings: Settings, now: float) -> Lag:
    """Bronze's rows after Silver's position. Reads the tables only; `now` in Unix seconds."""
    try:
        table = tables.snapshot(settings, contract.of(settings).bronze)
    except VentesError as error:
        return Lag(None, None, str(error))
    try:
        taken = furthest(*(positions(path_of(settings, table)) for table in contract.of(settings).outcomes))
    except VentesError as error:
        return Lag(None, None, str(error))
    return _beyond(table, taken, now)


def _beyond(bronze: Snapshot, taken: Position, now: float) -> Lag:
    """Rows of `bronze` after `taken`: from statistics; only files that contain the position are read."""
    rows = 0
    oldest: float | None = None
    straddling = set()
    for file in bronze.files:
        place = _place(file)
        if place is None:
            straddling.add(file.path)
            continue
        key, low, high, first = place
        position = taken.get(key, -1)
        if low > position:
            rows += file.rows or 0
            oldest = _earlier(oldest, first)
        elif high > position:
            straddling.add(file.path)
    if straddling:
        more, earliest = _count(bronze, straddling, taken)
        rows += more
        oldest = _earlier(oldest, earliest)
    if not rows:
        return Lag(0, 0.0)
    return Lag(rows, _age(None if oldest is None else now - oldest))


def _age(seconds: float | None) -> float | None:
    """None if the age is negative, else the age."""
    return None if seconds is None or seconds < -CLOCK_SECONDS else max(0.0, seconds)


def _earlier(one: float | None, other: float | None) -> float | None:
    known = [moment for moment in (one, other) if moment is not None]
    return min(known, default=None)


def _place(file: DataFile) -> tuple[tuple[str, int], int, int, float] | None:
    """((topic_id, partition), first offset, last offset, first kafka_ts) of a file of one partition, else None."""
    topics, partitions, offsets, times = map(file.bounds, ("topic_id", "partition", "offset", "kafka_ts"))
    if topics is None or partitions is None or offsets is None or times is None or file.rows is None:
        return None
    if topics[0] != topics[1] or partitions[0] != partitions[1]:
        return None
    first = datetime.fromisoformat(times[0].replace("Z", "+00:00")).timestamp()
    return (topics[0], partitions[0]), offsets[0], offsets[1], first


def _count(bronze: Snapshot, names: set[str], taken: Position) -> tuple[int, float | None]:
    with connect() as con:
        bronze.view(con, "bronze", keep=lambda file: file.path in names)
        con.execute('CREATE TEMP TABLE taken (topic_id VARCHAR, "partition" INTEGER, "offset" BIGINT)')
        if taken:
            con.executemany("INSERT INTO taken VALUES (?, ?, ?)", [(*key, offset) for key, offset in taken.items()])
        row = con.execute(
            'SELECT count(*), epoch(min(b.kafka_ts)) FROM bronze b LEFT JOIN taken t USING (topic_id, "partition") '
            'WHERE b."offset" > coalesce(t."offset", -1)'
        ).fetchone()
    assert row is not None
    return row


def _age_of_oldest(
    settings: Settings, topic: source.Topic, offsets: Mapping[int, int], now: float, *, committed: bool = True
) -> float | None:
    """Age of the first message from `offsets` on, in seconds, negative for a time in the future; None if it cannot
    be fetched.

    `committed`: only messages that can be read, None also if their time is not from a broker; else all messages.
    """
    waiting = {
        number: max(low, offsets.get(number, low))
        for number, (low, high) in topic.ranges.items()
        if high > offsets.get(number, low)
    }
    options: dict[str, object] = {"fetch.wait.max.ms": 50, "max.partition.fetch.bytes": 65_536, "log_level": 0}
    if not committed:
        options["isolation.level"] = "read_uncommitted"
    oldest: float | None = None
    with kafka.consuming(settings, "ventes-status", **options) as consumer:
        consumer.assign(topic.name, waiting)
        unseen = set(waiting)
        deadline = time.monotonic() + FETCH_SECONDS
        while unseen and time.monotonic() < deadline:
            message = consumer.client.poll(0.2)
            if message is None or message.error() is not None or message.partition() not in unseen:
                continue
            number = message.partition()
            assert number is not None  # the time is from the broker
            unseen.discard(number)
            consumer.client.pause([TopicPartition(topic.name, number)])
            kind, born = message.timestamp()
            if kind == TIMESTAMP_LOG_APPEND_TIME or not committed:
                oldest = _earlier(oldest, born / 1000)
    return None if oldest is None else now - oldest


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, timezone.utc)
