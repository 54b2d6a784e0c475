"""`bash start_pipeline.sh` as a user runs it, with other paths and ports: start, kill, the guide's restart, stop.

With the engine of the guide; test_supervised.py has more cases with the embedded one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.pipeline import free_ports, wait_for
from ventes.config import PROJECT

GUIDE_PATTERN = re.compile("producer|spark_streaming|streamlit")
"""The patterns of the guide's grep and pkill commands."""


@dataclass
class Installation:
    folder: Path
    environment: dict[str, str]
    ports: list[int]

    def run(self, *command: str, seconds: float = 150) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self, *options: str) -> str:
        done = self.run("bash", str(PROJECT / "start_pipeline.sh"), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ventes(self, *arguments: str, code: int | None = 0) -> str:
        done = self.run(str(PROJECT / ".venv" / "bin" / "ventes"), *arguments)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        services = json.loads(self.ventes("status", "--json", code=None))["services"]
        return {service["name"]: service for service in services}

    def processes(self) -> list[psutil.Process]:
        """Every process of this pipeline: they all have its VENTES_CONFIG."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("VENTES_CONFIG") == self.environment["VENTES_CONFIG"]
            except psutil.Error:
                continue
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def matching(self, pattern: re.Pattern[str]) -> list[psutil.Process]:
        return [process for process in self.processes() if pattern.search(" ".join(process.cmdline()))]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    ports = free_ports(4)
    toml = tmp_path / "ventes.toml"
    toml.write_text(
        f"""
        engine = "spark"
        [kafka]
        port = {ports[0]}
        controller_port = {ports[1]}
        [page]
        port = {ports[2]}
        [metrics]
        port = {ports[3]}
        [paths]
        lake = "lake"
        logs = "logs"
        state = "state"
        """,
        encoding="utf-8",
    )
    found = Installation(tmp_path, {**os.environ, "VENTES_CONFIG": str(toml)}, ports)
    yield found
    found.run(str(PROJECT / ".venv" / "bin" / "ventes"), "stop")
    for process in found.processes():
        process.kill()


def test_from_start_to_stop(installation: Installation) -> None:
    printed = installation.start()
    assert (
        f"http://localhost:{installation.ports[2]}" in printed or f"http://127.0.0.1:{installation.ports[2]}" in printed
    )
    with urllib.request.urlopen(f"http://127.0.0.1:{installation.ports[2]}/_stcore/health", timeout=5) as answer:
        assert answer.status == 200
    before = installation.status()
    assert {name: service["ready"] for name, service in before.items() if not service["ready"]} == {}
    assert sum("producer.py" in " ".join(p.cmdline()) for p in installation.processes()) == 1
    scripts = {"producer.py", "spark_streaming_delta.py", "streamlit"}
    shown = " ".join(" ".join(p.cmdline()) for p in installation.matching(GUIDE_PATTERN))
    assert all(script in shown for script in scripts)

    again = installation.start()
    assert "already running" in again.lower()
    assert {n: s["pid"] for n, s in installation.status().items()} == {n: s["pid"] for n, s in before.items()}

    # The guide's restart: what it ends stays down, "stopped on purpose"; start starts it again.
    for process in installation.matching(GUIDE_PATTERN):
        process.send_signal(signal.SIGTERM)
    stopped = ("producer", "bronze", "page")
    wait_for(lambda: not any(installation.status()[n]["running"] for n in stopped), "the guide's pkill took effect", 30)
    status = installation.status()
    assert status["silver"]["pid"] == before["silver"]["pid"]
    assert status["broker"]["pid"] == before["broker"]["pid"]
    installation.start()
    status = installation.status()
    assert all(service["ready"] for service in status.values()), status
    assert status["silver"]["pid"] == before["silver"]["pid"]

    # kill -9 is a crash: the supervisor starts the job again.
    victim = status["bronze"]["pid"]
    os.kill(victim, signal.SIGKILL)
    wait_for(
        lambda: (s := installation.status()["bronze"])["ready"] and s["pid"] != victim, "bronze was started again", 60
    )
    verified = json.loads(installation.ventes("verify", "--json"))
    assert verified["ok"]
    assert verified["checks"][0]["rows"] > 0
    assert "engine spark" in installation.ventes("status")

    assert installation.ventes("stop") is not None
    assert installation.processes() == []
    for port in installation.ports:
        assert not [
            c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"
        ]
    assert json.loads(installation.ventes("verify", "--json", "--no-topic"))["ok"]
