"""`ventes reset` names what runs by what it is, with its pid and the command that stops it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ventes.config import Paths, Settings
from ventes.errors import AlreadyRunning
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.operations.reset import refuse_while_running
from ventes.runtime.heartbeat import Reporter


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(paths=Paths(lake=tmp_path / "lake", state=tmp_path / "state", logs=tmp_path / "logs"))


def test_a_job_that_only_its_lock_shows_is_named_as_the_job(settings: Settings) -> None:
    """Spark's JVM holds it for some seconds after its driver was killed."""
    refuse_while_running(settings)
    with WriterLock(lock_path(settings, "bronze")):
        wanted = re.escape(f"Bronze job (pid {os.getpid()}) runs → ventes stop")
        with pytest.raises(AlreadyRunning, match=f"^{wanted}$"):
            refuse_while_running(settings)


def test_a_job_that_was_started_by_hand_is_named_once_and_needs_all(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VENTES_SUPERVISED", raising=False)
    Reporter(settings.state, "silver").update(phase="running")
    with WriterLock(lock_path(settings, "silver")), pytest.raises(AlreadyRunning) as refused:
        refuse_while_running(settings)
    assert refused.value.message.count("Silver job") == 1
    assert refused.value.hint == "ventes stop --all"
