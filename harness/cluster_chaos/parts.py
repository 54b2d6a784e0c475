"""The brokers, the Spark cluster and the store, and what the steps do to them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.chaos.deployment import Deployment
from harness.chaos.faults import TimedFaults
from harness.cluster import Cluster, Node, running_cluster
from harness.object_store import Proxy, S3Process, proxy
from harness.pipeline import wait_for
from harness.spark_cluster import SparkCluster, Worker
from ventes.config import Settings

TOPIC, PARTITIONS = "ventes_stream", 3
CORES, WORKERS = 2, 2
HEAL_SECONDS = 600.0
"""Time limit until every part is back. A master that was killed waits 60 s for the workers that it knew."""


@dataclass
class Parts:
    """Everything beside the pipeline."""

    kafka: Cluster
    spark: SparkCluster
    s3: S3Process
    way: Proxy
    """Between the pipeline with its workers, and the store."""
    lake: str

    def heal(self) -> None:
        """Start what is down and wait until all of it is whole. Faults with an end have ended."""
        wait_for(lambda: self.kafka.in_sync(TOPIC), "every replica is in sync", HEAL_SECONDS)
        self.kafka.spread(TOPIC)
        wait_for(lambda: self.spark.state().get("status") == "ALIVE", "the master is the leader", HEAL_SECONDS)
        wait_for(lambda: self.spark.state().get("aliveworkers") == WORKERS, "the master has its workers", HEAL_SECONDS)


@contextmanager
def running(folder: Path) -> Iterator[Parts]:
    """All parts, ready; always ended."""
    with ExitStack() as stack:
        s3 = S3Process()
        stack.callback(s3.kill)
        s3.start()
        way = stack.enter_context(proxy(s3.server))
        kafka = stack.enter_context(running_cluster(Settings(), folder / "kafka"))
        kafka.create_topic(TOPIC, PARTITIONS)
        spark = SparkCluster(folder / "spark", workers=WORKERS, cores=CORES, recovery=True)
        stack.enter_context(spark)
        yield Parts(kafka, spark, s3, way, f"{s3.server.make_bucket('chaos')}/lake")


class ClusterFaults(TimedFaults):
    """The steps of cluster_chaos.schedule. At most one broker is down at a time: two must have each message."""

    def __init__(self, deployment: Deployment, parts: Parts, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._say = say
        self._busy: set[str] = set()
        """Parts that have a fault now."""
        self._kinds = {
            "broker": self._broker,
            "worker": self._worker,
            "workers": self._workers,
            "executor": self._executor,
            "master": self._master,
            "store": self._store,
            "kill": self._kill,
        }
        super().__init__(deployment)

    def take_back(self) -> None:
        super().take_back()
        wait_for(lambda: "store" not in self._busy, "the store is there again", HEAL_SECONDS)

    def _for(self, part: str, seconds: float, back: Callable[[], object]) -> None:
        """Call `back` after `seconds`: until then the part has a fault."""
        self._busy.add(part)

        def end() -> None:
            back()
            self._busy.discard(part)

        self._later(seconds, end, takes_back=True)

    def _broker(self, options: Mapping[str, Any]) -> str:
        kafka = self._parts.kafka
        node: Node = kafka.nodes[options["which"] - 1]
        if "broker" in self._busy:
            return "not done: another broker is down"
        if not kafka.in_sync(TOPIC):
            return "not done: a replica is not in sync yet"
        if options["signal"] == "STOP":
            kafka.pause(node)
            self._for("broker", options["seconds"], lambda: kafka.resume(node))
        else:
            kafka.kill(node)
            self._for("broker", options["seconds"], lambda: kafka.restart(node))
        return ""

    def _worker(self, options: Mapping[str, Any]) -> str:
        worker = self._parts.spark.workers[options["which"] - 1]
        return self._end_worker(worker, options["signal"], options["seconds"])

    def _end_worker(self, worker: Worker, number: str, seconds: float) -> str:
        spark, name = self._parts.spark, f"worker {worker.number}"
        if name in self._busy or worker.process is None:
            return f"{name} has a fault already"
        if number == "STOP":
            family = [psutil.Process(worker.process.pid), *worker.executors()]
            _each(family, signal.SIGSTOP)
            self._for(name, seconds, lambda: _each(family, signal.SIGCONT))
        else:
            _each(worker.executors(), signal.SIGCONT)  # one that is suspended would not notice it
            spark.kill_worker(worker)
            self._for(name, seconds, lambda: spark.start_worker(worker))
        return ""

    def _workers(self, options: Mapping[str, Any]) -> str:
        said = [self._end_worker(worker, "KILL", options["seconds"]) for worker in self._parts.spark.workers]
        return ", ".join(filter(None, said))

    def _executor(self, options: Mapping[str, Any]) -> str:
        found = self._parts.spark.executors(f"ventes-{options['which']}")
        if not found:
            return "there is none"
        if options["signal"] == "STOP":
            _each(found[:1], signal.SIGSTOP)
            self._later(options["seconds"], lambda: _each(found[:1], signal.SIGCONT), takes_back=True)
        else:
            _each(found[:1], signal.SIGKILL)
        return f"pid {found[0].pid}"

    def _master(self, options: Mapping[str, Any]) -> str:
        spark = self._parts.spark
        if "master" in self._busy:
            return "it is down already"
        spark.kill_master()
        self._for("master", options["seconds"], lambda: spark.start_master(wait=False))
        return ""

    def _store(self, options: Mapping[str, Any]) -> str:
        how, seconds = options["how"], options["seconds"]
        s3, way = self._parts.s3, self._parts.way
        if "store" in self._busy:
            return "it has a fault already"
        if how == "restart":
            self._busy.add("store")
            way.weather.down = True
            self._beside("store", self._restart_store)
        elif how == "stop":
            s3.signal(signal.SIGSTOP)
            self._for("store", seconds, lambda: s3.signal(signal.SIGCONT))
        elif how == "cut":
            way.weather.down = True
            self._for("store", seconds, self._good_weather)
        else:
            way.weather.errors = 0.2
            self._for("store", seconds, self._good_weather)
        return ""

    def _restart_store(self) -> None:
        """No connection is answered until it is there again."""
        until = time.monotonic() + 60
        while self._parts.way.passing and time.monotonic() < until:
            time.sleep(0.02)
        began = time.monotonic()
        held = self._parts.s3.restart()
        self._good_weather()
        self._busy.discard("store")
        self._say(f"      store: {held:,} objects again after {time.monotonic() - began:.1f} s")

    def _good_weather(self) -> None:
        self._parts.way.weather.down = False
        self._parts.way.weather.errors = 0.0


def _each(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
