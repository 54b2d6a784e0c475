"""The pinned jars: downloaded once and checked by SHA-256; later only their size and times are compared.

Two sets in one folder: `kafka` (the broker) and `spark` (Delta and the Kafka source, in addition to pyspark's jars).
jars.lock lists them with their hashes. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ventes.errors import InstallError
from ventes.runtime.files import write_atomically

LOCK = Path(__file__).resolve().parent / "jars.lock"
SETS = ("kafka", "spark")
CONNECTIONS = 4
"""Parallel downloads: with a high latency most of the time is spent on making connections."""

Say = Callable[[str], None]
Fetch = Callable[[str, Path], Path]
"""Downloads coordinates into a folder; returns the file. Raises InstallError."""


@dataclass(frozen=True)
class Jar:
    """One line of the list."""

    set: str
    coordinates: str
    """group:artifact:version"""
    sha256: str

    @property
    def path(self) -> str:
        """Relative to the jars' folder, for example kafka/re2j-1.8.jar."""
        _, artifact, version = self.coordinates.split(":")
        return f"{self.set}/{artifact}-{version}.jar"

    @property
    def name(self) -> str:
        return self.path.split("/")[1]


def pinned(jar_set: str | None = None, lock: Path = LOCK) -> list[Jar]:
    """The list, or one set of it. Raises InstallError naming a line that it cannot read."""
    jars = []
    for number, line in enumerate(lock.read_text(encoding="ascii").splitlines(), 1):
        if line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 3 or words[0] not in SETS or words[1].count(":") != 2 or not _is_sha256(words[2]):
            raise InstallError(
                f"{lock.name} line {number} is not `set group:artifact:version sha256`: {line!r}",
                f"git checkout {lock}",
            )
        jars.append(Jar(*words))
    return [jar for jar in jars if jar_set in (None, jar.set)]


def paths(folder: Path, jar_set: str) -> list[Path]:
    """Every jar of a set, present or not."""
    return [folder / jar.path for jar in pinned(jar_set)]


def ready(folder: Path, jar_set: str) -> bool:
    """Whether the jars of a set match the list.

    Only a jar whose inode, size or times are not those of its last check is read (all 45 of the broker: 0.1 s).
    """
    wanted = pinned(jar_set)
    checked = _Checked(folder, jar_set)
    if damaged(folder, [jar for jar in wanted if not checked.matches(jar)]):
        return False
    with suppress(OSError):  # they will be read again next time
        checked.write(wanted)
    return True


def damaged(folder: Path, jars: Iterable[Jar]) -> list[tuple[Jar, str]]:
    """Compare every byte of `jars`; returns those that are missing or do not match the list, each with its reason."""
    found = []
    for jar in jars:
        path = folder / jar.path
        if not path.is_file():
            found.append((jar, "missing"))
        elif (digest := _sha256(path)) != jar.sha256:
            found.append((jar, f"its SHA-256 is {digest}, the list has {jar.sha256}"))
    return found


def install(folder: Path, jar_set: str, fetch: Fetch, say: Say) -> None:
    """Make a set in `folder` match the list. Raises InstallError.

    A jar is moved to the set's folder only after its hash was checked, and stays there: an interrupted installation
    continues where it was.
    """
    if ready(folder, jar_set):
        return
    wanted = pinned(jar_set)
    (folder / jar_set).mkdir(parents=True, exist_ok=True, mode=0o700)
    bad = [jar for jar, _ in damaged(folder, wanted)]
    if bad:
        say(f"jars: fetching {len(bad)} of {len(wanted)} for {jar_set}")
        _fetch_all(folder, bad, fetch, say)
    _remove_strangers(folder / jar_set, {jar.name for jar in wanted})
    _Checked(folder, jar_set).write(wanted)


def _fetch_all(folder: Path, bad: list[Jar], fetch: Fetch, say: Say) -> None:
    staging = folder / ".new"
    shutil.rmtree(staging, ignore_errors=True)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for done, _ in enumerate(pool.map(lambda jar: _fetch_one(folder, staging / jar.set, jar, fetch), bad), 1):
                if done % 10 == 0:
                    say(f"jars: {bad[0].set} {done}/{len(bad)}")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _fetch_one(folder: Path, staging: Path, jar: Jar, fetch: Fetch) -> None:
    """Two attempts: a connection may break once, or a proxy may answer with another file once."""
    failure = InstallError("")
    for attempt in (1, 2):
        try:
            came = fetch(jar.coordinates, staging / f"{jar.name}.{attempt}")
        except InstallError as error:
            failure = error
            continue
        digest = _sha256(came)
        if digest == jar.sha256:
            os.replace(came, folder / jar.path)
            return
        failure = InstallError(
            f"{jar.path} was downloaded twice and is not used: its SHA-256 is {digest}, the list has {jar.sha256}",
            "something between here and the repository changes files (a proxy?); "
            "from another network run `bash start_pipeline.sh` again",
        )
    raise failure


def _remove_strangers(folder: Path, names: set[str]) -> None:
    """With two versions of a jar on the class path it is undefined which one is loaded."""
    for path in folder.glob("*.jar"):
        if path.name not in names:
            path.unlink()


class _Checked:
    """Inode, size and times of each jar when its bytes were last checked: <folder>/<set>.checked.json."""

    def __init__(self, folder: Path, jar_set: str) -> None:
        self._folder = folder
        self._path = folder / f"{jar_set}.checked.json"
        try:
            self._states = dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._states = {}

    def matches(self, jar: Jar) -> bool:
        return jar.path in self._states and self._states[jar.path] == self._state(jar)

    def write(self, jars: Iterable[Jar]) -> None:
        """Record the present state of jars that match. Raises OSError."""
        states = {jar.path: self._state(jar) for jar in jars}
        if states != self._states:
            write_atomically(self._path, json.dumps(states, indent=1))

    def _state(self, jar: Jar) -> list[object] | None:
        try:
            status = (self._folder / jar.path).stat()
        except OSError:
            return None
        # Size and modification time can be restored after a change; the kernel alone sets the change time.
        return [jar.sha256, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
