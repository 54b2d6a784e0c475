"""The programs in surroundings that break a JVM: a folder with a blank and a letter that is not ASCII, a Turkish shell,
another Spark in SPARK_HOME, few open files."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pipeline import free_ports, wait_for
from ventes.config import PROJECT
from ventes.runtime import heartbeat

SALES = 20
TURKISH = "-Duser.language=tr -Duser.country=TR"


class Clone:
    """As much of a clone as the programs need, in a folder that few programs expect."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my clone é"
        shutil.copytree(
            PROJECT / "src", self.folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        for script in ("producer.py", "spark_streaming_delta.py"):
            shutil.copy(PROJECT / script, self.folder / script)
        (self.folder / ".ventes").symlink_to(PROJECT / ".ventes")
        broker, controller = free_ports(2)
        (self.folder / "ventes.toml").write_text(
            f"""
            [kafka]
            port = {broker}
            controller_port = {controller}
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

    def said(self) -> str:
        files = [*self.folder.glob("*.out"), *self.folder.glob("my logs é/*.log")]
        return "\n".join(f"-- {file.name}\n{file.read_text('utf-8', 'replace')[-3000:]}" for file in files)

    def taken(self) -> bool:
        """Whether Bronze has every sale; fails with all logs if a program ended badly."""
        assert not [name for name, process in self.running.items() if process.poll()], self.said()
        record = heartbeat.read(self.folder / "my state é", "bronze")
        return record is not None and record.total == SALES

    def stop(self) -> None:
        for name in ("bronze", "producer", "broker"):
            if name in self.running:
                self.running[name].terminate()
        for process in self.running.values():
            process.wait(30)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    one = Clone(tmp_path)
    yield one
    one.stop()


@pytest.mark.parametrize(
    ("engine", "environment"),
    [
        ("embedded", {"LC_ALL": "C", "JDK_JAVA_OPTIONS": TURKISH}),
        ("spark", {"LC_ALL": "tr_TR.UTF-8", "JAVA_TOOL_OPTIONS": TURKISH, "SPARK_HOME": "/nonexistent"}),
    ],
)
def test_sales_reach_bronze(clone: Clone, engine: str, environment: dict[str, str]) -> None:
    clone.environment.update(environment)
    clone.start("broker", "-m", "ventes.broker.run")
    clone.start("bronze", "spark_streaming_delta.py", "--engine", engine)
    clone.start("producer", "producer.py", "--rate", "max", "--count", str(SALES))
    wait_for(clone.taken, "all sales are in Bronze", 120)
    assert (clone.folder / "my lake é" / "bronze" / "ventes_stream" / "_delta_log").is_dir()


def test_too_few_open_files_are_named_before_a_jvm_starts(clone: Clone) -> None:
    assert clone.start("broker", "-m", "ventes.broker.run", most_files=256).wait(60) != 0
    assert "only 256 files" in clone.said()
    assert not (clone.folder / "my state é" / "kafka").exists()
    clone.running.clear()


def test_the_files_of_sparks_jvm_stand_where_the_settings_say(clone: Clone) -> None:
    """Options with a blank reach it whole."""
    script = (
        "import json; from ventes import config; from ventes.engines.spark.session import open_session\n"
        "session = open_session(config.load(), 'bronze')\n"
        "get = session.jvm.java.lang.System.getProperty\n"
        "print(json.dumps([get(name) for name in ('ventes.jvm.log', 'java.io.tmpdir', 'user.language')]))\n"
        "session.close()"
    )
    clone.environment["JAVA_TOOL_OPTIONS"] = TURKISH
    clone.start("spark", "-c", script).wait(90)
    log, temporary, language = json.loads((clone.folder / "spark.out").read_text("utf-8").splitlines()[-1])
    state = clone.folder / "my state é"
    assert Path(log) == state / "log" / "spark-bronze.log"
    assert Path(temporary).is_relative_to(state)
    assert language == "en"
