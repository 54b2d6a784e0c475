"""`logs.json = true`: log lines as JSON objects on standard output."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ventes.cli import app as application
from ventes.cli import mount, run
from ventes.config import Settings
from ventes.runtime import logs


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Settings(
        config_file=tmp_path / "ventes.toml",
        paths={"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "logs"},
        logs={"json": True},
    )
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_job_started_by_hand_writes_each_record_as_one_object(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logs.setup("bronze", settings)
    log.info('batch 7: "3" rows\n{"level": "error"}')
    try:
        raise ValueError("é\x1b[31m")
    except ValueError:
        log.exception("bronze failed")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["service"], first["level"]) == ("bronze", "info")
    assert first["message"] == 'batch 7: "3" rows\n{"level": "error"}'
    assert first["time"].endswith("Z")
    assert second["message"].startswith("bronze failed\nTraceback")
    assert "é\\x1b[31m" in second["message"]
    assert "batch 7" in settings.log("bronze").read_text(encoding="utf-8")  # the file stays as it is
    assert not settings.log("bronze").read_text(encoding="utf-8").startswith("{")


def test_a_supervised_job_writes_them_only_to_its_file(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_SUPERVISED", "1")
    logs.setup("bronze", settings).info("hello")
    assert capsys.readouterr().out == ""


def test_ventes_logs_prints_objects(
    settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.setup("silver", settings).warning("waiting: no table yet")
    settings.log("silver").write_text(settings.log("silver").read_text() + "  a line of a traceback\n")
    capfd.readouterr()
    for name, value in {"LAKE": settings.lake, "STATE": settings.state, "LOGS": settings.folders["logs"]}.items():
        monkeypatch.setenv(f"VENTES_PATHS__{name}", str(value))
    monkeypatch.setenv("VENTES_LOGS__JSON", "true")
    mount()
    assert run(application, ["logs", "silver"]) == 0
    first, second = map(json.loads, capfd.readouterr().out.splitlines())
    assert (first["service"], first["level"], first["message"]) == ("silver", "warning", "waiting: no table yet")
    assert second == {"service": "silver", "message": "  a line of a traceback"}
