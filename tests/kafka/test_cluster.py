"""A cluster of three brokers that loses one, then two: reading continues as soon as the cluster works again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from harness.cluster import Cluster, Node, running_cluster, settings_for
from harness.ingested import sale
from harness.pipeline import wait_for
from harness.shipped import BRONZE
from tests.kafka.test_embedded_bronze import phase, running_job
from ventes import kafka
from ventes.config import Settings
from ventes.errors import BrokerUnavailable
from ventes.lake import accepted_gaps, tables

ELECTION_SECONDS = 30.0
"""Generous: up to 15 s were measured."""
PARTITIONS = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(Settings(), folder) as one:
        yield one


def send(settings: Settings, first: int, count: int) -> None:
    """One to each partition in turn; waits for every acknowledgement."""
    producer = Producer(kafka.client_config(settings, acks="all"))
    for number in range(first, first + count):
        producer.produce(settings.topic, sale(number), partition=number % PARTITIONS)
    assert producer.flush(60) == 0


def wait_for_rows(settings: Settings, count: int) -> None:
    wait_for(lambda: tables.snapshot(settings, BRONZE).rows == count, f"{count} sales in Bronze", 60)


@pytest.mark.long
@pytest.mark.parametrize("killed", [1, 3])
def test_it_continues_without_one_broker_and_waits_without_two(cluster: Cluster, tmp_path: Path, killed: int) -> None:
    """`killed`: so many brokers are lost, one after the other, beginning with the one that clients ask first."""
    topic = f"sales{killed}"
    cluster.create_topic(topic, PARTITIONS)
    settings = settings_for(cluster, tmp_path, topic)
    send(settings, 0, 300)
    done = 300
    with running_job(settings):
        wait_for(lambda: phase(settings) == "running", "it runs", 30)
        wait_for_rows(settings, done)
        for node in cluster.nodes[:killed]:
            cluster.kill(node)
            wait_until_elected(cluster, topic, node)
            began = time.monotonic()
            send(settings, done, 90)
            done += 90
            wait_for_rows(settings, done)
            assert time.monotonic() - began < ELECTION_SECONDS
            cluster.restart(node)
            wait_for(lambda: len(cluster.brokers()) == 3, "three brokers again", 60)
            wait_for(lambda: cluster.in_sync(topic), "every replica is in sync", 60)
        first, second, _ = cluster.nodes
        cluster.kill(first)
        cluster.kill(second)
        with kafka.Admin(settings) as admin:
            answers = [answer for _ in range(20) if (answer := ends(admin)) is not None]
        assert all(answer == dict.fromkeys(range(PARTITIONS), (0, done // PARTITIONS)) for answer in answers)
        wait_for(lambda: phase(settings) in ("waiting", "running"), "the job lives", 30)
        cluster.restart(first)
        cluster.restart(second)
        wait_for(lambda: len(cluster.brokers()) == 3, "three brokers again", 90)
        send(settings, done, 90)
        done += 90
        wait_for_rows(settings, done)
    assert accepted_gaps.read(settings.lake).gaps == ()
    ids = tables.snapshot(settings, BRONZE).arrow()["vente_id"].to_pylist()
    assert sorted(ids) == list(range(done))


def wait_until_elected(cluster: Cluster, topic: str, dead: Node) -> None:
    def elected() -> bool:
        leaders = set(cluster.leaders(topic).values())
        return bool(leaders) and not leaders & {-1, dead.number}

    wait_for(elected, "another leader for each partition", 60)


def ends(admin: kafka.Admin) -> dict[int, tuple[int, int]] | None:
    """An answer of the remaining brokers; None if there is none."""
    try:
        return admin.end_offsets(timeout=1.0)
    except BrokerUnavailable:
        return None
