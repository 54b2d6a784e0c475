"""The pipeline under test: its own folder, two disks, settings and ports, started by the real `ventes` command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from harness.pipeline import free_ports
from ventes import config
from ventes.config import CONFIG_VARIABLE
from ventes.runtime import disk
from ventes.supervise import processes, service_records, services

VENTES = Path(sys.executable).with_name("ventes")
MIN_FREE_MB = 60
DISK_GB = 16
"""Size of a disk that is not full. It is in memory, and takes only as much as is used."""


class Disk:
    """A folder with its own file system (tmpfs), whose size can be set. Needs the right to mount."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted
        self.full = False
        folder.mkdir(parents=True, exist_ok=True)
        if mounted:
            _run("mount", "-t", "tmpfs", "-o", f"size={DISK_GB}g,mode=0700", "ventes-chaos", str(folder))

    def fill(self, how: str) -> None:
        """Set the free space: nothing, 1 MB, or less than maintenance.min_free_mb."""
        free = {"to the last byte": 0, "almost": 1, "below min_free_mb": MIN_FREE_MB - 10}[how] * disk.MEGABYTE
        self.full = True
        for _ in range(20):  # the pipeline writes meanwhile: a size below the used space is refused
            used = shutil.disk_usage(self.folder).used
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("mount", "-o", f"remount,size={used + free}", str(self.folder))
                return
        raise RuntimeError(f"{self.folder} cannot be made smaller")

    def free(self) -> None:
        if self.full:
            _run("mount", "-o", f"remount,size={DISK_GB}g", str(self.folder))
            self.full = False

    def close(self) -> None:
        if self.mounted:
            _run("umount", "--lazy", str(self.folder))


def can_mount() -> str:
    """The reason why no disk of limited size can be made here; '' if it can."""
    if os.geteuid() != 0:
        return "a tmpfs of limited size needs root"
    if shutil.which("mount") is None:
        return "there is no mount command"
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        except subprocess.CalledProcessError as error:  # root of a container
            return f"a tmpfs cannot be mounted: {error.stderr.decode().strip()}"
        _run("umount", folder)
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Command:
    """A `ventes` command that runs in parallel with the steps."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> None:
        self.arguments = arguments
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.interrupted = False
        """Whether the run killed it, or sent it SIGINT."""
        self._output = (folder / f"command-{time.time():.3f}-{arguments[0]}.out").open("w+b")
        self._process = subprocess.Popen(
            [str(VENTES), *arguments],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __str__(self) -> str:
        return " ".join(("ventes", *self.arguments))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.interrupted = True
        if self.running:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> int | None:
        """The exit code; None if it still runs."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if self.seconds is None:
            self.seconds = time.monotonic() - self.began
        return code

    def output(self) -> str:
        self._output.flush()
        self._output.seek(0)
        return self._output.read().decode("utf-8", "replace")

    def close(self) -> None:
        if self.running:
            self._process.kill()
            self._process.wait()
        name = Path(self._output.name)
        self._output.close()
        name.unlink(missing_ok=True)


class Deployment:
    """One pipeline. Use it in a `with`: at the end, also after an error, no process is left and no disk is mounted."""

    def __init__(self, folder: Path, settings: Callable[[Mapping[str, int]], str], *, disks: bool) -> None:
        """`settings`: the text of ventes.toml for these ports; its paths are in `folder`."""
        self.folder = folder
        folder.mkdir(parents=True)
        self.lake_disk = Disk(folder / "lake-disk", mounted=disks)
        self.state_disk = Disk(folder / "state-disk", mounted=disks)
        self.temporary = self.state_disk.folder / "tmp"
        self.temporary.mkdir()
        self.ports = dict(zip(("broker", "controller", "page", "metrics"), free_ports(4), strict=True))
        toml = folder / "ventes.toml"
        toml.write_text(settings(self.ports), encoding="utf-8")
        kept = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
        self.environment = {**kept, CONFIG_VARIABLE: str(toml), "TMPDIR": str(self.temporary)}
        self._before = os.environ.get(CONFIG_VARIABLE)
        os.environ[CONFIG_VARIABLE] = str(toml)
        self.settings = config.load()
        self.commands: list[Command] = []
        self._seen: dict[int, psutil.Process] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *_: object) -> None:
        with _uninterrupted():
            try:
                self._end_everything()
            finally:
                for one in (self.lake_disk, self.state_disk):
                    one.close()
                del os.environ[CONFIG_VARIABLE]
                if self._before is not None:
                    os.environ[CONFIG_VARIABLE] = self._before

    def _end_everything(self) -> None:
        self.let_go_on()
        for one in (self.lake_disk, self.state_disk):
            one.free()
        for command in self.commands:
            command.close()
        last = self.command("stop", "--all")
        last.wait(150)
        last.close()
        for process in self.all_processes():
            processes.send(process, signal.SIGKILL)

    # -- commands -----------------------------------------------------------------------------

    def command(self, *arguments: str) -> Command:
        """Start a `ventes` command and do not wait for it."""
        started = Command(arguments, self.environment, self.folder)
        self.commands.append(started)
        return started

    def ventes(self, *arguments: str, seconds: float) -> tuple[int | None, str]:
        """Run a `ventes` command to its end: (exit code, output); the code is None if it took too long."""
        command = Command(arguments, self.environment, self.folder)
        try:
            return command.wait(seconds), command.output()
        finally:
            command.close()

    # -- processes ----------------------------------------------------------------------------

    def target(self, name: str) -> psutil.Process | None:
        """The process of that name ("bronze", "bronze jvm", "supervisor", "page child"), if it runs now."""
        records = service_records.read(self.settings.state)
        if name == "supervisor":
            return records.supervisor()
        service, _, part = name.partition(" ")
        entry = records.entries.get(service)
        process = entry.process() if entry is not None else None
        if process is None or not part:
            return process
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                if part != "jvm" or "java" in child.name():
                    return child
        return None

    def services(self) -> dict[str, psutil.Process]:
        """Service (and "supervisor") → its process, of those that run."""
        names = ("supervisor", *services.BY_NAME)
        return {name: process for name in names if (process := self.target(name)) is not None}

    def look(self) -> None:
        """Record the descendants of the supervisor, so that they are known after it has ended."""
        supervisor = service_records.read(self.settings.state).supervisor()
        if supervisor is None:
            return
        with contextlib.suppress(psutil.Error), self._guard:
            for process in (supervisor, *supervisor.children(recursive=True)):
                self._seen[process.pid] = process

    def all_processes(self) -> list[psutil.Process]:
        """Every running process of the pipeline: recorded descendants of a supervisor, and those with our settings."""
        self.look()
        with self._guard:
            found = {pid: process for pid, process in self._seen.items() if processes.lives(process)}
            self._seen = dict(found)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(CONFIG_VARIABLE) == self.environment[CONFIG_VARIABLE]
                if ours and processes.lives(process) and process.pid != os.getpid():
                    found[process.pid] = process
        return list(found.values())

    def let_go_on(self) -> list[str]:
        """SIGCONT to every process of the pipeline that is suspended; returns their names."""
        names = []
        for process in self.all_processes():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_STOPPED:
                    process.send_signal(signal.SIGCONT)
                    names.append(f"{process.name()} {process.pid}")
        return names


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C does not interrupt the cleanup."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def settings_text(engine: str, ports: Mapping[str, int]) -> str:
    """ventes.toml of a pipeline with its own broker."""
    return f"""
engine = "{engine}"

[kafka]
port = {ports["broker"]}
controller_port = {ports["controller"]}
partitions = 2

[paths]
lake = "lake-disk/lake"
logs = "state-disk/logs"
state = "state-disk/state"

[producer]
rate = 5
clients = 50

[page]
port = {ports["page"]}

[metrics]
port = {ports["metrics"]}

[spark]
bronze_trigger_seconds = 0.5
silver_trigger_seconds = 0.5

[maintenance]
history_hours = 0.1
compact_every = 20
min_free_mb = {MIN_FREE_MB}

[supervisor]
backoff_seconds = 0.2
backoff_max_seconds = 5.0
"""
