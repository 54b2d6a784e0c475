"""`ventes start` with a cluster that asks for a login: a pipeline moves there from its managed broker, and back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from harness.pipeline import free_ports, run_ventes, wait_for
from harness.secured_broker import PASSWORD, SecuredBroker, grant, running_secured_broker
from ventes.config import Settings

VENTES = Path(sys.executable).with_name("ventes")
SECONDS = 600
"""Of one command; a busy machine needs minutes for a start of Spark."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with running_secured_broker(Settings(), tmp_path_factory.mktemp("secured")) as one:
        yield one


class Moving:
    """A pipeline whose [kafka] changes while it is stopped. Passwords are in its environment."""

    def __init__(self, folder: Path, engine: str, topic: str) -> None:
        self.folder = folder
        self._engine, self._topic = engine, topic
        self._ports = free_ports(4)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        self._toml = folder / "ventes.toml"
        self.environment = {**kept, "VENTES_CONFIG": str(self._toml)}

    def use_managed(self) -> None:
        self.environment.pop("VENTES_KAFKA__SECURITY__SASL_PASSWORD", None)
        self._write(f"port = {self._ports[0]}\ncontroller_port = {self._ports[1]}\n")

    def use(self, broker: SecuredBroker, listener: str) -> None:
        security = broker.security(listener)
        if password := security.pop("sasl.password", ""):
            self.environment["VENTES_KAFKA__SECURITY__SASL_PASSWORD"] = password
        lines = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in security.items())
        self._write(f'bootstrap = "{broker.address(listener)}"\n[kafka.security]\n{lines}')

    def _write(self, kafka: str) -> None:
        self._toml.write_text(
            f'engine = "{self._engine}"\n[producer]\nrate = 20\n[page]\nport = {self._ports[2]}\n'
            f"[metrics]\nport = {self._ports[3]}\n"
            '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n'
            f'[kafka]\ntopic = "{self._topic}"\n{kafka}',
            encoding="utf-8",
        )

    def ventes(self, *arguments: str, code: int | None = 0) -> str:
        done = run_ventes(arguments, self.environment, self.folder, SECONDS, code)
        return done.stdout + done.stderr

    def service(self, name: str) -> dict[str, object]:
        services = json.loads(self.ventes("status", "--json", code=None))["services"]
        return next(service for service in services if service["name"] == name)

    def page(self, path: str) -> dict[str, object]:
        with urlopen(f"http://127.0.0.1:{self._ports[2]}{path}", timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def commands(self) -> list[str]:
        """The command lines of all its processes."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("VENTES_CONFIG") == str(self._toml):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


@pytest.fixture
def moving(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Moving]:
    engine, listener = request.param
    one = Moving(tmp_path, engine, f"secured_move_{engine}_{listener}")
    yield one
    one.ventes("stop", "--all", code=None)


def stopped_with_nothing_left(moving: Moving) -> None:
    """Stop the producer first, as docs/kafka-cluster.md says, so that Bronze has what it sent."""
    os.kill(int(str(moving.service("producer")["pid"])), 15)
    wait_for(lambda: moving.service("producer")["state"] == "stopped", "the producer has ended", 60)
    for job in ("bronze", "silver"):
        wait_for(partial(has_everything, moving, job), f"{job} has everything", 200)
    moving.ventes("stop")
    spooled = [path for path in (moving.folder / "state" / "spool").rglob("*") if path.name.isdigit()]
    assert spooled == []


def has_everything(moving: Moving, job: str) -> bool:
    return moving.service(job)["lag_messages"] == 0


def rows(moving: Moving) -> int:
    found = json.loads(moving.ventes("query", "SELECT count(*) AS n FROM ventes_clean", "--format", "json"))
    return int(found["n"])


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "moving", [("embedded", "scram"), ("spark", "scram"), ("spark", "mtls")], indirect=True, ids=" ".join
)
def test_a_pipeline_moves_to_a_cluster_and_back(
    broker: SecuredBroker, moving: Moving, request: pytest.FixtureRequest
) -> None:
    listener = request.node.callspec.params["moving"][1]
    grant(broker, "secured")
    moving.use_managed()
    moving.ventes("start")
    stopped_with_nothing_left(moving)
    before = rows(moving)
    assert before > 0

    moving.use(broker, listener)
    said = moving.ventes("start", code=None)
    assert "ventes recover" in said  # another topic id: a person decides
    recovered = moving.ventes("recover", "--yes")
    assert "no message that still exists is skipped" in recovered
    moving.ventes("start")
    wait_for(lambda: rows(moving) > before, "sales of the cluster in Silver", 200)
    wait_for(lambda: moving.page("/readyz")["ok"], "the page says that all is ready", 200)
    kafka = moving.service("broker")
    assert kafka["state"] == "elsewhere"
    assert kafka["ready"]
    found = json.loads(moving.ventes("doctor", "--json", code=None))["findings"]
    ours = [finding for finding in found if "afka" in finding["name"] or finding["name"].startswith("topic")]
    assert {finding["level"] for finding in ours if "server" not in finding["name"]} == {"ok"}, ours
    assert not any("kafka.Kafka" in command for command in moving.commands())
    assert not any(PASSWORD in command for command in moving.commands())
    stopped_with_nothing_left(moving)
    middle = rows(moving)
    assert "verified" in moving.ventes("verify")

    moving.use_managed()
    moving.ventes("start")  # this topic is known: it continues where it ended
    wait_for(lambda: rows(moving) > middle, "sales of the managed broker again", 200)
    assert "verified" in moving.ventes("verify")  # while the managed broker, and the topic with it, can be asked
    stopped_with_nothing_left(moving)
    written = [path for path in moving.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    key = broker.client.key.read_bytes().splitlines()[1]  # the key itself, in base64
    assert [path for path in written if PASSWORD.encode() in path.read_bytes() or key in path.read_bytes()] == []
