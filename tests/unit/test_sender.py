"""The result of each message, with a test client in place of Kafka's that fails on demand."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from ventes.config import Settings
from ventes.producer.message import Message
from ventes.producer.sender import Sender
from ventes.producer.spool import Spool


class Report:
    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row

    def key(self) -> bytes:
        return bytes(self._row["key"])

    def value(self) -> bytes:
        return bytes(self._row["value"])


class FakeClient:
    """Keeps produced messages until the test decides: `answer()` acknowledges, `answer(error)` fails."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.room = 1_000_000
        self.pending: deque[tuple[dict[str, Any], Callable[..., None]]] = deque()
        self.arrived: list[bytes] = []
        self._answers: list[tuple[int, KafkaError | None]] = []
        self.errors: list[KafkaError] = []
        self.closed = False

    def produce_batch(self, topic: str, messages: list[dict[str, Any]], *, on_delivery: Any) -> int:
        taken = messages[: self.room]
        self.pending.extend((row, on_delivery) for row in taken)
        for row in messages[self.room :]:
            row["_error"] = KafkaError(KafkaError._QUEUE_FULL)
        return len(taken)

    def answer(self, error: KafkaError | None = None, count: int = 1_000_000) -> None:
        self._answers.append((count, error))

    def poll(self, timeout: float) -> int:
        for trouble in self.errors:
            self.config["error_cb"](trouble)
        self.errors.clear()
        answers, self._answers = self._answers, []
        for count, error in answers:
            for row, report in [self.pending.popleft() for _ in range(min(count, len(self.pending)))]:
                if error is None:
                    self.arrived.append(row["value"])
                report(error, Report(row))
        return 0

    def purge(self) -> None:
        self.answer(KafkaError(KafkaError._PURGE_QUEUE))

    def close(self) -> bool:
        self.poll(0)
        self.closed = True
        return True

    def __len__(self) -> int:
        return len(self.pending)


class World:
    def __init__(self, folder: Path) -> None:
        self.clients: list[FakeClient] = []
        self.folder = folder
        self.unreachable = ""
        self.park_seconds = 60.0
        self.sender = self.start()

    def start(self) -> Sender:
        return Sender(
            Settings(paths={"state": self.folder}),
            Spool(self.folder / "spool"),
            self._connect,
            lambda settings: self.unreachable,
            retry_seconds=0.0,
            park_seconds=self.park_seconds,
        )

    def _connect(self, config: dict[str, Any]) -> FakeClient:
        self.clients.append(FakeClient(config))
        return self.clients[-1]

    @property
    def client(self) -> FakeClient:
        return self.clients[-1]

    @property
    def arrived(self) -> list[bytes]:
        return [value for client in self.clients for value in client.arrived]

    @property
    def spooled(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path.name.isdigit()]

    def counts(self) -> tuple[int, int, int]:
        sender = self.sender
        assert sender.accepted == sender.acked + sender.failed + sender.unacked
        return sender.acked, sender.failed, sender.unacked


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield (world := World(tmp_path))
    if not world.client.closed:
        world.sender.close(0)


def sales(first: int, count: int) -> list[Message]:
    return [Message(b"k%d" % number, b"v%d" % number) for number in range(first, first + count)]


def test_acknowledged_means_out_of_the_spool(world: World) -> None:
    world.sender.send(sales(0, 10))
    world.sender.send(sales(10, 10))
    assert world.counts() == (0, 0, 20)
    assert len(world.spooled) == 2
    world.client.answer(count=15)
    world.sender.poll(0)
    assert world.counts() == (15, 0, 5)
    assert len(world.spooled) == 1
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (20, 0, 0)
    assert world.spooled == []


def test_what_comes_back_is_sent_again(world: World) -> None:
    world.sender.send(sales(0, 4))
    world.client.answer(KafkaError(KafkaError._TRANSPORT), count=3)
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (1, 0, 3)
    world.sender.poll(0)
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (4, 0, 0)
    assert sorted(world.arrived) == [b"v0", b"v1", b"v2", b"v3"]
    assert world.spooled == []


def test_a_full_queue_only_delays(world: World) -> None:
    world.client.room = 6
    world.sender.send(sales(0, 10))
    assert world.counts() == (0, 0, 10)
    for _ in range(4):
        world.client.answer()
        world.sender.poll(0)
    assert world.counts() == (10, 0, 0)
    assert sorted(world.arrived) == sorted(message.value for message in sales(0, 10))


def test_a_refused_message_is_counted_and_holds_nothing_up(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.sender.send(sales(0, 3))
    world.client.answer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), count=1)
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (2, 1, 0)
    assert "v0" in caplog.text
    assert world.spooled == []


def test_a_failed_client_is_replaced_and_unacknowledged_sales_are_sent_again(world: World) -> None:
    world.sender.send(sales(0, 5))
    world.sender.send(sales(5, 5))
    world.sender.send(sales(10, 5))
    world.client.answer(count=5)
    world.client.answer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), count=1)
    world.client.answer(count=1)
    world.sender.poll(0)
    first = world.client
    first.errors.append(KafkaError(KafkaError._FATAL, "out of order", fatal=True))
    world.sender.poll(0)
    assert first.closed
    assert len(world.clients) == 2
    assert world.counts() == (5, 0, 10)
    world.sender.send(sales(15, 5))
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (20, 0, 0)
    assert set(world.arrived) == {message.value for message in sales(0, 20)}
    assert world.spooled == []


def test_what_an_end_leaves_the_next_run_sends(world: World) -> None:
    world.sender.send(sales(0, 5))
    world.client.answer(count=2)
    world.sender.close(0)
    assert len(world.spooled) == 1
    spool = Spool(world.folder / "spool")
    world.sender = Sender(Settings(paths={"state": world.folder}), spool, world._connect)
    assert [world.sender.resume(number) for number in spool.adopt()] == [5]
    world.client.answer()
    world.sender.poll(0)
    assert world.counts() == (5, 0, 0)
    assert set(world.arrived) == {message.value for message in sales(0, 5)}
    assert world.spooled == []


def test_closing_waits_no_longer_than_asked(world: World) -> None:
    world.sender.send(sales(0, 1))
    began = time.monotonic()
    world.sender.close(0.2)
    assert time.monotonic() - began < 2


def test_librdkafka_is_configured_to_keep_each_sale(world: World) -> None:
    config = world.client.config
    assert (config["enable.idempotence"], config["acks"], config["message.timeout.ms"]) == (True, "all", 0)


def test_without_a_broker_for_long_no_client_is_kept_and_nothing_is_lost(world: World) -> None:
    """A client that tries for hours may connect to itself, so that the broker cannot bind its port."""
    world.park_seconds, world.unreachable = 0.0, "127.0.0.1:9092: Connection refused"
    world.sender.close(0)
    world.sender = world.start()
    world.sender.send(sales(0, 10))
    world.client.answer(count=4)
    world.sender.poll(0)  # got an answer
    world.sender.poll(0)
    assert world.sender.parked
    assert world.client.closed
    assert world.sender.trouble == world.unreachable
    assert world.counts() == (4, 0, 6)
    assert len(world.spooled) == 1
    clients = len(world.clients)
    world.sender.poll(0)
    assert len(world.clients) == clients
    world.unreachable = ""
    world.sender.poll(0)
    assert not world.sender.parked
    world.client.answer()
    world.sender.poll(0)
    assert world.sender.unacked == 0
    assert set(world.arrived) == {message.value for message in sales(0, 10)}
    assert world.spooled == []


def test_the_client_of_a_broker_that_accepts_connections_is_kept(world: World) -> None:
    world.park_seconds = 0.0
    world.sender.close(0)
    world.sender = world.start()
    world.sender.send(sales(0, 10))
    for _ in range(3):
        world.sender.poll(0)
    assert not world.sender.parked
