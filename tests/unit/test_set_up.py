"""What the page's help says to set up is accepted: its lines are settings, and its commands are commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ventes import config
from ventes.cli import main
from ventes.dashboard import commands, set_up


def test_the_lines_are_settings_and_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ventes.toml"
    file.write_text('[page]\nurl = "https://dash.example.com/sales"\n', encoding="utf-8")
    monkeypatch.setenv(config.CONFIG_VARIABLE, str(file))
    settings = config.load()
    steps = [*set_up.login(settings), *set_up.alert(settings)]
    assert steps[0].copy == "https://dash.example.com/sales/oauth2callback"
    file.write_text("\n".join(step.copy for step in steps if step.language == "toml"), encoding="utf-8")
    file.chmod(0o600)
    found = config.load()
    assert found.page.login.on
    assert {channel for alert in found.alerts for channel in alert.channels} <= found.alert_channels.keys()
    lines = [line for step in steps if step.language == "bash" for line in step.copy.splitlines()]
    asked = [shlex.split(line.removeprefix(commands.ventes())) for line in lines if line.startswith(commands.ventes())]
    assert len(asked) > 5
    for words in asked:
        assert main([*(word for word in words if word.isalpha()), "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words if word.startswith("--"))
