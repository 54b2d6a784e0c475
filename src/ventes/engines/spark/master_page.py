"""The state of a Spark standalone cluster, as the page of its master gives it in JSON.

The page is asked each time: nothing is remembered. Only the standard library, because `status` reads it too.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ventes.config import Settings

ANSWER_SECONDS = 2.0
LARGEST_ANSWER = 16_000_000
"""Bytes: that of 10,000 workers."""
PAGE_PORT = 8080
"""Spark's default."""
ALIVE = "ALIVE"
_OF_JOBS = ("ventes-bronze", "ventes-silver")


class Unanswered(Exception):
    """No page of a master gave the state of the cluster; the message says why."""


@dataclass(frozen=True)
class Worker:
    """A worker; memory in MB."""

    host: str
    state: str
    cores: int
    cores_free: int
    memory: int
    memory_free: int

    @property
    def alive(self) -> bool:
        return self.state == ALIVE


@dataclass(frozen=True)
class Application:
    """An application that has not ended. `cores`: those that it has now. `state`: WAITING or RUNNING."""

    id: str
    name: str
    cores: int
    state: str


@dataclass(frozen=True)
class Cluster:
    """What the master knows. `url`: its spark:// address. `status`: ALIVE, or RECOVERING after a restart."""

    url: str
    status: str
    workers: tuple[Worker, ...]
    applications: tuple[Application, ...]

    @property
    def alive(self) -> tuple[Worker, ...]:
        return tuple(worker for worker in self.workers if worker.alive)

    @property
    def cores(self) -> int:
        return sum(worker.cores for worker in self.alive)

    @property
    def cores_free(self) -> int:
        return sum(worker.cores_free for worker in self.alive)

    def application(self, id_: str) -> Application | None:
        return next((one for one in self.applications if one.id == id_), None)


def masters(master: str) -> list[tuple[str, int]]:
    """Host and port of each master in 'spark://h1:7077,h2:7077'."""
    found = []
    for part in master.removeprefix("spark://").split(","):
        host, _, port = part.strip().rpartition(":")
        if host and port.isdecimal():
            found.append((host.strip("[]"), int(port)))
    return found


def pages(settings: Settings) -> list[str]:
    """The addresses of the masters' pages."""
    if settings.spark.master_page:
        return [page.strip().rstrip("/") for page in settings.spark.master_page.split(",")]
    hosts = [host for host, _ in masters(settings.spark.master)]
    return [f"http://{f'[{host}]' if ':' in host else host}:{PAGE_PORT}" for host in hosts]


def read(settings: Settings) -> Cluster:
    """Ask the masters' pages, one after the other, until one leads. Raises Unanswered."""
    said = []
    for page in pages(settings):
        try:
            cluster = parsed(_get(f"{page}/json/"))
        except (OSError, http.client.HTTPException) as error:
            said.append(f"{page}: {getattr(error, 'strerror', None) or error or type(error).__name__}")
            continue
        except (ValueError, KeyError, TypeError):
            said.append(f"{page} is not the page of a Spark master")
            continue
        if cluster.status != "STANDBY":
            return cluster
        said.append(f"{page}: a master on standby")
    raise Unanswered("; ".join(said) or "spark.master names no master")


def parsed(state: Mapping[str, Any]) -> Cluster:
    """The cluster from the JSON of the page. Raises KeyError, TypeError or ValueError if it is something else."""
    return Cluster(
        str(state["url"]),
        str(state["status"]),
        tuple(
            Worker(
                str(one["host"]),
                str(one["state"]),
                *(int(one[name]) for name in ("cores", "coresfree", "memory", "memoryfree")),
            )
            for one in state["workers"]
        ),
        tuple(
            Application(str(app["id"]), str(app["name"]), int(app["cores"]), str(app["state"]))
            for app in state["activeapps"]
        ),
    )


def share(cluster: Cluster) -> int:
    """The cores that each of the two jobs asks for by default: half of those that no other application has."""
    others = sum(app.cores for app in cluster.applications if app.name not in _OF_JOBS)
    return max(1, (cluster.cores - others) // 2)


def shortage(cluster: Cluster, asked: int, memory_mb: int) -> str:
    """Why an application that asks for `asked` cores, in executors of `memory_mb`, has none."""
    if cluster.status != ALIVE:
        return f"waits for Spark's master {cluster.url}: it is {cluster.status}"
    wants = f"waits for {asked} core{'s' if asked != 1 else ''}"
    if not cluster.alive:
        return f"{wants}: the cluster {cluster.url} has no worker"
    roomy = [worker for worker in cluster.alive if worker.memory_free >= memory_mb]
    if cluster.cores_free and not any(worker.cores_free for worker in roomy):
        most = max(worker.memory_free for worker in cluster.alive if worker.cores_free)
        return (
            f"waits for an executor of {memory_mb:,} MB: no worker with a free core has more than {most:,} MB free; "
            "spark.executor_memory sets it"
        )
    holders = ", ".join(f"{app.name} has {app.cores}" for app in cluster.applications if app.cores)
    held = f" ({holders})" if holders else ""
    return f"{wants}: the cluster has {cluster.cores_free} free of {cluster.cores}{held}"


def _get(url: str) -> Mapping[str, Any]:
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", place.path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise http.client.HTTPException(f"it answers {answer.status}")
        found = json.loads(answer.read(LARGEST_ANSWER))
    finally:
        connection.close()
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found
