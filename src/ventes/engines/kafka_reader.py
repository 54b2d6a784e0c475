"""Kafka → Arrow: a thread reads the topic ahead and returns all messages read so far as one batch.

While the job judges and commits a batch, the thread fills the next one, which the job takes when it is ready. So
batches are small when the job keeps up and large during a backlog, without a setting. Memory is limited by rows and
bytes: reading pauses while a batch is full, and librdkafka's own queue has a limit too.

Messages become columns by C loops only (`map` over method descriptors): 1.2 µs per message, librdkafka included.
Only the thread calls the consumer: confluent-kafka allows one call at a time per client, and a call of another thread
would block as long as the topic is idle. The job waits for the thread only with a timeout.

Only committed messages are read. Offsets without a message (transaction markers, aborted messages) are skipped;
`Batch.last` includes them, so that the position reaches the end of such a topic.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import pyarrow as pa
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, TopicPartition

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import HEADERS
from ventes.engines.source import Interrupted
from ventes.errors import BrokerUnavailable
from ventes.judging.messages import RAW
from ventes.stream.arrow import instant

CHUNK = 5_000
"""Messages requested from librdkafka at a time under load; larger values made no difference."""
FIRST_CHUNK = 50
"""The same of the first request, when the size of the messages is not known yet."""
GATHER_SECONDS = 0.02
"""Seconds to wait for more messages after the first one: at 1,000/s it makes 50 reads per second instead of 1,000."""
IDLE_SECONDS = 1.0
QUEUE_KB = 12_288
"""Limit of librdkafka's queue, in addition to the batch being filled, one being judged and one being written."""
BATCH_BYTES = 10_000_000
"""About 32,000 sales. Twice as many: 30 MB more memory, 5 % faster; two thirds as many: 10 % slower."""
SILENT_TURNS = 60
"""Waits of the job during which the thread may hang in librdkafka before the reader is abandoned. Waits are counted,
not seconds: while the machine is suspended the clock moves, the thread does not."""


@dataclass
class Batch:
    """Messages ordered by partition, not yet judged; may be empty if only offsets without messages were read."""

    raw: pa.Table
    last: Mapping[int, int]
    """partition → last offset that this batch includes."""
    behind: int
    """Messages after these that the broker has, as far as is known."""


@dataclass
class _Growing:
    parts: list[pa.RecordBatch] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    passed: bool = False
    """Whether `last` is after the last row: offsets without a message were skipped."""
    rows: int = 0
    size: int = 0
    behind: int = 0


class KafkaReader:
    """Reads partitions from given offsets until closed. Use it in a `with`."""

    def __init__(
        self,
        settings: Settings,
        topic_id: str,
        offsets: Mapping[int, int],
        max_rows: int,
        max_bytes: int = BATCH_BYTES,
    ) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._topic_id = topic_id
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._growing = _Growing()
        self._changed = threading.Condition()
        self._chunk = FIRST_CHUNK
        self._closing = False
        self._turns = 0
        """How many calls to librdkafka have returned."""
        self._seen, self._silent = 0, 0
        self._trouble: Interrupted | BrokerUnavailable | None = None
        self._reached = {number: offset - 1 for number, offset in offsets.items()}
        self._opened = kafka.OpenConsumer(settings, "ventes-bronze", **_configuration(settings))
        self._consumer = self._opened.client
        self._offsets = dict(offsets)
        self._thread = threading.Thread(target=self._read, name="intake", daemon=True)
        self._thread.start()

    def __enter__(self) -> KafkaReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def take(self, timeout: float) -> Batch | None:
        """The messages since the last call; waits up to `timeout` seconds for the first, then returns None.

        Raises Interrupted, or BrokerUnavailable for a lost connection, after all messages read before were taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._growing.rows or self._growing.passed or self._trouble, timeout)
            taken, self._growing = self._growing, _Growing()
            if not taken.rows and not taken.passed:
                if self._trouble:
                    raise self._trouble
                self._notice_silence()
                return None
            self._changed.notify_all()
        return Batch(pa.Table.from_batches(taken.parts, RAW), taken.last, taken.behind)

    def _notice_silence(self) -> None:
        self._silent = self._silent + 1 if self._turns == self._seen else 0
        self._seen = self._turns
        if self._silent >= SILENT_TURNS:
            raise Interrupted("the Kafka client hangs")

    def close(self) -> bool:
        """Stop reading; messages not taken are discarded (they are still in Kafka). False if librdkafka hangs."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(kafka.CLOSE_SECONDS)
        return not self._thread.is_alive() and self._opened.close()

    # -- the thread ---------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            self._opened.assign(self._topic, self._offsets)
            while self._room():
                if messages := self._consumer.consume(1, IDLE_SECONDS):
                    self._add(messages + self._consumer.consume(self._chunk, GATHER_SECONDS))
                if lost := self._opened.connection.trouble:
                    raise kafka.unavailable(self._settings, lost)
        except (Interrupted, BrokerUnavailable) as trouble:
            self._end(trouble)
        except KafkaException as error:
            self._end(Interrupted(f"reading topic {self._topic!r} failed: {error}"))
        except BaseException as error:  # every error must reach the job, not only end this thread
            self._end(Interrupted(f"reading topic {self._topic!r} failed: {type(error).__name__}: {error}"))
            raise

    def _room(self) -> bool:
        """Wait until there is room in the batch; False when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or not self._full())
            self._turns += 1
            return not self._closing

    def _full(self) -> bool:
        return self._growing.rows >= self._max_rows or self._growing.size >= self._max_bytes

    def _add(self, messages: list[Message]) -> None:
        ends: dict[int, int] = {}
        if any(map(Message.error, messages)):
            messages, ends = self._without_ends(messages)
        if messages:
            self._grow(messages)
        if ends:
            self._pass_over(ends)

    def _without_ends(self, messages: list[Message]) -> tuple[list[Message], dict[int, int]]:
        """The messages, and partition → next offset of the partitions that were read to their end."""
        kept, ends = [], {}
        for message in messages:
            error = message.error()
            if error is None:
                kept.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ends[cast(int, message.partition())] = cast(int, message.offset())
            else:
                raise Interrupted(f"reading topic {self._topic!r} failed: {kafka.plain(error.str())}")
        return kept, ends

    def _pass_over(self, ends: Mapping[int, int]) -> None:
        """Record the offsets that were read without a message."""
        further = {number: end - 1 for number, end in ends.items() if end - 1 > self._reached.get(number, -1)}
        if not further:
            return
        behind = self._behind(further)
        with self._changed:
            self._growing.last.update(further)
            self._growing.passed = True
            self._growing.behind = behind
            self._changed.notify_all()

    def _grow(self, messages: list[Message]) -> None:
        part = columns(messages, self._topic_id)
        # few at a time, so that large messages make several chunks per batch
        self._chunk = max(1, min(CHUNK, int(self._max_bytes * part.num_rows / (4 * part.nbytes + 1))))
        last = last_offsets(part)
        behind = self._behind(last)
        with self._changed:
            growing = self._growing
            growing.parts.append(part)
            growing.rows += part.num_rows
            growing.size += part.nbytes
            growing.last.update(last)
            growing.behind = behind
            self._changed.notify_all()

    def _end(self, trouble: Interrupted | BrokerUnavailable) -> None:
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    def _behind(self, last: Mapping[int, int]) -> int:
        self._reached.update(last)
        known = 0
        for number, reached in self._reached.items():
            ends = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            known += max(0, ends[1] - reached - 1) if ends else 0
        return known


def columns(messages: list[Message], topic_id: str) -> pa.RecordBatch:
    """The messages as RAW columns."""
    count = len(messages)
    headers = list(map(Message.headers, messages))
    return pa.RecordBatch.from_arrays(
        [
            pa.array(map(Message.key, messages), pa.binary(), size=count),
            pa.array(map(Message.value, messages), pa.binary(), size=count),
            pa.array(list(map(_pairs, headers)), HEADERS) if any(headers) else pa.nulls(count, HEADERS),
            pa.repeat(pa.scalar(topic_id, pa.string()), count),
            pa.array(map(Message.partition, messages), pa.int32(), size=count),
            pa.array(map(Message.offset, messages), pa.int64(), size=count),
            _times(messages),
        ],
        schema=RAW,
    )


def last_offsets(part: pa.RecordBatch) -> dict[int, int]:
    """partition → its last offset in `part`, whose messages are in order within each partition."""
    if len(part.column("partition").unique()) == 1:
        return {part.column("partition")[0].as_py(): part.column("offset")[-1].as_py()}
    return dict(zip(part.column("partition").to_pylist(), part.column("offset").to_pylist(), strict=True))


def _pairs(headers: Any) -> list[dict[str, Any]] | None:
    return [{"key": key, "value": value} for key, value in headers] if headers else None


def _times(messages: list[Message]) -> pa.Array:
    """The broker's time of each message, NULL if the sender set the time."""
    milliseconds = [
        when if kind == TIMESTAMP_LOG_APPEND_TIME else None for kind, when in map(Message.timestamp, messages)
    ]
    return pa.array(milliseconds, pa.int64()).cast(pa.timestamp("ms", tz="UTC")).cast(instant())


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "enable.partition.eof": True,
        # the broker answers at once if there are messages; this is the wait if there are none
        "fetch.wait.max.ms": 5_000,
        "fetch.max.bytes": max(16_000_000, settings.kafka.max_message_bytes),
        "max.partition.fetch.bytes": 2_000_000,  # 4 MB took 6 % more CPU
        "receive.message.max.bytes": max(100_000_000, 2 * settings.kafka.max_message_bytes),
        "queued.min.messages": 30_000,
        "queued.max.messages.kbytes": QUEUE_KB,
        "fetch.queue.backoff.ms": 10,  # the default, 1 s, would be a pause after each full queue
    }
