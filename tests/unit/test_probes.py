"""`/healthz` and `/readyz`: what a probe gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from ventes.dashboard import probes
from ventes.errors import ConfigError
from ventes.runtime.pipeline_status import ServiceStatus, Status


def service(name: str, ready: bool, reason: str = "") -> ServiceStatus:
    nothing: dict[str, Any] = dict.fromkeys(
        ("pid", "since", "reported", "batch", "batch_at", "batch_rows", "batch_seconds", "total", "last_error_at")
    )
    return ServiceStatus(
        name=name, title=name, state="running" if ready else "waiting", running=True, ready=ready, reason=reason,
        by_hand=False, engine="", last_error="", lag_messages=7, lag_seconds=1.5, log="/secret/place.log", **nothing,
    )  # fmt: skip


def status(*services: ServiceStatus) -> Status:
    return Status(1.0, "spark", "/secret/ventes.toml", "", 1, 1.0, services, {})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(path: str, latest: Callable[[], Status | None], base: str = "") -> Answer:
    application = Starlette(routes=probes.routes(base, latest))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    asyncio.run(application(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return Answer(sent[0]["status"], dict(sent[0]["headers"]), text)


def test_ready_is_200_and_names_each_service() -> None:
    found = ask("/readyz", lambda: status(service("bronze", True), service("silver", True)))
    assert (found.status, found.headers[b"cache-control"]) == (200, b"no-store")
    said = found.json
    assert said["ok"] is True
    assert said["services"]["silver"] == {
        "ready": True, "state": "running", "reason": "", "lag_messages": 7, "lag_seconds": 1.5,
    }  # fmt: skip
    assert "secret" not in found.text


def test_not_ready_is_503_with_the_reason() -> None:
    found = ask("/readyz", lambda: status(service("bronze", True), service("silver", False, "disk full")))
    assert found.status == 503
    assert (found.json["ok"], found.json["services"]["silver"]["reason"]) == (False, "disk full")


def refuse() -> Status:
    raise ConfigError("page.port: 0 is too small", "correct ventes.toml")


@pytest.mark.parametrize(("latest", "reason"), [(lambda: None, "not known"), (refuse, "page.port")])
def test_an_unknown_status_is_503(latest: Callable[[], Status | None], reason: str) -> None:
    found = ask("/readyz", latest)
    assert found.status == 503
    assert reason in found.json["reason"]


def test_alive_needs_no_status_and_the_base_path_counts() -> None:
    assert ask("/ventes/healthz", refuse, base="ventes").text == "ok\n"
    assert ask("/healthz", refuse, base="ventes").status == 404
