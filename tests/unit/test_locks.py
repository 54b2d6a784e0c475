"""One writer: the kernel knows the holder, also after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ventes.config import PROJECT
from ventes.errors import AlreadyRunning, LockLost
from ventes.lake.writer_lock import WriterLock, holder

HOLD = """
import sys, time
from pathlib import Path
from ventes.lake.writer_lock import WriterLock
WriterLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds tmp_path/x.lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "x.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_refused_with_the_pid_of_the_holder(other: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    assert holder(path) == other.pid
    with pytest.raises(AlreadyRunning, match=f"pid {other.pid}"):
        WriterLock(path).acquire()


def test_free_again_after_kill_9(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    path = tmp_path / "x.lock"
    assert holder(path) is None
    with WriterLock(path):
        assert holder(path) == os.getpid()


def test_asking_for_the_holder_does_not_free_ones_own_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with WriterLock(path):
        holder(path)
        child = subprocess.run(
            [sys.executable, "-c", HOLD, str(path)],
            input="",
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        )
        assert "AlreadyRunning" in child.stderr
        with pytest.raises(AlreadyRunning):
            WriterLock(path).acquire()
    assert holder(path) is None


def test_no_file_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "x.lock") is None


@pytest.mark.parametrize("harm", ["removed", "replaced"])
def test_a_holder_notices_that_its_lock_file_is_gone(tmp_path: Path, harm: str) -> None:
    """Another process could lock a new file of that name: the holder must no longer commit."""
    path = tmp_path / "x.lock"
    with WriterLock(path) as lock:
        lock.require()
        path.unlink()
        if harm == "replaced":
            path.touch()
        with pytest.raises(LockLost, match="removed or replaced"):
            lock.require()
