"""The managed broker: start, stop, kill -9, a port in use, and its command line."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from harness.broker import Broker
from harness.odd_messages import Transactions
from harness.pipeline import free_ports
from ventes import kafka
from ventes.broker import managed
from ventes.config import Settings
from ventes.errors import ConfigError, LakeDamaged

GUIDE_PATTERN = re.compile("producer|spark_streaming|streamlit")


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    port, controller = free_ports(2)
    return Settings(
        kafka={"port": port, "controller_port": controller},
        paths={"state": tmp_path / "st ate", "logs": tmp_path / "logs", "lake": tmp_path / "lake"},
    )


@pytest.fixture
def own(own_settings: Settings) -> Iterator[Broker]:
    """A broker, not started yet, that the test may kill."""
    one = Broker(own_settings)
    yield one
    one.kill()


def test_messages_and_topic_survive_kill_9_and_sigterm(own: Broker) -> None:
    settings = own.settings
    assert managed.ready(settings)[0] is False
    own.start()
    identity = managed.cluster_id(settings)
    topic = kafka.ensure_topic(settings)
    sender = Producer(kafka.client_config(settings, acks="all"))
    for number in range(100):
        sender.produce(settings.topic, str(number).encode())
    assert sender.flush(20) == 0

    assert own.kill() == -signal.SIGKILL
    own.start(30)
    assert kafka.topic_id(settings) == topic
    assert kafka.end_offsets(settings) == {0: (0, 100)}

    began = time.monotonic()
    own.stop(10)
    assert time.monotonic() - began < 10
    own.start()
    assert managed.cluster_id(settings) == identity
    reader = Consumer(kafka.client_config(settings, **{"group.id": "x", "enable.auto.commit": False}))
    reader.assign([TopicPartition(settings.topic, 0, 0)])
    values = [message.value() for message in reader.consume(100, timeout=20)]
    reader.close()
    assert values == [str(number).encode() for number in range(100)]


def _without_time(line: str) -> str:
    """The text of a line of the log. The lines of a stack trace have no time, and are different texts."""
    return re.sub(r"^\S+Z ", "", line)


def test_a_transaction_that_kill_9_interrupts_does_not_flood_the_log(own: Broker) -> None:
    """The broker sends itself a request to end it, 20 times per second until it listens."""
    own.start()
    kafka.ensure_topic(own.settings)
    Transactions(own.settings).commit(3)
    own.kill()
    own.start()
    lines = own.settings.log("broker").read_text(encoding="utf-8").splitlines()
    repeated = Counter(_without_time(line) for line in lines)
    assert max(repeated.values()) < 10, repeated.most_common(1)


def test_it_listens_on_this_machine_only_and_escapes_the_guides_pkill(own: Broker) -> None:
    own.start()
    assert own.process is not None
    process = psutil.Process(own.process.pid)
    listening = {c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    ours = own.settings.kafka
    assert {(a.ip.removeprefix("::ffff:"), a.port) for a in listening} == {
        ("127.0.0.1", ours.port),
        ("127.0.0.1", ours.controller_port),
    }
    # Options and class path, with jar names such as kafka-streams, are in a file.
    own_part = " ".join(process.cmdline()).replace(str(own.settings.state), "")
    assert not GUIDE_PATTERN.search(own_part)
    text = own.settings.log("broker").read_text(encoding="utf-8")
    assert "Kafka Server started" in text
    assert len(text.splitlines()) < 60


def test_a_port_that_is_taken_ends_it_with_a_clear_line(own: Broker) -> None:
    with socket.create_server(("127.0.0.1", own.settings.kafka.port)):
        own.launch()
        assert own.process is not None
        assert own.process.wait(30) != 0
        answers, why = managed.ready(own.settings)
    assert not answers
    assert "does not answer as Kafka" in why
    assert "Address already in use" in own.output


def test_another_kafka_at_our_address_is_not_ours(broker: Broker, tmp_path: Path) -> None:
    settings = broker.settings.model_copy(
        update={"paths": broker.settings.paths.model_copy(update={"state": tmp_path / "other"})}
    )
    identity = tmp_path / "other" / "kafka" / "data" / "meta.properties"
    identity.parent.mkdir(parents=True)
    identity.write_text("version=1\ncluster.id=somebody-else\n")
    answers, why = managed.ready(settings)
    assert not answers
    assert "another one" in why


def test_a_hung_broker_is_reported_as_not_ready_in_time(own: Broker) -> None:
    own.start()
    own.pause()
    began = time.monotonic()
    answers, why = managed.ready(own.settings)
    own.resume()
    assert not answers
    assert why
    assert time.monotonic() - began < 8


def test_prepare_is_idempotent_private_and_survives_an_interrupted_format(own_settings: Settings) -> None:
    half = managed.folder(own_settings) / ".data.new" / "__cluster_metadata-0"
    half.mkdir(parents=True)
    managed.prepare(own_settings)
    identity = managed.cluster_id(own_settings)
    assert identity
    managed.prepare(own_settings)
    assert managed.cluster_id(own_settings) == identity
    home = managed.folder(own_settings)
    assert not half.exists()
    assert os.stat(home / "server.properties").st_mode & 0o077 == 0


def test_data_without_identity_is_refused_not_formatted(own_settings: Settings) -> None:
    stray = managed.folder(own_settings) / "data" / "ventes_stream-0"
    stray.mkdir(parents=True)
    with pytest.raises(LakeDamaged, match=r"meta\.properties"):
        managed.prepare(own_settings)
    assert stray.exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": "0.0.0.0"}, "0.0.0.0"),
        ({"controller_port": 9092}, "9092"),
        ({"security": {"security.protocol": "SSL"}}, "kafka.security"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    settings = Settings(kafka=changes, paths={"state": tmp_path / "state", "logs": tmp_path})
    with pytest.raises(ConfigError, match=re.escape(named)):
        managed.prepare(settings)
    assert not (tmp_path / "state" / "kafka" / "data").exists()


def test_a_cluster_id_is_never_taken_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xfb" * 16), uuid.UUID(bytes=b"\x01" * 16)])  # the first one's text begins with "-"
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert managed._new_identity() == "AQEBAQEBAQEBAQEBAQEBAQ"
