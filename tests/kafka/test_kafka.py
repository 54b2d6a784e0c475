"""Requests to a real broker."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from harness.broker import Broker
from harness.pipeline import free_ports, wait_for
from harness.producing import MakeSettings
from harness.topics import create_topic
from ventes import kafka
from ventes.config import Settings
from ventes.errors import BrokerUnavailable
from ventes.producer.ids import lane_from_kafka
from ventes.runtime.stop import Stopper


def admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka.bootstrap})


def send(settings: Settings, count: int) -> None:
    with Producer({"bootstrap.servers": settings.kafka.bootstrap}) as producer:
        for _ in range(count):
            producer.produce(settings.topic, b"x")
        assert producer.flush(10) == 0


def delete(settings: Settings) -> None:
    with admin(settings) as client:
        client.delete_topics([settings.topic])[settings.topic].result(10)
    wait_for(lambda: kafka.topic_id(settings) is None, "the topic is gone", 20)


def test_a_topic_that_does_not_exist(settings: Settings) -> None:
    assert kafka.topic_id(settings) is None
    assert kafka.end_offsets(settings) == {}


def test_the_topic_id_is_what_kafka_prints(settings: Settings, broker: Broker) -> None:
    made = kafka.ensure_topic(settings)
    send(settings, 1)  # the broker stores the id next to a partition's first message
    noted = broker.settings.state / "kafka" / "data" / f"{settings.topic}-0" / "partition.metadata"
    wait_for(noted.is_file, f"{noted} is there", 10)
    on_disk = dict(line.split(": ", 1) for line in noted.read_text().splitlines())
    assert made == on_disk["topic_id"] == kafka.topic_id(settings)
    assert len(made) == 22


def test_many_topic_ids_use_kafkas_alphabet(make_settings: MakeSettings) -> None:
    ids = {kafka.ensure_topic(make_settings(topic=f"alphabet{number}")) for number in range(12)}
    assert len(ids) == 12
    assert not set("".join(ids)) & set("+/=")


def test_a_recreated_topic_has_another_id(settings: Settings) -> None:
    first = kafka.ensure_topic(settings)
    delete(settings)
    assert kafka.ensure_topic(settings) != first


def test_the_topic_is_created_according_to_the_settings(make_settings: MakeSettings) -> None:
    settings = make_settings(partitions=3, retention_hours=5, max_message_bytes=2_000_000, flush_every_message=True)
    kafka.ensure_topic(settings)
    with kafka.Admin(settings) as asked:
        found = asked.topic_settings()
        assert asked.partitions() == [0, 1, 2]
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == "18000000"
    assert found["max.message.bytes"] == "2000000"
    assert found["flush.messages"] == "1"


def test_an_existing_topic_is_reconfigured_and_keeps_its_messages(make_settings: MakeSettings) -> None:
    settings = make_settings()
    create_topic(settings.kafka.bootstrap, settings.topic, message_timestamp_type="CreateTime")
    wait_for(lambda: kafka.topic_id(settings), "the topic is there", 10)
    before = kafka.topic_id(settings)
    send(settings, 1)
    wider = make_settings(partitions=2)
    assert kafka.ensure_topic(wider) == kafka.ensure_topic(wider) == before
    with kafka.Admin(wider) as asked:
        assert asked.topic_settings()["message.timestamp.type"] == "LogAppendTime"
        wait_for(lambda: asked.partitions() == [0, 1], "two partitions", 10)
        wait_for(lambda: asked.end_offsets() == {0: (0, 1), 1: (0, 0)}, "the old message is still there", 10)


def test_an_existing_topic_of_an_external_broker_is_not_changed(make_settings: MakeSettings) -> None:
    theirs = make_settings(managed=False)
    create_topic(theirs.kafka.bootstrap, theirs.topic, message_timestamp_type="CreateTime")
    wait_for(lambda: kafka.topic_id(theirs), "the topic is there", 10)
    assert kafka.ensure_topic(theirs) == kafka.topic_id(theirs)
    with kafka.Admin(theirs) as asked:
        assert asked.topic_settings()["message.timestamp.type"] == "CreateTime"


def test_watermarks(settings: Settings) -> None:
    kafka.ensure_topic(settings)
    wait_for(lambda: kafka.end_offsets(settings) == {0: (0, 0)}, "an empty partition", 10)
    send(settings, 7)
    assert kafka.end_offsets(settings) == {0: (0, 7)}


def test_each_run_has_a_lane_of_its_own(settings: Settings) -> None:
    lanes = [lane_from_kafka(settings) for _ in range(3)]
    assert len(set(lanes)) == 3


# -- no broker -----------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> Settings:
    [port] = free_ports(1)
    return Settings(kafka={"port": port}, paths={"state": tmp_path})


def test_an_unreachable_broker_is_named_soon(nowhere: Settings) -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=rf"127\.0\.0\.1:{nowhere.kafka.port}.*refused.*ventes start"):
        kafka.topic_id(nowhere, timeout=0.5)
    with pytest.raises(BrokerUnavailable):
        kafka.end_offsets(nowhere, timeout=0.5)
    with pytest.raises(BrokerUnavailable):
        kafka.wait_until_ready(nowhere, 0.5)
    with pytest.raises(BrokerUnavailable):
        lane_from_kafka(nowhere, seconds=0.5)
    assert time.monotonic() - began < 10


def test_waiting_ends_on_a_stop_request(nowhere: Settings) -> None:
    stopper = Stopper()
    threading.Timer(0.3, stopper.stop).start()
    began = time.monotonic()
    assert kafka.wait_until_ready(nowhere, 60, stopper) is False
    assert time.monotonic() - began < 5


def test_waiting_ends_when_the_broker_answers(settings: Settings) -> None:
    assert kafka.wait_until_ready(settings, 10) is True


def test_questions_leave_no_thread_and_no_file_behind(settings: Settings, nowhere: Settings) -> None:
    def used() -> tuple[int, int]:
        return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    kafka.ensure_topic(settings)
    before = used()
    for _ in range(5):
        kafka.end_offsets(settings)
        with pytest.raises(BrokerUnavailable):
            kafka.topic_id(nowhere, timeout=0.1)
    # a thread of librdkafka may end a moment after its client was closed
    wait_for(
        lambda: all(now <= then for now, then in zip(used(), before, strict=True)), "threads and files are gone", 10
    )


def test_secrets_stay_out_of_errors_and_logs(nowhere: Settings, caplog: pytest.LogCaptureFixture) -> None:
    secret = "tr3s-s3cret"
    settings = Settings(
        kafka={
            "port": nowhere.kafka.port,
            "security": {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "ventes",
                "sasl.password": secret,
            },
        }
    )
    caplog.set_level("DEBUG")
    with pytest.raises(BrokerUnavailable) as caught:
        kafka.topic_id(settings, timeout=0.5)
    assert secret not in str(caught.value) + caplog.text
    assert kafka.client_config(settings)["sasl.password"] == secret
