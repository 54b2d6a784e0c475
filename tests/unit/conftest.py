"""Settings of a test's own, whatever the environment holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.master_page import Master, serving, settings_of
from ventes.config import Settings


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No VENTES_ variable is set."""
    for name in [name for name in os.environ if name.startswith("VENTES_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The settings file in force: empty, and private, so that a secret may stand in it."""
    request.getfixturevalue("no_variables")
    path = tmp_path / "ventes.toml"
    path.touch(0o600)
    monkeypatch.setenv("VENTES_CONFIG", str(path))
    return path


@pytest.fixture
def master() -> Master:
    """A Spark master with one worker of four cores."""
    return Master()


@pytest.fixture
def page(master: Master) -> Iterator[str]:
    """The address of its page."""
    with serving(master) as address:
        yield address


@pytest.fixture
def on_cluster(tmp_path: Path, page: str) -> Settings:
    """Settings of jobs on its cluster."""
    return settings_of(tmp_path, master_page=page)
