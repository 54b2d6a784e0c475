"""The pinned jars: fetched once by Ivy, checked by SHA-256, then only looked at.

Two sets under one folder: `spark` (Delta and the Kafka source, beyond what pyspark ships) and `kafka` (the
broker). ivy/<set>.xml says which; jars.sha256 says what each must be. Ivy itself comes inside pyspark.
Standard library only: this runs before the project's packages are complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ventes.errors import InstallError
from ventes.install import network
from ventes.runtime.files import write_atomically

_HERE = Path(__file__).resolve().parent
LOCK = _HERE / "jars.sha256"
IVY = _HERE / "ivy"
SETS = ("spark", "kafka")
STAMP = "checked.json"
"""In the jars' folder: which list was checked, and size and modification time of each jar then."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of the list. `path` is relative to the jars' folder, for example kafka/re2j-1.8.jar."""

    path: str
    sha256: str

    @property
    def set(self) -> str:
        return self.path.split("/")[0]

    @property
    def name(self) -> str:
        return self.path.split("/")[1]


def pinned(lock: Path = LOCK) -> list[Jar]:
    """The list, in the form that sha256sum writes. Raises InstallError naming a line it cannot read."""
    jars = []
    for number, line in enumerate(lock.read_text(encoding="ascii").splitlines(), 1):
        digest, _, path = line.partition("  ")
        if len(digest) != 64 or set(digest) - set("0123456789abcdef") or path.count("/") != 1:
            raise InstallError(f"{lock.name} line {number} is no checksum line: {line!r}", f"git checkout {lock}")
        jars.append(Jar(path, digest))
    return jars


def paths(folder: Path, jar_set: str) -> list[Path]:
    """Every jar of a set, present or not."""
    return [folder / jar.path for jar in pinned() if jar.set == jar_set]


def ready(folder: Path) -> bool:
    """Whether all jars are those that were checked, by list, size and modification time: no hashing, no network."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="ascii"))
        return bool(stamp == _stamp(folder, pinned()))
    except (OSError, ValueError):
        return False


def damaged(folder: Path, jars: Iterable[Jar] | None = None) -> list[tuple[Jar, str]]:
    """Hash every jar: those that are missing or not what the list says, each with its reason."""
    found = []
    for jar in pinned() if jars is None else jars:
        path = folder / jar.path
        if not path.is_file():
            found.append((jar, "missing"))
        elif (digest := _sha256(path)) != jar.sha256:
            found.append((jar, f"its SHA-256 is {digest}, the list has {jar.sha256}"))
    return found


def install(folder: Path, cache: Path, java: Path, say: Say) -> None:
    """Bring `folder` to the state of the list. `java` is a bin/java; `cache` is Ivy's, ours alone.

    Jars that are already right are kept, so an interrupted installation goes on where it was. A jar enters
    the folder only after its hash was checked. Raises InstallError.
    """
    if ready(folder):
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    jars = pinned()
    for jar_set in SETS:
        wanted = [jar for jar in jars if jar.set == jar_set]
        bad = [jar for jar, _ in damaged(folder, wanted)]
        if bad:
            say(f"jars: fetching {len(bad)} of {len(wanted)} for {jar_set}")
            _fetch(folder, cache, java, jar_set, bad, say)
        _remove_strangers(folder / jar_set, {jar.name for jar in wanted})
    write_atomically(folder / STAMP, json.dumps(_stamp(folder, jars)))


def _fetch(folder: Path, cache: Path, java: Path, jar_set: str, bad: list[Jar], say: Say) -> None:
    staging = folder / f".{jar_set}.new"
    for attempt in (1, 2):
        shutil.rmtree(staging, ignore_errors=True)
        _run_ivy(cache, java, jar_set, staging, say)
        refused = damaged(staging, [Jar(f"./{jar.name}", jar.sha256) for jar in bad])
        if not refused:
            break
        # A cache cut short by a power loss gives wrong bytes once; the repository's own bytes get one more chance.
        shutil.rmtree(cache, ignore_errors=True)
        if attempt == 2:
            shutil.rmtree(staging)
            jar, why = refused[0]
            raise InstallError(
                f"{jar_set}/{jar.name} was downloaded twice and is not used: {why}",
                "something between here and the repository changes files (a proxy?); "
                "from another network run `bash start_pipeline.sh` again",
            )
        say(f"jars: {refused[0][0].name} is not what it should be, fetching once more")
    (folder / jar_set).mkdir(exist_ok=True)
    for jar in bad:
        os.replace(staging / jar.name, folder / jar.path)
    shutil.rmtree(staging)


def _run_ivy(cache: Path, java: Path, jar_set: str, into: Path, say: Say) -> None:
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [
        str(java),
        *network.jvm_flags(os.environ),
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        f"-Divy.default.ivy.user.dir={cache}",
        "-cp",
        os.pathsep.join(map(str, _ivy_jars())),
        "org.apache.ivy.Main",
        "-settings",
        str(IVY / "settings.xml"),
        "-cache",
        str(cache),
        "-ivy",
        str(IVY / f"{jar_set}.xml"),
        "-retrieve",
        f"{into}/[artifact]-[revision].[ext]",
    ]
    environment = {**os.environ, **network.jvm_environment(os.environ)}
    log = cache / f"{jar_set}.log"
    total, done = len(paths(Path(), jar_set)), 0
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            close_fds=False,  # it inherits the installation's lock, see install._alone
        ) as ivy,
    ):
        assert ivy.stdout is not None
        for line in ivy.stdout:
            kept.write(line)
            if "[SUCCESSFUL" in line:
                done += 1
                if done % 10 == 0:
                    say(f"jars: {jar_set} {done}/{total}")
    if ivy.returncode:
        raise InstallError(
            f"the {jar_set} jars could not be downloaded: {_cause(log)}",
            f"check network, proxy (HTTPS_PROXY) and disk, then run `bash start_pipeline.sh` again; all of it: {log}",
        )


def _cause(log: Path) -> str:
    """The line of Ivy's log that says most."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    for mark in (
        "No space left",
        "UnknownHost",
        "SSLHandshake",
        "PKIX",
        "Connection",
        "timed out",
        "FAILED",
        "not found",
    ):
        for line in lines:
            if mark in line:
                return line
    return lines[-1] if lines else "Java ended without a word"


def _ivy_jars() -> list[Path]:
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise InstallError("pyspark is not installed", "bash start_pipeline.sh installs it")
    shipped = Path(spec.submodule_search_locations[0]) / "jars"
    found = [*shipped.glob("ivy-*.jar"), *shipped.glob("commons-cli-*.jar")]
    if len(found) != 2:
        raise InstallError(f"no Ivy in {shipped}", "rm -r .venv and run `bash start_pipeline.sh` again")
    return found


def _remove_strangers(folder: Path, names: set[str]) -> None:
    """A jar of an older release on the same class path would win or lose by chance."""
    for path in folder.glob("*.jar"):
        if path.name not in names:
            path.unlink()


def _stamp(folder: Path, jars: Iterable[Jar]) -> dict[str, object]:
    files = {}
    for jar in jars:
        status = (folder / jar.path).stat()
        files[jar.path] = [status.st_size, status.st_mtime_ns]
    return {"list": _sha256(LOCK), "files": files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
