"""A broker may be lost at any moment (before, during and after each call of the Kafka client): the job waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event
from typing import Any, ClassVar

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from harness.ingested import sale
from harness.pipeline import wait_for
from harness.shipped import BRONZE
from tests.kafka.test_embedded_bronze import arrived, running_job, send
from ventes import kafka
from ventes.config import Settings
from ventes.kafka import admin, client
from ventes.lake import tables

DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
LOST = KafkaError(KafkaError._TRANSPORT, "the connection broke")
WHEN = ("before", "inside", "after")
CALLS = ("assign", "consume", "get_watermark_offsets", "close")


class Losing:
    """Loses the connection once: at the `number`-th call of `name`, at the moment `when`."""

    def __init__(self, name: str, number: int, when: str) -> None:
        self._name, self._number, self._when = name, number, when
        self._calls: Counter[str] = Counter()
        self.lost = False

    def around(self, name: str, call: Callable[..., Any], heard: Callable[[KafkaError], None]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            self._calls[name] += 1
            if self.lost or name != self._name or self._calls[name] != self._number:
                return call(*given, **named)
            self.lost = True
            if self._when == "inside":
                heard(LOST)
                heard(DOWN)
                if name == "close":
                    call(*given, **named)
                raise KafkaException(LOST)
            if self._when == "before":
                heard(DOWN)
            found = call(*given, **named)
            if self._when == "after":
                heard(DOWN)
            return found

        return made


class LosingConsumer:
    """A real consumer that reports a lost connection when `losing` does."""

    def __init__(self, config: dict[str, Any], losing: Losing) -> None:
        self._real = Consumer(config)
        for name in CALLS:
            setattr(self, name, losing.around(name, getattr(self._real, name), config["error_cb"]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    ("call", "number"),
    [("assign", 1), ("consume", 1), ("consume", 2), ("consume", 5), ("get_watermark_offsets", 1), ("close", 1)],
)
def test_reading_continues(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, call: str, number: int, when: str
) -> None:
    losing = Losing(call, number, when)
    monkeypatch.setattr(client, "Consumer", lambda config: LosingConsumer(config, losing))
    kafka.ensure_topic(settings)
    send(settings, *({"value": sale(number)} for number in range(20)))
    with running_job(settings):
        wait_for(arrived(settings, {0: 19}), "twenty sales", 30)
        send(settings, *({"value": sale(number)} for number in range(20, 40)))
        wait_for(arrived(settings, {0: 39}), "twenty more", 30)
    assert losing.lost
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["offset"].to_pylist()) == list(range(40))


class SilentAdmin:
    """A real admin client; the `number`-th question of `name`, of all clients, is never answered."""

    asked: ClassVar[Counter[str]] = Counter()

    def __init__(self, config: dict[str, Any], name: str, number: int) -> None:
        self._real = AdminClient(config)
        self._name, self._number = name, number
        self._silent = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in ("describe_topics", "list_offsets"):
            return real

        def ask(asked: Any, **named: Any) -> Any:
            self.asked[name] += 1
            self._silent = self._silent or (name == self._name and self.asked[name] == self._number)
            if not self._silent:  # this client gets no answer any more: only a new one does
                return real(asked, **named)
            never: Future[Any] = Future()
            never.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer")))
            keys = asked if isinstance(asked, dict) else [settings_topic(asked)]
            return dict.fromkeys(keys, never)

        return ask

    def __exit__(self, *given: Any) -> Any:
        return self._real.__exit__(*given)


def settings_topic(asked: Any) -> str:
    return str(asked.topic_names[0])


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in ("describe_topics", "list_offsets") for number in (1, 2)]
)
def test_an_admin_client_without_answers_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    kafka.ensure_topic(settings)
    SilentAdmin.asked = Counter()
    monkeypatch.setattr(admin, "AdminClient", lambda config: SilentAdmin(config, name, number))
    send(settings, *({"value": sale(number)} for number in range(20)))
    with running_job(settings):
        wait_for(arrived(settings, {0: 19}), "twenty sales", 30)
        send(settings, *({"value": sale(number)} for number in range(20, 40)))
        wait_for(arrived(settings, {0: 39}), "twenty more", 30)
    assert SilentAdmin.asked[name] >= number
    assert tables.snapshot(settings, BRONZE).rows == 40


def test_a_client_that_does_not_close_is_abandoned() -> None:
    never = Event()
    assert kafka.closed_within(never.wait, 0.2) is False
    never.set()


def test_the_same_error_of_librdkafka_gives_the_same_text() -> None:
    """So one lost connection is one line in the log, however often it is retried."""
    texts = [
        f"127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
        f"(after {number}ms in state CONNECT, {number} identical error(s) suppressed)"
        for number in range(3)
    ]
    assert {kafka.plain(text) for text in texts} == {"Connect to ipv4#127.0.0.1:9092 failed: Connection refused"}
