"""Limits for connections to the page that are opened and not used: in time, and in number.

The web server itself waits without limit for the rest of a request, and for a client that reads nothing. `Connections`
watches every connection of the event loop's server: one without a request in progress has `request_seconds` to send
one, and one without progress in the middle of a request or a response has `stall_seconds`. A WebSocket counts as a
request in progress while it is open; the server's own pings end it when the browser is gone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("ventes.page")

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n"
    b"Connection: close\r\n\r\nThe page has as many connections as it can. Try again in a moment.\n"
)
LOG_SECONDS = 60.0
"""Seconds between two log lines about closed connections."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of number and time."""

    in_all: int = 1000
    """A viewer has one for the WebSocket, and for a moment about six more. Beyond the limit: a message to wait."""
    without_request: int = 256
    """The oldest of them is closed for the next one."""
    request_seconds: float = 10.0
    """For a request line and its headers. A browser's idle connection is closed by the server after 5 s."""
    stall_seconds: float = 90.0
    """For the next piece of a request's body, and for reading the next piece of a response. Longer than a download's
    own limit, which logs the cause."""


_CURRENT: ContextVar[_Connection | None] = ContextVar("connection", default=None)
"""The connection whose request a task answers: the server makes the task while it takes the connection's data."""


def sender() -> str:
    """The IP address that sent the current task's request, whatever its headers say; "" if it is unknown."""
    connection = _CURRENT.get()
    return connection.peer if connection is not None else ""


class Connections:
    """All connections of one server."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.limits = limits or ConnectionLimits()
        self._open: set[_Connection] = set()
        self._waiting: dict[_Connection, asyncio.TimerHandle] = {}
        """Those without a request in progress; the one that has waited longest first."""
        self._closed = 0
        self._logged = -LOG_SECONDS

    def watch_next_server(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the connections of the server that `loop` makes next."""
        make = loop.create_server

        async def create_server(factory: Callable[[], Any], *arguments: Any, **named: Any) -> Any:
            loop.create_server = make  # type: ignore[method-assign]
            return await make(lambda: _Connection(factory(), self), *arguments, **named)

        loop.create_server = create_server  # type: ignore[method-assign, assignment]

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap `app`, so that these connections know which requests are in progress."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            connection = _CURRENT.get()
            if connection is None or scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            connection.begin()
            try:
                if scope["type"] == "http":
                    await app(scope, connection.receiving(receive), connection.sending(send))
                else:
                    await app(scope, receive, send)
            finally:
                connection.end()

        return answer

    def opened(self, connection: _Connection) -> bool:
        """Add a connection; whether it is within the limit."""
        if len(self._open) >= self.limits.in_all:
            return False
        self._open.add(connection)
        self.waits(connection)
        return True

    def waits(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[connection] = loop.call_later(self.limits.request_seconds, self._drop, connection)
        if len(self._waiting) > self.limits.without_request:
            self._drop(next(iter(self._waiting)))

    def works(self, connection: _Connection) -> None:
        if (timer := self._waiting.pop(connection, None)) is not None:
            timer.cancel()

    def closed(self, connection: _Connection) -> None:
        self.works(connection)
        self._open.discard(connection)

    def _drop(self, connection: _Connection) -> None:
        self.works(connection)
        connection.drop()

    def dropped(self) -> None:
        """Count a connection that was closed here, for the log."""
        self._closed += 1
        now = time.monotonic()
        if now - self._logged >= LOG_SECONDS:
            _log.warning("closed %d connections that made no progress or exceeded the limit", self._closed)
            self._logged, self._closed = now, 0


def _send_at_once(transport: asyncio.BaseTransport) -> None:
    """Let the kernel send a small piece without waiting until the one before has been acknowledged (TCP_NODELAY).

    Headers and body are two pieces, and a browser acknowledges up to 40 ms late: that much for each of 130 small files.
    asyncio sets the option only for sockets made with IPPROTO_TCP, and the web server's own are not.
    """
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Connection(asyncio.Protocol):
    """One connection, in front of the web server's own protocol for it (which a WebSocket's takes the place of)."""

    def __init__(self, served: asyncio.Protocol, all_: Connections) -> None:
        self._served = served
        self._all = all_
        self._answering = 0
        self._refused = False
        self._transport: Any = None

    @property
    def peer(self) -> str:
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if name else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        _send_at_once(transport)
        if self._all.opened(self):
            self._served.connection_made(transport)
            return
        self._refused = True
        self._transport.write(BUSY)
        self._transport.close()
        self._all.dropped()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        token = _CURRENT.set(self)
        try:
            self._served.data_received(data)
        finally:
            _CURRENT.reset(token)

    def eof_received(self) -> bool | None:
        return None if self._refused else self._served.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._all.closed(self)
        if not self._refused:
            self._served.connection_lost(error)

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()

    def drop(self) -> None:
        """Close it at once; unsent data is lost."""
        self._transport.abort()
        self._all.dropped()

    # -- requests ------------------------------------------------------------------------------

    def begin(self) -> None:
        self._answering += 1
        self._all.works(self)

    def end(self) -> None:
        self._answering -= 1
        if self._answering:
            return
        if self._transport.is_closing() or self._transport.get_protocol() is not self:  # a WebSocket that has ended
            self._all.closed(self)
        else:
            self._all.waits(self)

    def receiving(self, receive: Receive) -> Receive:
        """`receive`, with a limit until the request's body is complete. Then it waits for the client to disconnect."""
        complete = False

        async def receive_in_time() -> Message:
            nonlocal complete
            message = await (receive() if complete else self._in_time(receive()))
            complete = complete or message["type"] != "http.request" or not message.get("more_body", False)
            return message

        return receive_in_time

    def sending(self, send: Send) -> Send:
        async def send_in_time(message: Message) -> None:
            await self._in_time(send(message))

        return send_in_time

    async def _in_time(self, step: Awaitable[Any]) -> Any:
        """The result of `step`. If it takes too long, the connection is closed; the server then ends the step."""
        timer = asyncio.get_running_loop().call_later(self._all.limits.stall_seconds, self.drop)
        try:
            return await step
        finally:
            timer.cancel()
