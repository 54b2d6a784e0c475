"""Whether settings or declaration changed since the services started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ventes import config
from ventes.config import Settings
from ventes.runtime.heartbeat import Reporter
from ventes.supervise import outdated

DECLARED = 'from ventes.stream import *\nSTREAM = Stream("s", "s", Event("id", "at", (Text("id"), Instant("at"))))\n'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A pipeline whose two jobs run, as far as their heartbeats say."""
    (tmp_path / "mine.py").write_text(DECLARED, encoding="utf-8")
    (tmp_path / "mine.toml").write_text('stream = "mine.py"\n[paths]\nstate = "state"\n', encoding="utf-8")
    monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "mine.toml"))
    found = config.load()
    for service in ("bronze", "silver"):
        Reporter(found.state, service, "spark", **found.fingerprints()).update(phase="running")
    return found


def test_nothing_changed(settings: Settings) -> None:
    assert outdated.changed(config.load()) is None
    assert outdated.changed(config.load(engine="embedded")) is None  # a start asks about the engine


def test_a_changed_declaration_is_named_with_the_services(settings: Settings) -> None:
    settings.declaration.write_text(DECLARED + "# a remark\n", encoding="utf-8")
    changed = outdated.changed(settings)
    assert changed is not None
    assert changed.sentence() == "mine.py changed since the Bronze job and the Silver job started"


def test_changed_settings_are_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_RULES__WATERMARK_MINUTES", "11")
    changed = outdated.changed(config.load())
    assert changed is not None
    assert changed.sentence().startswith("mine.toml or a VENTES_ variable changed since")


def test_a_job_that_ended_or_says_nothing_does_not_count(settings: Settings) -> None:
    settings.declaration.write_text(DECLARED + "# a remark\n", encoding="utf-8")
    Reporter(settings.state, "bronze").update(phase="running")  # of an earlier release
    ended = settings.state / "run" / "silver.by-hand.json"
    ended.write_text(ended.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999'))
    assert outdated.changed(settings) is None
