"""One real broker for the tests of this folder, on its own port; each test has its own topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.broker import Broker, running_broker
from harness.pipeline import free_ports
from harness.producing import MakeSettings, Producers, Topic
from ventes.config import Settings


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker; a test that kills it starts it again."""
    folder = tmp_path_factory.mktemp("broker")
    port, controller = free_ports(2)
    settings = Settings(
        kafka={"port": port, "controller_port": controller},
        paths={"state": folder / "state", "logs": folder / "logs", "lake": folder / "lake"},
    )
    with running_broker(settings) as one:
        yield one


@pytest.fixture
def make_settings(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> MakeSettings:
    def make(**changes: Any) -> Settings:
        topic = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
        base = {"port": broker.settings.kafka.port, "controller_port": broker.settings.kafka.controller_port}
        return Settings(
            kafka={**base, "topic": topic, **changes},
            paths={"state": tmp_path / "state", "logs": tmp_path / "logs", "lake": tmp_path / "lake"},
        )

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def topic(settings: Settings) -> Topic:
    return Topic(settings)


@pytest.fixture
def producers(settings: Settings, tmp_path: Path) -> Iterator[Producers]:
    made = Producers(settings, tmp_path)
    yield made
    made.close()
