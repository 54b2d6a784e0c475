"""`ventes stream init --from-topic` and `ventes produce --stream vols`, on a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from harness.broker import Broker
from harness.pipeline import wait_for
from harness.producing import IN_ORDER, Producers, Topic
from harness.topics import create_topic
from ventes.config import CONFIG_VARIABLE, PROJECT, Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.producer import flights
from ventes.propose.sample import from_topic
from ventes.stream import Boolean, Instant, Integer, Money, Text
from ventes.stream.loading import load


def send(settings: Settings, values: list[bytes], partitions: int = 1) -> None:
    """Create the topic of the settings and send the values, in turn to each partition."""
    create_topic(settings.kafka.bootstrap, settings.topic, partitions)
    client = Producer({"bootstrap.servers": settings.kafka.bootstrap, **IN_ORDER})
    for number, value in enumerate(values):
        client.produce(settings.topic, value, partition=number % partitions)
    assert client.flush(30) == 0


def numbered(count: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(count)]


def silent(_: str) -> None:
    """No progress is shown."""


def init(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """`ventes stream init bookings` from the topic of the settings, in `folder`."""
    (folder / "ventes.toml").write_text(
        f'[kafka]\nport = {settings.kafka.port}\ncontroller_port = 1\n[paths]\nlake = "lake"\nstate = "state"\n'
    )
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from ventes.cli import main; sys.exit(main())", "stream", "init",
         "bookings", "--from-topic", settings.topic],
        env={**os.environ, CONFIG_VARIABLE: str(folder / "ventes.toml"), "PYTHONPATH": str(PROJECT / "src")},
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_topic_of_odd_messages_becomes_a_declaration_that_loads(
    settings: Settings, topic: Topic, tmp_path: Path
) -> None:
    rng = Random(3)
    begin = datetime.now(timezone.utc) - timedelta(hours=1)
    made: list[dict[str, Any]] = [
        {
            "bookingId": f"b-{number}",
            "booked": {"at": (begin + timedelta(seconds=number)).isoformat()},
            "price": rng.randrange(1_000, 9_999) / 100,
            "guests": rng.randrange(1, 5),
            "hotel": rng.choice(["Rivage", "Colline", "Port"]),
            "paid": rng.random() < 0.5,
        }
        for number in range(997)
    ]
    del made[10]["guests"]
    made[20]["price"] = "free"
    values = [json.dumps(each).encode() for each in made]
    values[500:500] = [b"\xff", b"{", b""]
    send(settings, values)
    process = init(settings, tmp_path)
    said, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (0, "")
    assert "it takes 996 of 1,000 messages and rejects 4\n" in said
    for reason, place in (("type:price", "0:20"), ("not_utf8", "0:500"), ("not_json", "0:501"), ("empty", "0:502")):
        (line,) = [line for line in said.splitlines() if f"1 {reason} " in line]
        assert f"first: {place} " in line
    stream = load(tmp_path / "streams" / "bookings.py")
    assert stream.topic == settings.topic
    assert {".".join(field.keys): type(field) for field in stream.event.read} == {
        "bookingId": Text, "booked.at": Instant, "price": Money, "guests": Integer, "hotel": Text, "paid": Boolean,
    }  # fmt: skip
    assert (stream.event.id, stream.event.at) == ("bookingId", "booked_at")
    assert [field.name for field in stream.event.read if field.optional] == ["guests"]
    assert [field.name for field in stream.event.read if field.dimension] == ["hotel"]
    assert topic.size == 1_000  # it only read


def test_the_oldest_of_each_partition_and_some_of_its_newest(settings: Settings) -> None:
    send(settings, numbered(3_000), partitions=3)
    sample = from_topic(settings, 150, silent)
    assert sample.remarks == ()
    places = [message.place for message in sample.messages]
    offsets = [*range(40), *range(990, 1_000)]
    assert places == [f"{partition}:{offset}" for partition in range(3) for offset in offsets]
    values = [json.loads(message.value or b"")["n"] for message in sample.messages]
    assert values == [partition + 3 * offset for partition in range(3) for offset in offsets]


def test_a_short_topic_is_read_once(settings: Settings) -> None:
    send(settings, numbered(7))
    assert [message.value for message in from_topic(settings, 1_000, silent).messages] == numbered(7)


def test_no_topic_and_no_message_are_named(settings: Settings) -> None:
    with pytest.raises(VentesError, match="there is no topic"):
        from_topic(settings, 10, silent)
    send(settings, [])
    with pytest.raises(VentesError, match="has no message → send some"):
        from_topic(settings, 10, silent)


def test_a_silent_broker_ends_it_in_time(settings: Settings, broker: Broker) -> None:
    send(settings, numbered(100))
    broker.pause()
    try:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            from_topic(settings, 10, silent, seconds=2)
        assert time.monotonic() - began < 20
    finally:
        broker.resume()


def test_ctrl_c_ends_it_and_writes_nothing(settings: Settings, broker: Broker, tmp_path: Path) -> None:
    send(settings, numbered(100))
    broker.pause()
    try:
        process = init(settings, tmp_path)
        wait_for(lambda: psutil.Process(process.pid).net_connections(), "a connection to the broker", 20)
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate(timeout=30)
    finally:
        broker.resume()
    assert (process.returncode, said, wrong) == (130, "", "")
    assert not (tmp_path / "streams").exists()


def test_flights_are_replayed_each_once_and_a_second_run_goes_on(
    producers: Producers, topic: Topic, settings: Settings
) -> None:
    vols = ("--stream", "vols", "--topic", settings.topic, "--rate", "max")
    first = producers.run(*vols, "--count", "2000")
    assert "2,000 acked, 0 failed, 0 on their way" in first
    second = producers.run(*vols, "--count", "1500")
    assert "1,500 acked, 0 failed, 0 on their way" in second
    assert topic.values() == first_flights(3_500)


def test_flights_are_complete_after_kill_9(producers: Producers, topic: Topic, settings: Settings) -> None:
    """Some may come twice, with the same id; none is missing."""
    vols = ("--stream", "vols", "--topic", settings.topic, "--rate", "max")
    process = producers.start(*vols)
    wait_for(lambda: topic.exceeds(5_000), "flights arrive", 40)
    process.kill()
    process.wait(10)
    producers.run(*vols, "--count", "1000")
    sent = list(dict.fromkeys(topic.values()))
    assert len(sent) > 6_000
    assert sorted(sent) == sorted(first_flights(len(sent)))


def first_flights(count: int) -> list[bytes]:
    return [message.value for message in islice(flights.flights(flights.data_file()), count)]
