"""producer.py as users run it, on a real broker: what it guarantees when it, or the broker, is killed."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient

from harness.broker import Broker
from harness.pipeline import wait_for
from harness.producing import Producers, Topic
from harness.verdicts import judge
from ventes import kafka
from ventes.config import Settings
from ventes.producer.ids import LANES
from ventes.producer.sender import MAX_UNACKED
from ventes.runtime import heartbeat


def spooled(settings: Settings) -> list[int]:
    """The ids in the spool."""
    files = [path for path in (settings.state / "spool").rglob("*") if path.is_file() and path.name.isdigit()]
    lines = [line for path in files for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line.split(b"\t", 1)[1])["vente_id"] for line in lines]


def missing(ids: set[int]) -> list[int]:
    """The gaps of each run: at full speed a run uses every tick of its lane, so a gap is a lost sale."""
    lost = []
    for lane in {number % LANES for number in ids}:
        run = {number for number in ids if number % LANES == lane}
        lost += [number for number in range(min(run), max(run) + 1, LANES) if number not in run]
    return lost


def one_text_each(values: list[bytes]) -> bool:
    """Whether messages with the same id are the same message."""
    distinct = set(values)
    return len(distinct) == len({json.loads(value)["vente_id"] for value in distinct})


def test_count_is_exact(producers: Producers, topic: Topic, settings: Settings) -> None:
    said = producers.run("--rate", "max", "--count", "12345", "--seed", "1")
    ids = topic.ids()
    assert len(ids) == len(set(ids)) == 12_345
    assert ids == sorted(ids)
    assert "12,345 acked, 0 failed, 0 on their way" in said
    assert spooled(settings) == []
    assert kafka.topic_id(settings) is not None


def test_each_message_is_keyed_and_valid(producers: Producers, topic: Topic) -> None:
    producers.run("--rate", "max", "--count", "300")
    now = datetime.now(timezone.utc)
    assert {judge(value, now).motifs for value in topic.values()} == {()}


def test_bad_share_arrives_as_reported(producers: Producers, topic: Topic) -> None:
    said = producers.run("--rate", "max", "--count", "2010", "--bad", "5", "--duplicates", "1", "--late", "2")
    now = datetime.now(timezone.utc)
    values = topic.values()
    judged = [judge(value, now) for value in values]
    reasons = Counter(reason for each in judged for reason in each.motifs)
    assert reasons.total() == sum(bool(each.motifs) for each in judged) == 100
    assert len(values) == 2030
    assert "100 bad (" in said
    for reason, count in reasons.items():
        assert f"{reason} {count}" in said


def test_killed_at_full_speed_nothing_is_lost(producers: Producers, topic: Topic, settings: Settings) -> None:
    for _ in range(3):
        enough = topic.size + MAX_UNACKED + 10_000  # more than what the run before can have left
        producer = producers.start("--rate", "max")
        wait_for(partial(topic.exceeds, enough), "sales flow", 30)
        producer.send_signal(signal.SIGKILL)
        producer.communicate()
    left = spooled(settings)
    assert left, "killed at full speed there is always something on its way"
    said = producers.run("--count", "1")
    values = topic.values()
    ids = {json.loads(value)["vente_id"] for value in values}
    assert set(left) <= ids
    assert missing(ids) == []
    assert len({number % LANES for number in ids}) == 4, "each run has a lane of its own"
    assert one_text_each(values)
    assert "earlier run" in said
    assert spooled(settings) == []


def test_what_was_spooled_but_never_sent_arrives(producers: Producers, topic: Topic, settings: Settings) -> None:
    producer = producers.start("--rate", "max", VENTES_FAILPOINTS="producer.after_spool@3:kill9")
    producer.communicate(timeout=30)
    assert producer.returncode == -signal.SIGKILL
    left = spooled(settings)
    assert len(left) >= 1_000
    assert not set(left) <= set(topic.ids()), "the last batch was never handed over"
    producers.run("--count", "0")
    assert set(left) <= set(topic.ids())


def test_several_at_once_killed_at_random(producers: Producers, topic: Topic, settings: Settings) -> None:
    started = [producers.start("--rate", "max") for _ in range(3)]
    wait_for(lambda: topic.size > 30_000, "sales flow", 40)
    for producer in started:
        producer.send_signal(signal.SIGKILL)
        producer.communicate()
    left = spooled(settings)
    producers.run("--count", "0")
    values = topic.values()
    assert one_text_each(values), "an id never stands for two sales"
    assert set(left) <= {json.loads(value)["vente_id"] for value in values}


def test_broker_killed_and_back_nothing_is_lost(
    producers: Producers, topic: Topic, settings: Settings, broker: Broker
) -> None:
    producer = producers.start("--rate", "3000", "--count", "30000", VENTES_SUPERVISED="1")
    wait_for(lambda: topic.size > 3_000, "sales flow", 30)
    broker.kill()
    try:
        wait_for(lambda: phase(settings) == "waiting", "the producer says that it waits", 20)
        record = heartbeat.read(settings.state, "producer")
        assert record is not None
        assert settings.kafka.bootstrap in record.reason
        assert record.lag
        assert producer.poll() is None
    finally:
        broker.start()
    _, said = producer.communicate(timeout=90)
    assert producer.returncode == 0, said
    ids = topic.ids()
    assert len(set(ids)) == 30_000
    assert spooled(settings) == []


def test_it_waits_for_a_broker_that_comes_later(
    producers: Producers, topic: Topic, settings: Settings, broker: Broker
) -> None:
    broker.stop()
    try:
        producer = producers.start("--rate", "max", "--count", "10", VENTES_SUPERVISED="1")
        wait_for(lambda: phase(settings) == "waiting", "it says that it waits", 20)
    finally:
        broker.start()
    producer.communicate(timeout=60)
    assert producer.returncode == 0
    assert len(topic.ids()) == 10


def test_terminated_while_the_broker_hangs_it_keeps_the_rest(
    producers: Producers, topic: Topic, settings: Settings, broker: Broker
) -> None:
    producer = producers.start("--rate", "max")
    wait_for(lambda: topic.size > 5_000, "sales flow", 30)
    broker.pause()
    try:
        began = time.monotonic()
        producer.terminate()
        producer.communicate(timeout=15)
        assert time.monotonic() - began < 10
        assert producer.returncode == 0
        left = spooled(settings)
        assert left
    finally:
        broker.resume()
    producers.run("--count", "0")
    ids = set(topic.ids())
    assert set(left) <= ids
    assert missing(ids) == []


def test_terminated_it_ends_at_once_with_an_empty_spool(producers: Producers, topic: Topic, settings: Settings) -> None:
    producer = producers.start(VENTES_SUPERVISED="1")
    wait_for(lambda: topic.size >= 1, "the first sale", 30)
    began = time.monotonic()
    producer.terminate()
    producer.communicate(timeout=15)
    assert time.monotonic() - began < 3
    assert producer.returncode == 0
    assert spooled(settings) == []
    assert phase(settings) == "stopped"


def test_a_topic_deleted_while_selling_is_created_again(producers: Producers, topic: Topic, settings: Settings) -> None:
    producer = producers.start("--rate", "500")
    wait_for(lambda: topic.size > 200, "sales flow", 30)
    first = kafka.topic_id(settings)
    with AdminClient({"bootstrap.servers": settings.kafka.bootstrap}) as client:
        client.delete_topics([settings.topic])[settings.topic].result(10)
    wait_for(lambda: kafka.topic_id(settings) not in {None, first}, "a new topic", 40)
    wait_for(lambda: topic.size > 200, "sales flow into it", 40)
    producer.terminate()
    producer.communicate(timeout=15)
    assert producer.returncode == 0
    assert spooled(settings) == []


def test_the_service_writes_the_guides_log_and_a_visitor_does_not(
    producers: Producers, topic: Topic, settings: Settings, tmp_path: Path
) -> None:
    service = producers.start()
    wait_for(lambda: phase(settings) == "running" and topic.size >= 2, "two sales", 30)
    record = heartbeat.read(settings.state, "producer")
    assert record is not None
    assert record.pid == service.pid
    producers.run("--rate", "max", "--count", "50", "--seed", "3")
    again = heartbeat.read(settings.state, "producer")
    assert again is not None
    assert again.pid == service.pid
    assert again.phase == "running"
    service.terminate()
    service.communicate(timeout=15)
    lines = (tmp_path / "logs" / "producer.log").read_text(encoding="utf-8").splitlines()
    sales = [line for line in lines if " sale " in line]
    assert 2 <= len(sales) <= 20
    assert "acked" in sales[0]
    assert "50 sales" not in "\n".join(lines)


def phase(settings: Settings) -> str:
    record = heartbeat.read(settings.state, "producer")
    return record.phase if record is not None else ""
