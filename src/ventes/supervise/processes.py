"""Starts a process in a separate session, detects its end, and ends it with its helpers.

A helper is a child process that can run longer than its service (Spark's JVM runs seconds longer than its driver). It
is found by the service's session, which no other process can join.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from ventes.runtime.heartbeat import Heartbeat, start_of


class Child:
    """A process of ours, and its session."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path) -> None:
        """Start it. `output` is truncated first and then takes stdout and stderr. Raises OSError."""
        output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._popen = subprocess.Popen(
                list(argv),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self.pid = self._popen.pid
        self.started = start_of(self.pid)  # not yet reaped: the pid cannot be reused
        self._left: list[psutil.Process] = []

    def poll(self) -> int | None:
        """The exit code (negative: the signal) once it has ended, else None."""
        if self._popen.returncode is None and _has_ended(self.pid):
            self._left = session(self.pid)  # before the leader is reaped, so that its pid cannot be reused
            self._popen.poll()
        return self._popen.returncode

    def terminate(self) -> None:
        """Send SIGTERM to the process only: a JVM that received it too could not finish the batch."""
        if self.poll() is None:
            self._popen.terminate()

    def kill(self) -> None:
        """End it and its whole session at once."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        for process in self.left():
            send(process, signal.SIGKILL)

    def left(self) -> list[psutil.Process]:
        """Helpers that still run although the process itself has ended."""
        self._left = [process for process in self._left if lives(process)]
        return self._left


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def session(leader: int) -> list[psutil.Process]:
    """The other processes of the session that `leader` began."""
    found = []
    for pid in psutil.pids():
        try:
            if pid != leader and os.getsid(pid) == leader:
                process = psutil.Process(pid)
                if lives(process):
                    found.append(process)
        except (OSError, psutil.Error):  # it ended meanwhile
            continue
    return found


def lives(process: psutil.Process) -> bool:
    """Whether this process still runs (a reused pid and a zombie do not count)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def living(pid: int) -> psutil.Process | None:
    """The process that has this pid now, or None."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def send(process: psutil.Process, number: int) -> None:
    """Send a signal to this process; no error if it has ended. psutil refuses a reused pid."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def helpers(record: Heartbeat) -> list[psutil.Process]:
    """The running helpers in a service's heartbeat: started after the service, and before its last heartbeat."""
    found = []
    for pid in record.children:
        try:
            process = psutil.Process(pid)
            born_after = start_of(pid) >= record.process_started
            if born_after and process.create_time() <= record.beat + 1 and lives(process):
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def end(process: psutil.Process, seconds: float) -> bool:
    """SIGTERM, wait up to `seconds`, then SIGKILL, helpers included. For a process that is not our child.

    Returns whether it ended by itself. Raises psutil.AccessDenied if it belongs to another user.
    """
    leads = _leads_session(process)
    others = session(process.pid) if leads else []
    send(process, signal.SIGTERM)
    gone = wait_until_gone([process], seconds)
    for other in others if gone else [process, *others]:
        if gone and wait_until_gone([other], 5.0):
            continue
        send(other, signal.SIGKILL)
    wait_until_gone([process, *others], 5.0)
    return gone


def _leads_session(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except OSError:
        return False


def wait_until_gone(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """Whether all of them ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while any(lives(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
