"""Unusual messages: wrong record times, transactions. For tests of both engines."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Producer

from harness.ingested import sale
from harness.pipeline import wait_for
from harness.producing import IN_ORDER
from harness.topics import create_topic
from ventes import kafka
from ventes.config import Settings

NOW_MS = int(time.time() * 1000)
TIMES_MS = {
    "1 ms": 1,
    "seconds": NOW_MS // 1000,
    "year 2000": 946_684_800_000,
    "400 days ahead": NOW_MS + 400 * 86_400_000,
    "microseconds": NOW_MS * 1000,
    "nanoseconds": NOW_MS * 1_000_000,
    "largest": 2**63 - 1,
}
"""Record times that senders set by mistake, as Kafka reads them: in milliseconds."""


def create_topic_of_senders_time(settings: Settings, partitions: int = 1) -> None:
    """Create the topic of the settings with CreateTime: it keeps the time that the sender sets."""
    create_topic(
        settings.kafka.bootstrap,
        settings.topic,
        partitions,
        message_timestamp_type="CreateTime",
        message_timestamp_after_max_ms=str(2**63 - 1),
    )
    wait_for(lambda: kafka.topic_id(settings), "the topic is there", 20)


def send_at(settings: Settings, times: Iterable[int], first_id: int = 1) -> None:
    """Send a valid sale for each record time."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap, **IN_ORDER})
    for number, when in enumerate(times, first_id):
        producer.produce(settings.topic, sale(number), timestamp=when)
    assert producer.flush(30) == 0


class Transactions:
    """A transactional producer of valid sales, with ids that count up."""

    def __init__(self, settings: Settings, name: str = "tests") -> None:
        self._topic = settings.topic
        self._next = 1
        self._producer = Producer({"bootstrap.servers": settings.kafka.bootstrap, "transactional.id": name})
        self._producer.init_transactions(30)

    def begin(self, count: int) -> list[int]:
        """Begin a transaction and write `count` sales in it; returns their ids."""
        self._producer.begin_transaction()
        ids = list(range(self._next, self._next + count))
        self._next += count
        for number in ids:
            self._producer.produce(self._topic, sale(number))
        assert self._producer.flush(30) == 0
        return ids

    def commit(self, count: int) -> list[int]:
        ids = self.begin(count)
        self._producer.commit_transaction(30)
        return ids

    def abort(self, count: int) -> None:
        self.begin(count)
        self._producer.abort_transaction(30)

    def end(self) -> None:
        """Commit the transaction that `begin` began."""
        self._producer.commit_transaction(30)
