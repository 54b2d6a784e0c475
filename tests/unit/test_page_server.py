"""The page's server: its self-check, its response headers, its log."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ventes.dashboard import chart_script, server
from ventes.dashboard.connections import Connections
from ventes.dashboard.download_links import LINKS


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The parts of the App of streamlit_server.py, in a process without another server."""
    (tmp_path / "ventes.toml").write_text(f'[paths]\nlogs = "{tmp_path}"\n')
    monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "ventes.toml"))
    root, web = logging.getLogger(), logging.getLogger("uvicorn.error")
    root_handlers, web_handlers, level = root.handlers[:], web.handlers[:], root.level
    yield server.options()
    for handler in root.handlers:
        handler.close()
    root.handlers[:], web.handlers[:] = root_handlers, web_handlers
    root.setLevel(level)
    LINKS.prefix = chart_script.SERVED.prefix = None


def app(options: dict[str, Any], **without: Any) -> Starlette:
    """A web server as Streamlit makes it: its own routes come last, and answer every address."""
    own = {**options, **without}
    fallback = Route("/{path:path}", lambda request: PlainTextResponse("the page"))
    return Starlette(routes=[*own["routes"], fallback], middleware=own["middleware"])


def started(options: dict[str, Any], application: Starlette) -> str | None:
    """The variable that holds the links while the server runs."""

    async def run() -> str | None:
        async with options["lifespan"](application):
            return LINKS.prefix

    return asyncio.run(run())


def test_the_links_are_offered_when_the_server_answers_them(options: dict[str, Any], tmp_path: Path) -> None:
    assert LINKS.prefix is None
    assert started(options, app(options)) == "/csv/"
    log = (tmp_path / "streamlit.log").read_text()
    assert "the page runs" in log
    assert "ERROR" not in log


@pytest.mark.parametrize("lost", ["routes", "middleware"])
def test_what_a_streamlit_without_our_routes_cannot_do_is_an_error_in_the_log(
    options: dict[str, Any], tmp_path: Path, lost: str
) -> None:
    assert started(options, app(options, **{lost: []})) is None
    assert "ERROR   the download links are off" in (tmp_path / "streamlit.log").read_text()


def test_errors_of_the_script_and_of_the_web_server_are_in_the_log(options: dict[str, Any], tmp_path: Path) -> None:
    try:
        raise KeyError("tab5")
    except KeyError as error:
        options["on_script_error"](error)
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    logging.getLogger("uvicorn.error").info("connection open")
    log = (tmp_path / "streamlit.log").read_text()
    assert "the page's script failed" in log
    assert "KeyError: 'tab5'" in log
    assert "Exception in ASGI application" in log
    assert "connection open" not in log


def test_refused_settings_do_not_keep_the_server_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page then reports what is refused."""
    (tmp_path / "ventes.toml").write_text("[page]\nport = 0\n")
    monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "ventes.toml"))
    assert server.options()["routes"]


def test_small_pieces_are_sent_at_once() -> None:
    """Also where the server's socket was made without IPPROTO_TCP, as Streamlit's is: asyncio does nothing then."""
    accepted: list[int] = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connected() -> None:
        loop = asyncio.get_running_loop()
        Connections().watch_next_server(loop)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.bind(("127.0.0.1", 0))
            server = await loop.create_server(Noting, sock=listening)
            _, writer = await asyncio.open_connection(*listening.getsockname())
            while not accepted:
                await asyncio.sleep(0)
            writer.close()
            server.close()

    asyncio.run(asyncio.wait_for(connected(), 30))
    assert accepted == [1]
