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
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ventes.engines.spark.task_lake import TaskLake
from ventes.errors import ConfigError, StoreRefused, StoreUnavailable
from ventes.runtime import tcp
from ventes.store import places

if TYPE_CHECKING:
    from pyspark import SparkContext

    from ventes.config import Settings

PACKAGES = ("duckdb", "pyarrow", "pydantic", "sqlglot", "obstore")
"""What the tasks import: another version could judge a message otherwise than the driver."""
FOLDER = ".ventes-probe"
"""Where tasks write in a lake on a store."""
CONNECT_SECONDS = 3.0
SHIP = "`ventes export spark-environment -o workers.pex` makes a file for spark.environment"


@dataclass(frozen=True)
class Found:
    """What one task found. `problem`: '' if the worker can be used. `passing`: whether waiting may help."""

    host: str
    user: str
    python: str
    packages: tuple[str | None, ...]
    problem: str
    passing: bool = False


def probe(spark: SparkContext, settings: Settings, tasks: int, servers: Sequence[tuple[str, int]]) -> list[Found]:
    """Run `tasks` tasks; what they found, one for each host and Python. `servers`: of Kafka, one of which must answer.

    Raises ConfigError if a worker cannot be used, StoreUnavailable if one does not reach the store of the lake now.
    """
    with _marked(settings.lake) as mark:
        task = partial(look, mark, PACKAGES, tuple(servers), lake=TaskLake.of(settings, spark))
        answers = spark.parallelize(range(tasks), tasks).mapPartitions(task).collect()
        found = {(one[0], one[2]): Found(*one) for one in answers}
    for one in found.values():
        require_usable(one, tuple(map(version_of, PACKAGES)))
    return list(found.values())


@contextmanager
def _marked(lake: Path) -> Iterator[Path]:
    """A new file of the lake, which has its own name in it; what tasks put beside it is deleted with it."""
    mark = lake / f".probe-{uuid.uuid4().hex}"
    if (mirror := places.of(lake)) is not None:
        key = f"{FOLDER}/{mark.name}"
        mirror.store.write(key, mark.name.encode())
        try:
            yield mark
        finally:
            mirror.store.delete([one.key for one in mirror.store.list(f"{FOLDER}/") if one.key.startswith(key)])
        return
    lake.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.write_text(mark.name, encoding="ascii")
    try:
        yield mark
    finally:
        for left in lake.glob(f"{mark.name}*"):
            left.unlink(missing_ok=True)


def require_usable(found: Found, here: tuple[str | None, ...]) -> None:
    """Raise an error unless the worker has the packages of `here` (as PACKAGES) and no problem; see `probe`."""
    where = f"the worker {found.host} (user {found.user}, {found.python})"
    other = [
        f"{name} {there or 'is missing'}{f', here {ours}' if there else ''}"
        for name, there, ours in zip(PACKAGES, found.packages, here, strict=True)
        if there != ours
    ]
    if other:
        raise ConfigError(f"{where} has other packages than this machine: {'; '.join(other)}", SHIP)
    if found.passing:
        raise StoreUnavailable(f"{where} {found.problem}", "it is asked again; a worker needs a way to the store")
    if found.problem:
        raise ConfigError(f"{where} {found.problem}", "docs/spark-cluster.md says what a worker needs")


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def look(
    mark: Path,
    packages: tuple[str, ...],
    servers: tuple[tuple[str, int], ...],
    rows: Iterable[int],
    *,
    lake: TaskLake,
) -> Iterator[tuple[str, str, str, tuple[str | None, ...], str, bool]]:
    """One task. Plain tuples: a class would need this package's import on both sides."""
    own = f"{mark.name}-{next(iter(rows), 0)}-{os.getpid()}"
    passing, problem = False, ""
    if lake.options is None:
        problem = _of_folder(mark, own)
    else:
        try:
            problem = _of_store(lake, mark.name, own)
        except StoreUnavailable as error:
            passing, problem = True, f"cannot use the lake: {error.message}"
    problem = problem or _of_broker(servers)
    yield socket.gethostname(), _user(), sys.executable, tuple(map(version_of, packages)), problem, passing


def _of_folder(mark: Path, own: str) -> str:
    try:
        if mark.read_text(encoding="ascii") != mark.name:
            return f"has another {mark.parent}"
        mark.with_name(own).write_text("", encoding="ascii")
    except FileNotFoundError:
        return f"does not see the lake of this machine under {mark.parent}: paths.lake must be a folder that all share"
    except OSError as error:
        return f"cannot write {mark.parent}: {error.strerror}"
    return ""


def _of_store(lake: TaskLake, mark: str, own: str) -> str:
    try:
        mirror = lake.mirror()
        if mirror.store.read(f"{FOLDER}/{mark}") != mark.encode():
            return f"has another {mirror.url}"
        mirror.store.write(f"{FOLDER}/{own}", b"")
    except ImportError:
        return ""  # it is named with the packages
    except StoreRefused as error:
        return f"cannot use the lake: {error.message}"
    except OSError as error:
        return f"cannot use the lake: {error}"
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
