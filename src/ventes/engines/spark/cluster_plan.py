"""What a job asks of a Spark cluster, and what it tells the cluster's workers. For `local[…]` it asks for nothing."""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from ventes.config import Settings
from ventes.engines.spark import master_page
from ventes.errors import ConfigError
from ventes.runtime import child_environment, tcp

LOOPBACK = "127.0.0.1"
GUESSED_CORES = 2
"""Asked for where the master's page does not answer, so that the number of cores is not known."""
CONNECT_SECONDS = 2.0
DEAD_EXECUTORS = 100
"""Ended executors that Spark remembers: they are counted every few seconds."""
LOG_BYTES, LOGS = 20_000_000, 3
"""An executor's log is rotated: by default it grows for as long as the job runs."""


@dataclass(frozen=True)
class ClusterPlan:
    """The request of one job to a cluster."""

    master: str
    cores: int
    """0: not limited here (YARN, Kubernetes: [spark.conf] does)."""
    why: str
    """Where `cores` come from."""
    memory_mb: int
    """Of one executor's JVM."""
    driver_host: str
    driver_bind: str
    python: str
    """Python on the workers, as a path there."""
    environment: Path | None

    def conf(self) -> dict[str, str]:
        """Spark's settings for it."""
        options = (*child_environment.JVM_OPTIONS, "-Duser.timezone=UTC")
        conf = {
            "spark.driver.host": self.driver_host,
            "spark.driver.bindAddress": self.driver_bind,
            "spark.executor.memory": f"{self.memory_mb}m",
            "spark.executor.extraJavaOptions": " ".join(options),
            "spark.executorEnv.ARROW_DEFAULT_MEMORY_POOL": "jemalloc",  # as in every process of ours: launch.py
            "spark.executor.logs.rolling.strategy": "size",
            "spark.executor.logs.rolling.maxSize": str(LOG_BYTES),
            "spark.executor.logs.rolling.maxRetainedFiles": str(LOGS),
            "spark.ui.retainedDeadExecutors": str(DEAD_EXECUTORS),
            "spark.scheduler.mode": "FAIR",  # a batch does not wait for the merges of old files (merging.py)
        }
        if self.cores:
            conf["spark.cores.max"] = str(self.cores)
            conf["spark.sql.shuffle.partitions"] = str(max(2, self.cores))
        if self.environment is not None:
            conf["spark.files"] = str(self.environment)
        return conf


def plan(settings: Settings, job: str) -> ClusterPlan:
    """The plan of a job ("bronze", "silver"); asks the master's page for the cores, up to 2 s for each master.

    Raises ConfigError for an address at which this machine cannot listen, or an environment that is not there.
    """
    spark = settings.spark
    host = spark.driver_host or own_address(settings)
    environment = settings.worker_environment
    if environment is not None and not environment.is_file():
        raise ConfigError(
            f"spark.environment: there is no {environment}", f"`ventes export spark-environment -o {environment}`"
        )
    cores, why = _cores(settings, job)
    return ClusterPlan(
        spark.master,
        cores,
        why,
        _megabytes(spark.executor_memory),
        host,
        spark.driver_bind or _require_own(host),
        spark.python or (sys.executable if environment is None else f"./{environment.name}"),
        environment,
    )


def own_address(settings: Settings) -> str:
    """The address of this machine on the way to the master: what the master's machines can reach it by."""
    for host, port in master_page.masters(settings.spark.master):
        with contextlib.suppress(OSError):
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as asked:
                asked.connect(address)  # a datagram socket sends nothing for this: the kernel chooses the way
                return str(asked.getsockname()[0])
    return LOOPBACK


def master_answers(settings: Settings) -> str:
    """'' if a master accepts a connection, or there is none to ask; else why not."""
    masters = master_page.masters(settings.spark.master) if settings.spark.standalone else ()
    found = tcp.refusal(masters, CONNECT_SECONDS)
    return "" if found is None else f"Spark's master {settings.spark.master} does not answer: {found[1]}"


def is_own(address: str) -> bool:
    """Whether this machine can listen at an address."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(place)
    except OSError:
        return False
    return True


def _require_own(host: str) -> str:
    if not is_own(host):
        raise ConfigError(
            f"spark.driver_host = {host} is not an address of this machine: Spark's driver cannot listen there",
            "set spark.driver_bind to the address of this machine to which connections to it are passed on",
        )
    return host


def _cores(settings: Settings, job: str) -> tuple[int, str]:
    if not settings.spark.standalone:
        return 0, "[spark.conf] sets the executors"
    if chosen := settings.spark.cores_of(job):
        return chosen, f"spark.{job}_cores"
    try:
        cluster = master_page.read(settings)
    except master_page.Unanswered as error:
        return GUESSED_CORES, f"the cores of the cluster are not known: {error}; spark.{job}_cores sets another number"
    return master_page.share(cluster), (
        f"half of the cluster's {cluster.cores} that no other application has; spark.{job}_cores sets another number"
    )


def _megabytes(memory: str) -> int:
    return int(memory[:-1]) * (1024 if memory.endswith("g") else 1)
