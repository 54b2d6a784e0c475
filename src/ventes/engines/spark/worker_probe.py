"""What a task of a cluster finds where it runs: its Python, its packages, the lake, the broker.

A job runs it once before its first batch, so that a worker without the packages, or with another folder under the
lake's path, is an error with a name and not lost files. The function that runs on the workers needs no package.
"""

from __future__ import annotations

import os
import pwd
import socket
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ventes.errors import ConfigError
from ventes.runtime import tcp

if TYPE_CHECKING:
    from pyspark import SparkContext

    from ventes.config import Settings

PACKAGES = ("duckdb", "pyarrow", "pydantic", "sqlglot")
"""What the tasks import: another version could judge a message otherwise than the driver."""
CONNECT_SECONDS = 3.0
SHIP = "`ventes export spark-environment -o workers.pex` makes a file for spark.environment"


@dataclass(frozen=True)
class Found:
    """What one task found. `problem`: '' if the worker can be used."""

    host: str
    user: str
    python: str
    packages: tuple[str | None, ...]
    problem: str


def probe(spark: SparkContext, settings: Settings, tasks: int, servers: Sequence[tuple[str, int]]) -> list[Found]:
    """Run `tasks` tasks; what they found, one for each host and Python. `servers`: of Kafka, one of which must answer.

    Raises ConfigError if a worker cannot be used.
    """
    settings.lake.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = settings.lake / f".probe-{uuid.uuid4().hex}"
    mark.write_text(mark.name, encoding="ascii")
    try:
        task = partial(look, mark, PACKAGES, tuple(servers))
        answers = spark.parallelize(range(tasks), tasks).mapPartitions(task).collect()
        found = {(one[0], one[2]): Found(*one) for one in answers}
    finally:
        for left in settings.lake.glob(f"{mark.name}*"):
            left.unlink(missing_ok=True)
    for one in found.values():
        require_usable(one, tuple(map(version_of, PACKAGES)))
    return list(found.values())


def require_usable(found: Found, here: tuple[str | None, ...]) -> None:
    """Raise ConfigError unless the worker has the packages of `here` (as PACKAGES) and no problem."""
    where = f"the worker {found.host} (user {found.user}, {found.python})"
    other = [
        f"{name} {there or 'is missing'}{f', here {ours}' if there else ''}"
        for name, there, ours in zip(PACKAGES, found.packages, here, strict=True)
        if there != ours
    ]
    if other:
        raise ConfigError(f"{where} has other packages than this machine: {'; '.join(other)}", SHIP)
    if found.problem:
        raise ConfigError(f"{where} {found.problem}", "docs/spark-cluster.md says what a worker needs")


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def look(
    mark: Path, packages: tuple[str, ...], servers: tuple[tuple[str, int], ...], rows: Iterable[int]
) -> Iterator[tuple[str, str, str, tuple[str | None, ...], str]]:
    """One task. Plain tuples: a class would need this package's import on both sides."""
    number = next(iter(rows), 0)
    problem = _of_lake(mark, number) or _of_broker(servers)
    yield socket.gethostname(), _user(), sys.executable, tuple(map(version_of, packages)), problem


def _of_lake(mark: Path, number: int) -> str:
    own = mark.with_name(f"{mark.name}-{number}-{os.getpid()}")
    try:
        if mark.read_text(encoding="ascii") != mark.name:
            return f"has another {mark.parent}"
        own.write_text("", encoding="ascii")
    except FileNotFoundError:
        return f"does not see the lake of this machine under {mark.parent}: paths.lake must be a folder that all share"
    except OSError as error:
        return f"cannot write {mark.parent}: {error.strerror}"
    return ""


def _of_broker(servers: tuple[tuple[str, int], ...]) -> str:
    if (found := tcp.refusal(servers, CONNECT_SECONDS)) is None:
        return ""
    (host, port), why = found
    return f"does not reach Kafka at {host}:{port}: {why}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
