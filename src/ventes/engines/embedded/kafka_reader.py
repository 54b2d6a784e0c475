"""Kafka → Arrow: a thread that reads the topic ahead and hands over whatever has come, as one batch.

While the job judges and commits a batch, the next one grows; when the job is free it takes what is there. So batches
are small when the job keeps up and large under backlog, without a setting. Memory is bounded by rows and bytes: a full
batch stops the reading until it is taken, and librdkafka's own queue has a limit too.

Messages become columns by C loops only (`map` over method descriptors): 1.2 µs a message, librdkafka's part included.
Only the thread calls the consumer: confluent-kafka lets one call at a time into a client, and another thread's would
wait for as long as the topic is silent.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import HEADERS, UTC
from ventes.errors import VentesError
from ventes.judging.messages import RAW

CHUNK = 5_000
"""Messages asked of librdkafka at a time under load; more than that made no difference."""
GATHER_SECONDS = 0.02
"""After the first message, how long others are waited for: at 1,000/s it makes 50 reads a second out of 1,000."""
IDLE_SECONDS = 1.0
QUEUE_KB = 12_288
"""What librdkafka may hold ready, beside the batch that grows here and the one that is being committed."""
BATCH_BYTES = 10_000_000
"""About 32,000 sales. Twice as many made the process 30 MB larger and 5 % quicker; two thirds, a tenth slower."""


class Interrupted(VentesError):
    """Reading ended for a reason that only another look at topic and table can settle."""


@dataclass
class Batch:
    """Messages in the order of their partitions, not yet judged."""

    raw: pa.Table
    last: Mapping[int, int]
    """partition → last offset in here."""
    behind: int
    """Messages that the broker is known to have after these."""


@dataclass
class _Growing:
    parts: list[pa.RecordBatch] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
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
        self._topic = settings.kafka.topic
        self._topic_id = topic_id
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._growing = _Growing()
        self._changed = threading.Condition()
        self._chunk = CHUNK
        self._closing = False
        self._trouble: Interrupted | None = None
        self._reached = {number: offset - 1 for number, offset in offsets.items()}
        self._consumer = Consumer(_configuration(settings, self._note))
        self._consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in offsets.items()])
        self._thread = threading.Thread(target=self._read, name="intake", daemon=True)
        self._thread.start()

    def __enter__(self) -> KafkaReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def take(self, timeout: float) -> Batch | None:
        """What has come since the last call, waiting up to `timeout` seconds for the first message; None if none came.

        Raises Interrupted when reading has ended by itself, once what was read before is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._growing.rows or self._trouble, timeout)
            taken, self._growing = self._growing, _Growing()
            if not taken.rows:
                if self._trouble:
                    raise self._trouble
                return None
            self._changed.notify_all()
        return Batch(pa.Table.from_batches(taken.parts, RAW), taken.last, taken.behind)

    def close(self) -> None:
        """Stop reading; what was not taken is dropped (it is still in Kafka)."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._consumer.close()

    # -- the thread ---------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while self._room():
                if messages := self._consumer.consume(1, IDLE_SECONDS):
                    self._add(messages + self._consumer.consume(self._chunk, GATHER_SECONDS))
        except Interrupted as trouble:
            self._end(trouble)
        except KafkaException as error:
            self._end(Interrupted(f"reading topic {self._topic!r} failed: {error}"))
        except BaseException as error:  # whatever it is must reach the job, not die with this thread
            self._end(Interrupted(f"reading topic {self._topic!r} failed: {type(error).__name__}: {error}"))
            raise

    def _room(self) -> bool:
        """Wait until there is room in the batch; False when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or not self._full())
            return not self._closing

    def _full(self) -> bool:
        return self._growing.rows >= self._max_rows or self._growing.size >= self._max_bytes

    def _add(self, messages: list[Message]) -> None:
        if any(map(Message.error, messages)):
            refused = next(error for error in map(Message.error, messages) if error is not None)
            raise Interrupted(f"reading topic {self._topic!r} failed: {refused.str()}")
        part = columns(messages, self._topic_id)
        # so few at a time that even large messages come in several chunks a batch
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

    def _end(self, trouble: Interrupted) -> None:
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    def _note(self, error: KafkaError) -> None:
        """librdkafka's word on the connection, given inside consume()."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN or error.fatal():
            raise Interrupted(f"the connection to Kafka was lost: {error.str()}")

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
    milliseconds = pa.array([when for _, when in map(Message.timestamp, messages)], pa.int64())
    return milliseconds.cast(pa.timestamp("ms", tz="UTC")).cast(UTC)


def _configuration(settings: Settings, note: Any) -> dict[str, Any]:
    return kafka.client_config(
        settings,
        **{
            "group.id": "ventes-bronze",  # librdkafka wants one; nothing is ever committed under it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # an offset that is gone is for `ventes recover`, never skipped
            "isolation.level": "read_uncommitted",  # every message, as the Spark engine reads it
            "fetch.wait.max.ms": 5_000,  # the broker answers at once when there is something; this is for when not
            "fetch.max.bytes": max(16_000_000, settings.kafka.max_message_bytes),
            "max.partition.fetch.bytes": 2_000_000,  # 4 MB took 6 % more CPU
            "receive.message.max.bytes": max(100_000_000, 2 * settings.kafka.max_message_bytes),
            "queued.min.messages": 30_000,
            "queued.max.messages.kbytes": QUEUE_KB,
            "fetch.queue.backoff.ms": 10,  # its default, 1 s, would be a pause after each full queue
            "error_cb": note,
        },
    )
