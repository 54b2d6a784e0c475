"""What is decided about a cluster without one: replicas of a new topic, doctor's findings, servers that are off."""

from __future__ import annotations

import socket
import time

import pytest

from harness.silent_server import silent_server
from ventes import config, kafka
from ventes.check.doctor import cluster as doctor
from ventes.config import Settings
from ventes.errors import ConfigError
from ventes.kafka import Cluster, Partition
from ventes.kafka.topology import least_in_sync, replicas
from ventes.settings.kafka import Kafka

SETTINGS = Settings(kafka={"bootstrap": "h1:9092,h2:9092,h3:9092"})
THREE = Cluster("c", dict.fromkeys((1, 2, 3), ("h", 9092)))


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("h1", "number 1 is not"),
        ("h1:9092,h2", "number 2 is not"),
        ("h1:9092;h2:9092", "number 1 is not"),
        ("h1:9092,", "number 2 is not"),
        ("kafka://h1:9092", "number 1 is not"),
        ("h1:0", "the port of number 1 must be 1 to 65535"),
        ("h1:9092,h2:70000", "the port of number 2"),
        ("h1:9092, h1:9092", "number 2 is there twice"),
    ],
)
def test_a_wrong_list_of_servers_is_named_by_key_and_place(
    monkeypatch: pytest.MonkeyPatch, text: str, named: str
) -> None:
    monkeypatch.setenv("VENTES_KAFKA__BOOTSTRAP", text)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert "kafka.bootstrap = " in str(caught.value)
    assert named in str(caught.value)
    assert "VENTES_KAFKA__BOOTSTRAP" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"REPLICATION": "3"}, "replication and min_insync_replicas are for a cluster"),
        ({"MIN_INSYNC_REPLICAS": "2"}, "replication and min_insync_replicas are for a cluster"),
        ({"BOOTSTRAP": "h:1", "REPLICATION": "2", "MIN_INSYNC_REPLICAS": "3"}, "min_insync_replicas = 3 is more than"),
        ({"BOOTSTRAP": "h:1", "REPLICATION": "-1"}, "kafka.replication = -1"),
    ],
)
def test_replicas_that_cannot_be_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], named: str
) -> None:
    for key, value in values.items():
        monkeypatch.setenv(f"VENTES_KAFKA__{key}", value)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert named in str(caught.value)


def test_servers_alone_mean_that_somebody_else_runs_the_cluster() -> None:
    assert Kafka().managed
    ours = Kafka(bootstrap=" h1:9092 , [::1]:9093,h2:9094 ", managed=True)
    assert not ours.managed
    assert ours.bootstrap == "h1:9092,[::1]:9093,h2:9094"
    assert ours.addresses == (("h1", 9092), ("::1", 9093), ("h2", 9094))


# -- replicas of a new topic --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "alive", "servers", "expected"),
    [
        (0, 1, 1, (1, 1)),
        (0, 2, 1, (2, 1)),
        (0, 3, 1, (3, 2)),
        (0, 9, 1, (3, 2)),
        (0, 2, 3, (3, 2)),  # one of three is down at this moment
        (5, 3, 3, (5, 4)),  # asked for: the cluster itself refuses what it cannot make
        (1, 3, 3, (1, 1)),
    ],
)
def test_a_new_topic_survives_one_broker_where_it_can(
    asked: int, alive: int, servers: int, expected: tuple[int, int]
) -> None:
    brokers = Cluster("c", dict.fromkeys(range(alive), ("h", 9092)))
    count = replicas(asked, brokers, servers)
    assert (count, least_in_sync(0, count)) == expected
    assert least_in_sync(1, count) == 1


# -- doctor -------------------------------------------------------------------------------------


def part(number: int, leader: int | None, replicas: str, in_sync: str) -> Partition:
    """'123': on the brokers 1, 2 and 3."""
    return Partition(number, leader, tuple(map(int, replicas)), tuple(map(int, in_sync)))


def said(*partitions: Partition, least: str = "2", cluster: Cluster = THREE) -> list[tuple[str, str]]:
    own = {"min.insync.replicas": least, "max.message.bytes": str(SETTINGS.kafka.max_message_bytes)}
    return [(finding.level, finding.cause) for finding in doctor.topic(SETTINGS, cluster, partitions, own)]


def test_a_sound_topic_is_one_good_line() -> None:
    assert said(part(0, 1, "123", "123"), part(1, 2, "231", "231")) == [
        ("ok", "2 partitions, each with a leader; replicas 3, all in sync; min.insync.replicas 2")
    ]
    alone = Cluster("c", {1: ("h", 9092)})
    assert said(part(0, 1, "1", "1"), least="1", cluster=alone)[0][0] == "ok"


def test_what_is_missing_is_named_by_partition() -> None:
    assert said(part(0, 1, "123", "12"), part(1, 1, "123", "123")) == [
        ("warn", "replicas are missing for partition(s) 0")
    ]
    ((level, cause),) = said(part(0, 1, "123", "1"), part(1, 1, "123", "12"))
    assert level == "bad"
    assert cause.startswith("partition(s) 0 take no messages: ")
    (first, second) = said(part(0, None, "123", ""), part(4, 2, "123", "23"))
    assert first == ("bad", "no leader for partition(s) 0: nothing can be read or sent there")
    assert second == ("warn", "replicas are missing for partition(s) 4")


def test_what_a_lost_broker_would_cost_is_a_warning() -> None:
    ((level, cause),) = said(part(0, 1, "12", "12"), least="1")
    assert level == "warn"
    assert "2 replicas, and there are 3 brokers" in cause
    ((level, cause),) = said(part(0, 1, "123", "123"), least="1")
    assert "on one broker only" in cause
    ((level, cause),) = said(part(0, 1, "123", "123"), least="3")
    assert "with any broker down nothing can be sent" in cause
    two_left = Cluster("c", {1: ("h", 9092), 2: ("h", 9092)})
    assert any("and there are 3 brokers" in cause for _, cause in said(part(0, 1, "13", "1"), cluster=two_left))


def test_a_smaller_limit_of_the_topic_and_no_topic_are_warnings() -> None:
    small = {"min.insync.replicas": "2", "max.message.bytes": "1000"}
    *_, last = doctor.topic(SETTINGS, THREE, [part(0, 1, "123", "123")], small)
    assert (last.level, "1,000" in last.cause) == ("warn", True)
    (missing,) = doctor.topic(SETTINGS, THREE, [], {})
    assert (missing.level, missing.cause) == ("warn", "is not there")


def test_keys_without_effect_and_missing_ones_are_named() -> None:
    unused = Settings(engine="embedded", kafka={"bootstrap": "127.0.0.1:1", "security": {"sasl.password": "canary"}})
    found = list(doctor.findings(unused))
    assert found[0].cause == "sasl.password means nothing with security.protocol PLAINTEXT"
    assert "canary" not in str(found)
    security = {"security.protocol": "sasl_ssl", "sasl.mechanism": "scram-sha-512"}
    (missing,) = doctor.findings(Settings(kafka={"bootstrap": "127.0.0.1:1", "security": security}))
    assert missing.cause == "security.protocol asks for a login, and sasl.username, sasl.password is not set"


# -- servers ------------------------------------------------------------------------------------


def test_servers_that_are_off_do_not_delay_one_that_answers() -> None:
    with silent_server() as first, silent_server() as second, socket.create_server(("127.0.0.1", 0)) as good:
        answering = f"127.0.0.1:{good.getsockname()[1]}"
        began = time.monotonic()
        assert kafka.unreachable(Settings(kafka={"bootstrap": f"{first},{second},{answering}"}), 20.0) == ""
        assert time.monotonic() - began < 10
        assert kafka.unreachable(Settings(kafka={"bootstrap": f"{first},{second}"}), 0.2)


def test_a_name_that_is_not_known_is_said_beside_the_others() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    why = kafka.unreachable(Settings(kafka={"bootstrap": f"{closed},no-such-host.invalid:9092"}))
    assert "refused" in why
    assert "no-such-host.invalid" in why
