"""A Kafka broker of a test as a child process: formats its storage, runs it, kills it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from ventes.config import Settings
from ventes.install import class_archive, jars
from ventes.install.java import find_java

CLUSTER = "VentesTestsCluster0000"
HEAP_MB = 256


class KafkaProcess:
    """One process, in `folder`: server.properties, data and output.log."""

    def __init__(self, settings: Settings, folder: Path, properties: Mapping[str, object]) -> None:
        """`properties` are those of server.properties, without log.dirs."""
        self.folder = folder
        self._settings = settings
        self._properties = {**properties, "log.dirs": folder / "data"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """The end of what it wrote."""
        return (self.folder / "output.log").read_text("utf-8", "replace")[-3000:]

    def format(self, like: KafkaProcess | None = None) -> None:
        """Write its files and format its storage: by Kafka's tool, or as a copy of `like`, which costs no JVM."""
        self.folder.mkdir(parents=True)
        text = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        (self.folder / "server.properties").write_text(text, encoding="utf-8")
        if like is None:
            tool = ("kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config")
            assert self._run(*tool).wait(120) == 0, self.output
            return
        shutil.copytree(like.folder / "data", self.folder / "data")
        meta = self.folder / "data" / "meta.properties"
        text = re.sub(r"node\.id=.*", f"node.id={self._properties['node.id']}", meta.read_text(encoding="utf-8"))
        directory = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        meta.write_text(re.sub(r"directory\.id=.*", f"directory.id={directory}", text), encoding="utf-8")

    def start(self) -> None:
        """Start it and do not wait."""
        assert not self.running
        self._process = self._run("kafka.Kafka")

    def kill(self) -> None:
        """kill -9; nothing if it does not run."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        class_path = os.pathsep.join(map(str, jars.paths(self._settings.jars, "kafka")))
        java = find_java(self._settings)
        archive = class_archive.use(self._settings.jars, java, "kafka")
        options = (f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *archive, "-cp", class_path)
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(  # no setting of a pipeline is the broker's
                [str(java.bin), *options, *command, str(self.folder / "server.properties")],
                env={name: text for name, text in os.environ.items() if not name.startswith("VENTES_")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
