"""A cluster of three brokers that loses one, then two: reading continues as soon as the cluster works again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer

from harness.cluster import Cluster, Node, running_cluster, settings_for
from harness.ingested import sale
from harness.pipeline import Pipeline, patiently, wait_for
from harness.shipped import BRONZE
from harness.silent_server import silent_server
from tests.kafka.test_embedded_bronze import phase, running_job
from ventes import kafka
from ventes.check.doctor import cluster as doctor
from ventes.config import Settings
from ventes.errors import BrokerUnavailable
from ventes.lake import accepted_gaps, tables
from ventes.lake.positions import positions
from ventes.supervise import ports

READ_ON_SECONDS = {"embedded": 15.0, "spark": 30.0}
"""From the election of other leaders to the first message that was sent after it, in Bronze. A request to a broker that
hangs takes 10 s; with Spark two clients meet it, one after the other: the driver asks for the ends, the tasks read."""
ELECTION_SECONDS = 30.0
"""Generous: up to 15 s were measured."""
PATIENCE = 300.0
"""Of waits whose length says nothing about the pipeline: a busy machine holds three JVMs up for minutes."""
PARTITIONS = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(Settings(), folder) as one:
        yield one


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Each test finds three brokers, and leaves three."""
    yield
    for node in cluster.nodes:
        if not node.process.running:
            cluster.restart(node)
    wait_for(lambda: len(cluster.brokers()) == 3, "three brokers again", PATIENCE)


# -- under load ---------------------------------------------------------------------------------


def lost_and_read_on(pipeline: Pipeline, cluster: Cluster, node: Node, hangs: bool = False) -> float:
    """Lose the broker; returns the seconds from the election to the first message after it in Bronze.

    With it the first message of each partition that another broker leads now.
    """
    settings = pipeline.settings
    led = [number for number, leader in cluster.leaders(settings.topic).items() if leader == node.number]
    assert led
    (cluster.pause if hangs else cluster.kill)(node)
    wait_for(lambda: cluster.elected_without(settings.topic, node), "another leader for each partition", PATIENCE)
    elected = time.monotonic()
    ends = patiently(kafka.end_offsets, settings)  # a new leader may not know at once where it ends
    marks = {number: high for number, (_, high) in ends.items() if number in led}

    def read_on() -> bool:
        reached = {number: last for (_, number), last in positions(settings.bronze).items()}
        return all(reached.get(number, -1) >= mark for number, mark in marks.items())

    wait_for(read_on, f"messages after the election in {led}", PATIENCE)
    return time.monotonic() - elected


def knows_all(cluster: Cluster, node: Node) -> bool:
    return len(cluster.brokers(node)) == len(cluster.nodes)


def whole_again(cluster: Cluster, topic: str) -> None:
    """Three brokers that know of each other, every replica in sync, and each broker leads a partition."""
    for node in cluster.nodes:
        wait_for(partial(knows_all, cluster, node), f"node {node.number} knows three", PATIENCE)
    wait_for(partial(cluster.in_sync, topic), "every replica is in sync", PATIENCE)

    def spread() -> bool:
        cluster.spread(topic)
        return len(set(cluster.leaders(topic).values())) == len(cluster.nodes)

    wait_for(spread, "each broker leads a partition", PATIENCE)


def found(settings: Settings) -> dict[str, str]:
    """Level and cause of doctor's findings about the cluster; of a name that is there twice, the worst."""
    worst: dict[str, str] = {}
    for finding in sorted(doctor.findings(settings), key=lambda one: ("ok", "warn", "bad").index(one.level)):
        worst[finding.name] = f"{finding.level}: {finding.cause}"
    return worst


def all_is_there(pipeline: Pipeline) -> None:
    """Every acknowledged sale is in Bronze and Silver, once, by the producer's own count and by `verify`."""
    pipeline.stop("producer", seconds=PATIENCE)
    spool = pipeline.settings.state / "spool"
    left = [path for path in spool.rglob("*") if path.is_file() and path.name.isdigit()]
    assert left == [], "the producer has unacknowledged sales"
    pipeline.catch_up(PATIENCE)
    for job in ("bronze", "silver"):
        pipeline.stop(job, seconds=PATIENCE)
    report = pipeline.verify()
    assert report.ok
    ids = tables.snapshot(pipeline.settings, pipeline.tables.clean).arrow()["vente_id"].to_pylist()
    counts = re.findall(r"([0-9,]+) acked, ([0-9,]+) failed, ([0-9,]+) on their way", pipeline.log("producer"))
    assert counts[-1][1:] == ("0", "0")
    assert len(set(ids)) == len(ids) == int(counts[-1][0].replace(",", ""))
    assert accepted_gaps.read(pipeline.settings.lake).gaps == ()


def started(pipeline: Pipeline) -> None:
    patiently(kafka.ensure_topic, pipeline.settings)
    pipeline.start("bronze")
    pipeline.start("silver", engine="embedded")  # it reads no Kafka
    pipeline.start("producer", "", None, "--rate", "50")
    wait_for(lambda: positions(pipeline.settings.bronze), "sales in Bronze", PATIENCE)


def test_a_broker_is_killed_under_load(cluster: Cluster, tmp_path: Path) -> None:
    """The embedded engine; and what the topic, the status and doctor are meanwhile."""
    with Pipeline(tmp_path, partitions=PARTITIONS, bootstrap=cluster.bootstrap, topic="under_load") as pipeline:
        settings = pipeline.settings
        started(pipeline)
        with kafka.Admin(settings) as admin:
            assert {len(one.replicas) for one in admin.partition_states()} == {3}
            assert admin.topic_settings()["min.insync.replicas"] == "2"
        good = found(settings)
        assert {said[:3] for name, said in good.items() if "server" not in name} == {"ok:"}, good
        outgoing = {port for node in cluster.nodes if ports.given_to_outgoing(port := node.port)}
        named = {int(name.rpartition(":")[2]) for name, said in good.items() if "outgoing connections" in said}
        assert named == outgoing
        assert "min.insync.replicas 2" in good[f"topic {settings.topic}"]

        first = cluster.nodes[0]
        took = lost_and_read_on(pipeline, cluster, first)
        assert took < READ_ON_SECONDS["embedded"]
        ready, text = kafka.cluster_ready(settings)
        assert ready
        assert "replicas are missing for partition(s) 0, 1, 2" in text
        bad = found(settings)
        assert bad[f"Kafka server 127.0.0.1:{first.port}"].startswith("warn: ")
        assert bad[f"topic {settings.topic}"] == "warn: replicas are missing for partition(s) 0, 1, 2"
        cluster.restart(first)
        all_is_there(pipeline)


def test_servers_that_take_no_connection_do_not_hold_up_the_answer(cluster: Cluster, tmp_path: Path) -> None:
    """Two of the three that the settings name; a client tries them in any order."""
    cluster.create_topic("behind_silence", 1)
    with silent_server() as first, silent_server() as second:
        servers = f"{first},{second},127.0.0.1:{cluster.nodes[2].port}"
        settings = Settings(kafka={"bootstrap": servers, "topic": "behind_silence"}, paths={"state": tmp_path})
        for _ in range(5):
            assert patiently(kafka.topic_id, settings, 3.0)
        (found,) = [finding for finding in doctor.findings(settings) if finding.name == "Kafka cluster"]
        assert found.level == "ok"


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("engine", ["embedded", "spark"])
def test_brokers_are_lost_by_turns_under_load(cluster: Cluster, tmp_path: Path, engine: str) -> None:
    """Each is killed once; then the first one hangs for a while."""
    with Pipeline(tmp_path, engine, PARTITIONS, bootstrap=cluster.bootstrap, topic=f"turns_{engine}") as pipeline:
        started(pipeline)
        took = []
        for node in cluster.nodes:
            took.append(lost_and_read_on(pipeline, cluster, node))
            cluster.restart(node)
            whole_again(cluster, pipeline.settings.topic)
        first = cluster.nodes[0]
        took.append(lost_and_read_on(pipeline, cluster, first, hangs=True))
        cluster.resume(first)
        whole_again(cluster, pipeline.settings.topic)
        print(engine, "read on after", [f"{seconds:.1f} s" for seconds in took])
        all_is_there(pipeline)
        assert max(took) < READ_ON_SECONDS[engine], took


# -- one broker, then two -----------------------------------------------------------------------


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
            wait_for(partial(cluster.elected_without, topic, node), "another leader for each partition", 60)
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


def ends(admin: kafka.Admin) -> dict[int, tuple[int, int]] | None:
    """An answer of the remaining brokers; None if there is none."""
    try:
        return admin.end_offsets(timeout=1.0)
    except BrokerUnavailable:
        return None
