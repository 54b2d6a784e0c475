"""A cluster of three real brokers, each broker and controller, for tests that need more than one broker."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, PartitionMetadata

from harness.kafka_process import KafkaProcess
from harness.pipeline import free_ports, wait_for
from harness.topics import create_topic
from ventes.config import Settings


@dataclass
class Node:
    """One broker: its id, its port, its process."""

    number: int
    port: int
    process: KafkaProcess


class Cluster:
    """Three brokers on this machine; a topic in it has three replicas."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        ports = free_ports(6)
        brokers, controllers = ports[:3], ports[3:]
        self.nodes = [
            Node(
                n + 1, brokers[n], KafkaProcess(settings, folder / f"node{n + 1}", _properties(n, brokers, controllers))
            )
            for n in range(3)
        ]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        first, *others = self.nodes
        first.process.format()
        for node in others:
            node.process.format(like=first.process)
        for node in self.nodes:
            node.process.start()
        wait_for(lambda: len(self.brokers()) == 3, "three brokers", 150)

    def restart(self, node: Node) -> None:
        node.process.start()

    def kill(self, node: Node) -> None:
        """kill -9."""
        node.process.kill()

    def pause(self, node: Node) -> None:
        """Suspend it (SIGSTOP) until `resume`: it takes connections and answers nothing."""
        node.process.signal(signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        node.process.signal(signal.SIGCONT)

    def create_topic(self, name: str, partitions: int) -> None:
        """With three replicas; `min.insync.replicas` is 2."""
        create_topic(
            self.bootstrap, name, partitions, 3, min_insync_replicas="2", message_timestamp_type="LogAppendTime"
        )
        wait_for(
            lambda: self.leaders(name) and -1 not in self.leaders(name).values(), "each partition has a leader", 30
        )

    def leaders(self, topic: str) -> dict[int, int]:
        """Partition → number of the node that leads it; -1 for none; {} while nobody answers."""
        return {number: partition.leader for number, partition in self._partitions(topic).items()}

    def elected_without(self, topic: str, dead: Node) -> bool:
        """Whether each partition has a leader, and none of them is `dead`."""
        leaders = set(self.leaders(topic).values())
        return bool(leaders) and not leaders & {-1, dead.number}

    def in_sync(self, topic: str) -> bool:
        """Whether every replica of the topic is in sync, as each node sees it: one that is behind knows old things."""
        views = [self._partitions(topic, node) for node in self.nodes]
        return all(view and all(len(partition.isrs) == 3 for partition in view.values()) for view in views)

    def spread(self, topic: str) -> None:
        """Ask for the preferred leaders: else those that were never killed lead everything."""
        partitions = [TopicPartition(topic, number) for number in self.leaders(topic)]
        with suppress(KafkaException), self._client() as client:  # repeated until it is so
            client.elect_leaders(ElectionType.PREFERRED, partitions).result(10)

    def brokers(self, node: Node | None = None) -> dict[int, object]:
        """Node id → broker, of those that are in the cluster now; as `node` sees it, if one is given."""
        try:
            with self._client(node) as client:
                return dict(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return {}

    def stop(self) -> None:
        for node in self.nodes:
            node.process.kill()

    def _partitions(self, topic: str, node: Node | None = None) -> dict[int, PartitionMetadata]:
        try:
            with self._client(node) as client:
                return dict(client.list_topics(topic, timeout=5).topics[topic].partitions)
        except KafkaException:
            return {}

    def _client(self, node: Node | None = None) -> AdminClient:
        servers = self.bootstrap if node is None else f"127.0.0.1:{node.port}"
        return AdminClient({"bootstrap.servers": servers, "log_level": 0})


def _properties(index: int, brokers: list[int], controllers: list[int]) -> dict[str, object]:
    mine, controller = f"127.0.0.1:{brokers[index]}", f"127.0.0.1:{controllers[index]}"
    return {
        "process.roles": "broker,controller",
        "node.id": index + 1,
        "controller.quorum.voters": ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(controllers)),
        "listeners": f"PLAINTEXT://{mine},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{mine}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 3,
        "transaction.state.log.replication.factor": 3,
        "transaction.state.log.min.isr": 2,
        # A controller that a busy machine holds up for some seconds must not lose its place each time.
        "controller.quorum.fetch.timeout.ms": 6000,
        "controller.quorum.election.timeout.ms": 3000,
    }


@contextmanager
def running_cluster(settings: Settings, folder: Path) -> Iterator[Cluster]:
    """Three brokers that are ready; always ended."""
    cluster = Cluster(settings, folder)
    try:
        began = time.monotonic()
        cluster.start()
        print(f"three brokers in {time.monotonic() - began:.1f} s")
        yield cluster
    except BaseException:
        for node in cluster.nodes:
            print(f"node {node.number}:", node.process.output[-1500:])
        raise
    finally:
        cluster.stop()


def settings_for(cluster: Cluster, folder: Path, topic: str) -> Settings:
    """Settings of a pipeline that reads from the cluster."""
    return Settings(
        kafka={"bootstrap": cluster.bootstrap, "topic": topic},
        paths={"state": folder / "state", "logs": folder / "logs", "lake": folder / "lake"},
    )
