"""Samples of the running pipeline, taken in a thread: answers of `ventes status`, processes, files."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.chaos.deployment import Deployment
from harness.chaos.honesty import Said, Sample
from ventes.check.status import status
from ventes.runtime.pipeline_status import Status

EVERY = 1.5
FILES_EVERY = 15.0


@dataclass(frozen=True)
class ProcessSample:
    at: float
    name: str
    """The service, "supervisor", or a service and the program of its child: "bronze java"."""
    pid: int
    rss_mb: float
    handles: int
    threads: int


@dataclass(frozen=True)
class FilesSample:
    at: float
    folder: str
    files: int
    mb: float


class Watch:
    """Samples until `close`. The lists grow; read them at any time."""

    def __init__(self, deployment: Deployment, began: float) -> None:
        self._deployment = deployment
        self._began = began
        self.statuses: list[Sample] = []
        self.processes: list[ProcessSample] = []
        self.files: list[FilesSample] = []
        self.errors: list[str] = []
        """Errors that `status` raised."""
        self._files_at = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            self._deployment.look()
            self._ask()
            self._look_at_processes()
            if self.now - self._files_at >= FILES_EVERY:
                self._files_at = self.now
                self._count_files()

    def _ask(self) -> None:
        try:
            found = status(self._deployment.settings)
        except Exception as error:
            self.errors.append(f"{self.now:.0f} s: {type(error).__name__}: {error}")
            return
        self.statuses.append(Sample(self.now, said(found)))

    def _look_at_processes(self) -> None:
        for name, process in self._deployment.services().items():
            with contextlib.suppress(psutil.Error):
                self._add(name, process)
                for child in process.children(recursive=True) if name != "supervisor" else ():
                    with contextlib.suppress(psutil.Error):
                        self._add(f"{name} {child.name()}", child)

    def _add(self, name: str, process: psutil.Process) -> None:
        with process.oneshot():
            rss = process.memory_info().rss / 1e6
            sample = ProcessSample(self.now, name, process.pid, rss, process.num_fds(), process.num_threads())
        self.processes.append(sample)

    def _count_files(self) -> None:
        for name, folder in (("lake", self._deployment.settings.lake), ("state", self._deployment.settings.state)):
            files, size = count(folder)
            self.files.append(FilesSample(self.now, name, files, size / 1e6))


def said(found: Status) -> dict[str, Said]:
    """The entry of each service that the settings enable."""
    rows = {
        "bronze": found.rows.get("bronze"),
        "silver": _sum(found.rows.get("ventes_clean"), found.rows.get("ventes_rejets")),
    }
    return {
        one.name: Said(
            one.state,
            one.ready,
            one.reason,
            one.pid,
            one.batch,
            one.batch_seconds,
            one.lag_messages,
            one.lag_seconds,
            rows.get(one.name),
        )
        for one in found.services
        if one.state != "off"
    }


def _sum(*numbers: int | None) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def count(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes."""
    files = size = 0
    for path, _, names in os.walk(folder):
        files += len(names)
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(path, name)).st_size
    return files, size
