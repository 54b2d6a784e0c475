"""Whether settings or declaration changed since the services started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ventes import config
from ventes.cli import main
from ventes.config import SUPERVISED_VARIABLE, Settings
from ventes.dashboard import page_heartbeat
from ventes.runtime.heartbeat import Reporter
from ventes.supervise import outdated

LOGIN = {"issuer": "https://sso.example.com", "client_id": "page", "viewers": '["*"]'}
DECLARED = 'from ventes.stream import *\nSTREAM = Stream("s", "s", Event("id", "at", (Text("id"), Instant("at"))))\n'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A pipeline whose two jobs run, as far as their heartbeats say."""
    (tmp_path / "mine.py").write_text(DECLARED, encoding="utf-8")
    (tmp_path / "mine.toml").write_text('stream = "mine.py"\n[paths]\nstate = "state"\n', encoding="utf-8")
    monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "mine.toml"))
    found = config.load()
    for service in ("bronze", "silver"):
        Reporter(found.state, service, "spark", **found.fingerprints(service)).update(phase="running")
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


def test_what_the_running_services_do_not_read_asks_for_no_restart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_PRODUCER__ENABLED", "false")  # `ventes start` applies it
    monkeypatch.setenv("VENTES_PAGE__CURRENCY", "€")
    monkeypatch.setenv("VENTES_ALERTS", '[{"name": "any", "sql": "SELECT true"}]')  # the service for it is down
    assert outdated.changed(config.load()) is None


def test_the_page_says_with_which_login_it_was_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page_heartbeat, "_started", {})
    monkeypatch.setenv(SUPERVISED_VARIABLE, "1")
    page_heartbeat.start(settings)
    assert outdated.changed(config.load()) is None
    monkeypatch.setenv("VENTES_PAGE__REFRESH_SECONDS", "7")  # it reads it again
    assert outdated.changed(config.load()) is None
    for key, value in {**LOGIN, "client_secret": "canary"}.items():
        monkeypatch.setenv(f"VENTES_PAGE__LOGIN__{key.upper()}", value)
    page = "since the page started: `ventes restart` applies it"
    with_login = config.load()
    changed = outdated.changed(with_login)
    assert changed is not None
    assert f"{changed.sentence()}: {changed.remedy}".endswith(page)
    assert main(["status"]) == 1  # nothing else runs
    assert page in capsys.readouterr().out

    page_heartbeat.start(with_login)
    assert outdated.changed(config.load()) is None
    record = (settings.state / "run" / "page.json").read_text("utf-8")
    assert "canary" not in record
    monkeypatch.setenv("VENTES_PAGE__LOGIN__CLIENT_SECRET", "other")  # nor can it be found by trying
    page_heartbeat.start(config.load())
    prints = [json.loads(text)["login"] for text in (record, (settings.state / "run" / "page.json").read_text("utf-8"))]
    assert prints[0] == prints[1]


def test_what_was_started_by_hand_is_not_ended_by_a_restart(settings: Settings) -> None:
    settings.declaration.write_text(DECLARED + "# a remark\n", encoding="utf-8")
    Reporter(settings.state, "silver", "spark", **config.load().fingerprints("silver")).update(phase="stopped")
    changed = outdated.changed(settings)
    assert changed is not None
    assert changed.declaration
    assert changed.remedy == "`ventes stop --all`, then `ventes start`, applies it"


def test_a_job_that_ended_or_says_nothing_does_not_count(settings: Settings) -> None:
    settings.declaration.write_text(DECLARED + "# a remark\n", encoding="utf-8")
    Reporter(settings.state, "bronze").update(phase="running")  # of an earlier release
    ended = settings.state / "run" / "silver.by-hand.json"
    ended.write_text(ended.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999'))
    assert outdated.changed(settings) is None
