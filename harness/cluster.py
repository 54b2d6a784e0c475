"""A cluster of three real brokers, each broker and controller, for tests that need more than one broker."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from harness.pipeline import free_ports, wait_for
from ventes.config import Settings
from ventes.install import jars
from ventes.install.java import find_java

CLUSTER = "VentesTestsCluster0000"
HEAP_MB = 256


@dataclass
class Node:
    """One broker: its id, its ports, its folder."""

    number: int
    port: int
    controller: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


class Cluster:
    """Three brokers on this machine; a topic in it has three replicas."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._java = find_java(settings)
        ports = free_ports(6)
        self.nodes = [Node(n + 1, ports[n], ports[n + 3], folder / f"node{n + 1}") for n in range(3)]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        for node in self.nodes:
            node.folder.mkdir(parents=True)
            (node.folder / "server.properties").write_text(self._properties(node), encoding="utf-8")
            self._run(node, "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config").wait(60)
        for node in self.nodes:
            self.restart(node)
        wait_for(lambda: len(self.brokers()) == 3, "three brokers", 90)

    def restart(self, node: Node) -> None:
        node.process = self._run(node, "kafka.Kafka")

    def kill(self, node: Node) -> None:
        """kill -9."""
        self._signal(node, signal.SIGKILL)
        assert node.process is not None
        node.process.wait(10)
        node.process = None

    def _signal(self, node: Node, number: signal.Signals) -> None:
        assert node.process is not None
        os.killpg(node.process.pid, number)

    def create_topic(self, name: str, partitions: int) -> None:
        """With three replicas; `min.insync.replicas` is 2."""
        client = self._client()
        config = {"min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime"}
        client.create_topics([NewTopic(name, partitions, 3, config=config)])[name].result(30)
        wait_for(
            lambda: -1 not in self.leaders(name).values() and self.leaders(name), "each partition has a leader", 30
        )

    def leaders(self, topic: str) -> dict[int, int]:
        """Partition → number of the node that leads it; -1 for none."""
        found = self._client().list_topics(topic, timeout=5).topics[topic].partitions
        return {number: partition.leader for number, partition in found.items()}

    def stop(self) -> None:
        for node in self.nodes:
            if node.process is not None:
                self._signal(node, signal.SIGKILL)
                node.process.wait(10)

    def brokers(self) -> dict[int, object]:
        """Node id → broker, of those that are in the cluster now."""
        try:
            found = self._client().list_topics(timeout=2).brokers
        except KafkaException:
            return {}
        return dict(found)

    def in_sync(self, topic: str) -> bool:
        """Whether every replica of the topic is in sync."""
        found = self._client().list_topics(topic, timeout=5).topics[topic].partitions
        return bool(found) and all(len(partition.isrs) == 3 for partition in found.values())

    def _client(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def _run(self, node: Node, *command: str) -> subprocess.Popen[bytes]:
        class_path = os.pathsep.join(map(str, jars.paths(self._settings.jars, "kafka")))
        with (node.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                [
                    str(self._java.bin),
                    f"-Xmx{HEAP_MB}m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    class_path,
                    *command,
                    str(node.folder / "server.properties"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _properties(self, node: Node) -> str:
        values = {
            "process.roles": "broker,controller",
            "node.id": node.number,
            "controller.quorum.voters": ",".join(f"{n.number}@127.0.0.1:{n.controller}" for n in self.nodes),
            "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": node.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "broker.heartbeat.interval.ms": 1000,
            "broker.session.timeout.ms": 6000,
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())


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
            print(f"node {node.number}:", (node.folder / "output.log").read_text("utf-8", "replace")[-1500:])
        raise
    finally:
        cluster.stop()


def settings_for(cluster: Cluster, folder: Path, topic: str) -> Settings:
    """Settings of a pipeline that reads from the cluster as from an external broker."""
    return Settings(
        kafka={"bootstrap": cluster.bootstrap, "managed": False, "topic": topic},
        paths={"state": folder / "state", "logs": folder / "logs", "lake": folder / "lake"},
    )


__all__ = ["Cluster", "Node", "running_cluster", "settings_for"]
