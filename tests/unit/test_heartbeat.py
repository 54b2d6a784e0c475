"""What a process says of itself, and that it says so at once when it is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.pipeline import wait_for
from ventes.config import PROJECT
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Heartbeat, Reporter


def record(state: Path) -> Heartbeat:
    found = heartbeat.read(state, "bronze")
    assert found is not None
    return found


@pytest.mark.parametrize("phase", ["starting", "running", "waiting"])
def test_what_is_stopping_never_goes_back(tmp_path: Path, phase: str) -> None:
    reporter = Reporter(tmp_path, "bronze")
    reporter.update(phase="running")
    reporter.stopping("SIGTERM")
    reporter.update(phase=phase, reason="no broker", rows=7)
    found = record(tmp_path)
    assert (found.phase, found.reason, found.rows) == ("stopping", "SIGTERM", 7)


@pytest.mark.parametrize("last", ["stopped", "failed"])
def test_stopping_ends_in_stopped_or_failed_and_a_late_note_changes_nothing(tmp_path: Path, last: str) -> None:
    reporter = Reporter(tmp_path, "bronze")
    reporter.stopping("SIGTERM")
    reporter.update(phase=last, reason="why")
    reporter.stopping("SIGINT")
    assert (record(tmp_path).phase, record(tmp_path).reason) == (last, "why")


def test_work_in_progress_is_said_until_it_is_done_or_has_to_wait(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, "bronze")
    reporter.update(phase="running")
    assert record(tmp_path).working_since is None
    reporter.begin_work()
    assert record(tmp_path).working_since == pytest.approx(time.time(), abs=5)
    reporter.stopping("SIGTERM")
    assert record(tmp_path).working_since is not None  # it finishes its batch
    for change in ({"working_since": None}, {"phase": "stopped"}):
        reporter.begin_work()
        reporter.update(**change)
        assert record(tmp_path).working_since is None


def test_a_job_that_waits_does_not_work(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, "bronze")
    reporter.begin_work()
    reporter.update(phase="waiting", reason="the disk is full")
    assert record(tmp_path).working_since is None


BUSY = """
import hashlib, sys
from pathlib import Path
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

reporter = Reporter(Path(sys.argv[1]), "bronze")
stopper = Stopper().install(reporter.stopping)
reporter.update(phase="running")
print("begins", flush=True)
hashlib.pbkdf2_hmac("sha256", b"a", b"b", int(sys.argv[2]))  # one call in C, as a query of DuckDB is
print(stopper.signal, flush=True)
reporter.update(phase="running")  # a batch is done, and said
sys.stdin.read()
reporter.update(phase="stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_is_noted_while_the_main_thread_is_in_a_long_call(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path), "8000000"],  # some seconds
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    process.send_signal(number)
    wait_for(lambda: record(tmp_path).phase == "stopping", "it is noted", 2)
    noted = record(tmp_path).beat
    assert record(tmp_path).reason == number.name
    assert process.stdout.readline() == f"{number.name}\n"
    assert time.time() - noted > 0.5  # the call went on
    wait_for(lambda: record(tmp_path).beat > noted, "the batch is said", 5)
    assert record(tmp_path).phase == "stopping"
    process.communicate("")
    assert (process.returncode, record(tmp_path).phase) == (0, "stopped")


def test_a_note_that_cannot_be_written_does_not_disturb(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "state", "bronze")
    (tmp_path / "state" / "run").rmdir()
    reporter.stopping("SIGTERM")
    assert reporter.record.phase == "stopping"
