"""Additions to Streamlit's web server: downloads, security headers, a check of the host name, the login, limits for
connections, a stop within seconds.

streamlit_server.py creates the server: `streamlit.starlette.App` (Streamlit's documented way to add routes) with
`options()`. `ventes start` runs that file. A page started by hand (`streamlit run streamlit_dashboard.py`) is the same
page without these additions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ventes.config import load
from ventes.dashboard import chart_script, early_scripts, first_visit, page_heartbeat, page_state, probes
from ventes.dashboard.connections import Connections
from ventes.dashboard.download_links import LINKS
from ventes.dashboard.download_server import DownloadServer
from ventes.dashboard.login import running
from ventes.dashboard.login.requests import SELF_TEST, LoginRequests
from ventes.dashboard.login.running import at_start
from ventes.errors import VentesError
from ventes.runtime import logs
from ventes.runtime.pipeline_status import Status

HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",  # no other site may show the page in a frame
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address holds filters and SQL
}
END_SECONDS = 3.0
"""Seconds that connections have to close after SIGTERM; the supervisor kills the page after 5 s."""
FIRST_VISIT_SECONDS = 10.0
"""Seconds that the server waits for its own first page before it listens; a slow one is drawn beside the viewers'."""
END_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("ventes.page")


def options(downloads: DownloadServer | None = None, connections: Connections | None = None) -> dict[str, Any]:
    """The arguments of `streamlit.starlette.App`, besides the script. Call it once in a process.

    `downloads` and `connections`: for other limits than the default ones. Ends the process if the page's login cannot
    be set up.
    """
    auth = _begin()
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    home = f"/{base}/" if base else "/"
    prefix, scripts = f"{home}csv/", f"{home}charts/"
    serving = downloads or DownloadServer(LINKS)
    watching = connections or Connections()

    @asynccontextmanager
    async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
        if await _serves(app, f"{prefix}-"):
            LINKS.prefix = prefix
            chart_script.SERVED.prefix = scripts
        else:
            _log.error(
                "the download links are off: Streamlit %s does not serve %s. "
                "Next step: install the version in requirements/base.txt",
                st.__version__, prefix,
            )  # fmt: skip
        watching.watch_next_server(asyncio.get_running_loop())
        visiting = asyncio.create_task(first_visit.visit(app, home))
        # nobody is let in before: a viewer of that second would wait for both first pages
        await asyncio.wait({visiting}, timeout=FIRST_VISIT_SECONDS)
        with _ending_soon(serving):
            _log.info("the page runs, pid %d", os.getpid())
            yield
        visiting.cancel()
        _log.info("the page has ended")

    return {
        **({"secrets": auth} if auth else {}),
        "lifespan": lifespan,
        "routes": [
            Route(f"{prefix}{{ticket}}", serving, methods=["GET"]),
            chart_script.route(scripts),
            *early_scripts.routes(home, scripts),
            *probes.routes(base, _latest_status),
        ],
        "middleware": [
            Middleware(watching.middleware),
            Middleware(SecurityHeaders),
            Middleware(KnownHosts, base),
            Middleware(LoginRequests, base, page_state.settings_in_force),
        ],
        "on_script_error": _log_script_error,
    }


def _latest_status() -> Status | None:
    """Raises ConfigError."""
    settings = page_state.settings_in_force()
    return page_state.state_of(settings, page_state.composed_ask_status()).status.latest()


class SecurityHeaders:
    """Adds HEADERS to every HTTP response of `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Lets requests through under the names of server.allowedHosts only, and those for metrics from this machine only.

    Streamlit itself checks the name only for a WebSocket. `base`: the path under which the page is, without slashes.
    """

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        prefix = f"/{base}/_stcore" if base else "/_stcore"
        # They tell nothing of the data, and monitoring may use an IP address.
        self._probes = (f"{prefix}/health", *(f"/{base}{path}" if base else path for path in ("/healthz", "/readyz")))
        self._metrics = f"{prefix}/metrics"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._lets_in(scope):
            text = "This page does not answer here. page.hosts in ventes.toml names the hosts under which it does.\n"
            await PlainTextResponse(text, 403, {"Cache-Control": "no-store"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        path = scope["path"].rstrip("/")
        if path in self._probes:
            return True
        if path == self._metrics and not _is_this_machine(scope.get("client")):
            return False
        return is_known(Headers(scope=scope).get("host", ""), st.get_option("server.allowedHosts") or ())


def is_known(host: str, known: Iterable[str]) -> bool:
    """Whether the header `host` (with or without a port) names one of `known`; `*.lan` stands for all names below lan.
    True for every name if `known` is empty."""
    names = [name.strip().lower().rstrip(".") for name in known]
    try:
        asked = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return not names or any(asked.endswith(name[1:]) if name.startswith("*.") else asked == name for name in names)


def _is_this_machine(client: tuple[str, int] | None) -> bool:
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _serves(app: ASGIApp, path: str) -> bool:
    """Whether `app` routes a download's address to our code: a self-test at the page's start."""
    answer: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answer.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0), SELF_TEST: True,
    }  # fmt: skip
    await app(scope, receive, send)
    start = answer[0]
    sent = {name.lower() for name, _ in start.get("headers", ())}
    expected = 404 if at_start() is None else 401
    return start["status"] == expected and {name.lower().encode() for name in HEADERS} <= sent


@contextmanager
def _ending_soon(downloads: DownloadServer) -> Iterator[None]:
    """While the block runs, SIGTERM and SIGINT end the downloads, and the process within END_SECONDS.

    The server itself would wait without limit for a client that reads nothing. Its own handler is called too.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in END_SIGNALS}

    def end(number: int) -> None:
        downloads.stop()
        loop.call_later(END_SECONDS, _end_at_once, number)

    def note(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end, number)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in END_SIGNALS:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(number: int) -> None:
    """End the process; the kernel closes open connections."""
    _log.warning("connections were still open %g s after %s", END_SECONDS, signal.Signals(number).name)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _log_script_error(error: Exception) -> None:
    """Log the script's error: Streamlit tells the viewer only that there was one."""
    _log.error("the page's script failed", exc_info=error)


class _Forward(logging.Handler):
    """Writes the records of another logger to the page's log."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.handle(record)


def _begin() -> dict[str, Any]:
    """Begin the page's log, with the warnings and errors of the web server in it; returns the login's `secrets`."""
    try:
        settings = load()
        logs.setup("page", settings)
    except (VentesError, OSError) as error:  # the page shows the error of the settings
        _log.error("%s", error)
        return {}
    logging.getLogger("uvicorn.error").addHandler(_Forward(logging.WARNING))
    try:
        auth = running.start(settings)
    except (VentesError, OSError) as error:
        _log.error("the page has no login and does not start: %s", error)
        sys.exit(f"the page has no login and does not start: {error}")
    try:
        page_heartbeat.start(settings)
    except OSError as error:
        _log.warning("`ventes status` cannot tell whether the page must restart: %s", error)
    return auth
