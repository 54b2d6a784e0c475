"""`ventes recover` and `status` for a topic that is not the one that Bronze has read."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from harness.pipeline import wait_for
from harness.producing import IN_ORDER, MakeSettings
from harness.sample_lake import add, messages
from harness.shipped import ALL
from ventes import kafka
from ventes.check import lag
from ventes.config import Settings
from ventes.engines import source
from ventes.lake import accepted_gaps, tables
from ventes.lake.positions import positions
from ventes.operations import recover

NOW = datetime(2026, 1, 5, tzinfo=timezone.utc)


def send(settings: Settings, count: int) -> None:
    producer = Producer(kafka.client_config(settings, **IN_ORDER))
    for number in range(count):
        producer.produce(settings.topic, f"message {number}".encode())
    assert producer.flush(30) == 0


def delete_topic(settings: Settings) -> None:
    config = kafka.client_config(settings)
    del config["logger"]
    with AdminClient(config) as client:
        client.delete_topics([settings.topic])[settings.topic].result(15)
    wait_for(lambda: kafka.topic_id(settings) is None, "the topic is gone")


def test_lag_is_what_the_topic_holds_and_the_age_of_its_first_message(make_settings: MakeSettings) -> None:
    settings = make_settings()
    kafka.ensure_topic(settings)
    empty = lag.of_bronze(settings, time.time())
    assert (empty.messages, empty.seconds, empty.problem) == (0, 0.0, "")
    send(settings, 5)
    found = lag.of_bronze(settings, time.time() + 100)
    assert found.messages == 5
    assert found.seconds is not None
    assert 99 < found.seconds < 130
    assert lag.of_bronze(settings, time.time() - 100) == lag.Lag(5, None), "they came in the future: of no age"
    assert lag.of_silver(settings, time.time()).messages is None  # there is no Bronze table


def test_a_recreated_topic_needs_recover_and_then_reading_continues(make_settings: MakeSettings) -> None:
    settings = make_settings()
    old = kafka.ensure_topic(settings)
    for table in ALL:
        tables.ensure(settings, table)
    rows = messages(0, 3, NOW)
    add(settings, rows.set_column(rows.schema.get_field_index("topic_id"), "topic_id", [[old] * rows.num_rows]))
    assert (
        "its end was lost" in recover.compare(settings, NOW).differences[0].text
    )  # Bronze has three messages, the topic none
    send(settings, 3)
    assert recover.compare(settings, NOW).differences == ()
    delete_topic(settings)
    new = kafka.ensure_topic(settings)
    send(settings, 2)
    assert "ventes recover" in lag.of_bronze(settings, time.time()).problem
    wanted = recover.compare(settings, NOW)
    assert "created anew" in wanted.differences[0].text
    assert wanted.lost == 0
    assert accepted_gaps.read(settings.lake).gaps == ()  # the plan alone changes nothing
    recover.record(settings, wanted)
    assert recover.compare(settings, NOW).differences == ()
    resumed = source.resume(
        source.read_topic(settings), positions(settings.bronze), accepted_gaps.read(settings.lake), NOW
    )
    assert (resumed.topic_id, dict(resumed.offsets)) == (new, {0: 0})
    assert lag.of_bronze(settings, time.time()).messages == 2
