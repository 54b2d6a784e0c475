"""The parts of a clone that the programs need to run, in a folder whose name has a blank and a letter that is not
ASCII. It uses the jars and the Python of this checkout, and has no archives and no settings."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.pipeline import free_ports
from ventes.config import PROJECT

SCRIPTS = (
    "producer.py",
    "spark_streaming_delta.py",
    "streaming_silver.py",
    "streamlit_dashboard.py",
    "streamlit_server.py",
)


def as_user(number: int) -> tuple[str, ...]:
    """Begins a command that is to run as another user without rights, who owns what the user of the test owns."""
    return ("unshare", "--user", f"--map-user={number}", f"--map-group={number}")


class Clone:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my clone é"
        self.state = self.folder / "my state é"
        shutil.copytree(PROJECT / "src", self.folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for script in SCRIPTS:
            shutil.copy(PROJECT / script, self.folder / script)
        shutil.copytree(PROJECT / ".streamlit", self.folder / ".streamlit")
        shutil.copytree(PROJECT / "streams", self.folder / "streams", ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / ".ventes").mkdir()
        (self.folder / ".ventes" / "jars").symlink_to(PROJECT / ".ventes" / "jars")
        broker, controller, self.page, metrics = free_ports(4)
        (self.folder / "ventes.toml").write_text(
            f"""
            [kafka]
            port = {broker}
            controller_port = {controller}
            [page]
            port = {self.page}
            [metrics]
            port = {metrics}
            [paths]
            lake = "my lake é"
            logs = "my logs é"
            state = "my state é"
            """,
            encoding="utf-8",
        )
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        self.environment["PYTHONPATH"] = str(self.folder / "src")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, most_files: int = 4096) -> subprocess.Popen[bytes]:
        """Start this Python with `arguments`; its output goes to <name>.out. Its limit of open files is 256 (soft) and
        `most_files` (hard)."""

        def few_files() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, most_files), most_files))

        with (self.folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=few_files,
            )
        self.running[name] = process
        return process

    def ventes(self, *arguments: str, umask: int = -1, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the command line. `before`: what the command begins with."""
        code = "import sys; from ventes.cli import main; sys.exit(main())"
        return subprocess.run(
            [*before, sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            umask=umask,
        )

    def said(self) -> str:
        """The end of every log, for the message of a failed test."""
        files = [*self.folder.glob("*.out"), *self.folder.glob("my logs é/*.log")]
        return "\n".join(f"-- {file.name}\n{file.read_text('utf-8', 'replace')[-3000:]}" for file in files)

    def stop(self) -> None:
        """End every program that `start` started, in reverse order."""
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.terminate()
                process.wait(60)
