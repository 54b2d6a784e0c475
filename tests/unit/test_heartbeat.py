"""Heartbeats of services: their writer and their age."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Reporter


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setenv("VENTES_SUPERVISED", "1")
    reporter = Reporter(tmp_path, "bronze", "spark")
    monkeypatch.delenv("VENTES_SUPERVISED")
    return reporter


def test_a_job_started_by_hand_does_not_overwrite_the_supervised_one(tmp_path: Path, supervised: Reporter) -> None:
    supervised.update(phase="running", lag=7)
    by_hand = Reporter(tmp_path, "bronze", "embedded")
    by_hand.update(phase="waiting", lag=99)
    shown = heartbeat.read(tmp_path, "bronze")
    assert shown is not None
    assert (shown.engine, shown.phase, shown.lag) == ("spark", "running", 7)
    told_apart = heartbeat.by_hand(tmp_path, "bronze")
    assert told_apart is not None
    assert (told_apart.engine, told_apart.lag) == ("embedded", 99)


def test_once_the_supervised_one_has_ended_the_other_is_shown(tmp_path: Path, supervised: Reporter) -> None:
    supervised.record.pid = 2**22 + 1  # nobody has it
    supervised.update(phase="running")
    Reporter(tmp_path, "bronze", "embedded").update(phase="running")
    shown = heartbeat.read(tmp_path, "bronze")
    assert shown is not None
    assert shown.engine == "embedded"


def test_heartbeats_continue_after_the_clock_is_set_back(
    tmp_path: Path, supervised: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised.update(phase="running")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    age = supervised.age
    assert 0.0 <= age < 60.0
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10.0)
    assert supervised.age > 9.0
