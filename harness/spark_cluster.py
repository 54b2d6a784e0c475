"""A Spark standalone cluster on this machine, from the project's own Spark: a master, workers, and how to kill them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.pipeline import free_ports, wait_for
from ventes.config import Settings
from ventes.install import java, spark

DAEMON_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dspark.master.rest.enabled=false"
"""A master or worker does little: one compiler and one collector thread start fastest. By default a master also takes
applications by HTTP, at a fixed port."""

START_SECONDS = 900.0
"""A master that finds its state again waits 60 s for the workers that it knew; the rest is for a machine with much
other work. A test's own limit is shorter."""


@contextlib.contextmanager
def folder_of_all() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="ventes-cluster-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass
class Worker:
    """One worker: its number, its folder, and its process while it runs."""

    number: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def executors(self, of: str = "") -> list[psutil.Process]:
        """Its executors' JVMs; `of`: the id of an application, "" for all."""
        if self.process is None:
            return []
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                command = child.cmdline()
                if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in command and (not of or of in command):
                    found.append(child)
        return found


class SparkCluster:
    """A master and workers; `start` returns when the master has all of them."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        cores: int = 1,
        memory: str = "2g",
        recovery: bool = False,
        host: str = "127.0.0.1",
        user: str = "",
        prefix: Sequence[str] = (),
        secret: str = "",
    ) -> None:
        """`recovery`: the master keeps its state in a folder, and finds it there after a restart.

        `user`: whom the workers run as (needs root). `prefix`: a command that runs the processes, such as
        `ip netns exec NAME`. `secret`: what everybody who connects must know.
        """
        self._folder = folder
        self._cores, self._memory, self._recovery = cores, memory, recovery
        self._host, self._user, self._prefix = host, user, tuple(prefix)
        self._secret = secret
        self._java = java.find_java(Settings())
        self.port, self.page_port = free_ports(2)
        self.master: subprocess.Popen[bytes] | None = None
        self.workers = [Worker(n + 1, folder / f"worker{n + 1}") for n in range(workers)]

    @property
    def url(self) -> str:
        return f"spark://{self._host}:{self.port}"

    @property
    def page(self) -> str:
        return f"http://{self._host}:{self.page_port}"

    @property
    def settings(self) -> str:
        """The lines of [spark] in ventes.toml that name this cluster."""
        return f'master = "{self.url}"\nmaster_page = "{self.page}"\n'

    def __enter__(self) -> SparkCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            for log in sorted(self._folder.glob("*.log")):
                print(f"-- {log.name}", log.read_text("utf-8", "replace")[-2000:])
        self.stop()

    def start(self) -> None:
        self.start_master()
        for worker in self.workers:
            self.start_worker(worker)
        self.wait_for_workers(len(self.workers))

    def start_master(self, *, wait: bool = True) -> None:
        """`wait`: until it is the leader."""
        options = DAEMON_OPTIONS
        if self._recovery:
            options += (
                f" -Dspark.deploy.recoveryMode=FILESYSTEM -Dspark.deploy.recoveryDirectory={self._folder / 'recovery'}"
            )
        self.master = self._run(
            "master",
            "org.apache.spark.deploy.master.Master",
            {"host": self._host, "port": self.port, "webui-port": self.page_port},
            [],
            {"SPARK_DAEMON_JAVA_OPTS": options},
        )
        if wait:
            wait_for(lambda: self.state().get("status") == "ALIVE", "the master answers", START_SECONDS)

    def start_worker(self, worker: Worker) -> None:
        """Start it in its own folder."""
        worker.folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            os.chown(worker.folder, _of(self._user).pw_uid, -1)
        worker.process = self._run(
            f"worker{worker.number}",
            "org.apache.spark.deploy.worker.Worker",
            {"host": self._host, "port": 0, "webui-port": 0, "cores": self._cores, "memory": self._memory}
            | {"work-dir": worker.folder / "work"},
            [self.url],
            {"SPARK_DAEMON_JAVA_OPTS": DAEMON_OPTIONS, "SPARK_LOCAL_DIRS": str(worker.folder / "local")},
            folder=worker.folder,
            user=self._user,
        )

    def wait_for_workers(self, count: int) -> None:
        def there() -> bool:
            for worker in self.workers:
                if worker.process is not None and worker.process.poll() is not None:
                    log = self._folder / f"worker{worker.number}.log"
                    raise AssertionError(f"worker {worker.number} ended: {log.read_text('utf-8', 'replace')[-500:]}")
            return self.state().get("aliveworkers") == count

        wait_for(there, f"the master has {count} workers", START_SECONDS)

    def kill_worker(self, worker: Worker) -> None:
        """kill -9 of a worker and its executors, as when its machine is lost.

        Executors alone would end with their worker, but not one that had not connected to it yet.
        """
        assert worker.process is not None
        worker.process.send_signal(signal.SIGSTOP)  # it starts no other executor meanwhile
        executors = worker.executors()
        _end(worker.process)
        worker.process = None
        for one in executors:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        _, left = psutil.wait_procs(executors, timeout=60)
        assert not left, f"executors that kill -9 did not end: {left}"

    def kill_master(self) -> None:
        """kill -9."""
        assert self.master is not None
        _end(self.master)
        self.master = None

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                self.kill_worker(worker)
        if self.master is not None:
            self.kill_master()

    def state(self) -> dict[str, Any]:
        """What the master says of itself; {} while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.page}/json/", timeout=20) as answer:
                return dict(json.load(answer))
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def application(self, name: str) -> dict[str, Any]:
        """What the master says of the running application `name`; {} if there is none."""
        return next((app for app in self.state().get("activeapps", []) if app["name"] == name), {})

    def executors(self, name: str) -> list[psutil.Process]:
        """The JVMs that work for the application `name`."""
        app = self.application(name).get("id")
        return [one for worker in self.workers for one in worker.executors(app)] if app else []

    def _run(
        self,
        name: str,
        program: str,
        options: Mapping[str, object],
        arguments: list[str],
        more: Mapping[str, str],
        folder: Path | None = None,
        user: str = "",
    ) -> subprocess.Popen[bytes]:
        command = [program, *(part for key, value in options.items() for part in (f"--{key}", str(value))), *arguments]
        home = spark.package()
        assert home is not None
        as_user = ["setpriv", "--reuid", user, "--regid", str(_of(user).pw_gid), "--clear-groups"] if user else []
        configuration = self._folder / "conf"  # nothing of this machine's own Spark counts
        configuration.mkdir(parents=True, exist_ok=True)
        secret = f"spark.authenticate true\nspark.authenticate.secret {self._secret}\n" if self._secret else ""
        configuration.joinpath("spark-defaults.conf").write_text(secret, encoding="ascii")
        kept = ("PATH", "LANG", "LC_ALL", "TZ")
        with (self._folder / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                [*self._prefix, *as_user, str(home / "bin" / "spark-class"), *command],
                env={
                    **{key: value for key, value in os.environ.items() if key in kept},
                    "JAVA_HOME": str(self._java.home),
                    "SPARK_HOME": str(home),
                    "SPARK_CONF_DIR": str(configuration),
                    "SPARK_DAEMON_MEMORY": "192m",
                    "SPARK_LOCAL_IP": self._host,
                    **more,
                },
                cwd=folder or self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _of(user: str) -> pwd.struct_passwd:
    return pwd.getpwnam(user)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(15)
