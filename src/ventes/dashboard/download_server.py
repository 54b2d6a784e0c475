"""CSV over HTTP while it is made: all rows, nothing held in memory and nothing on disk.

Streamlit's own download button holds the whole file in memory, and its other routes read a file whole before they send
it. So this adds one route to the web server that Streamlit runs, `/csv/<ticket>`. A ticket stands for one table at one
version or one query over such tables. It is a random number, handed out over the page's own connection (which checks
who asks: server.allowedHosts) and it names nothing that is not on the page: no path, no table, no SQL is taken from the
address. A slow reader slows the reading of the table; a reader who goes away ends it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Hashable
from dataclasses import dataclass
from functools import partial

import anyio
import duckdb
import streamlit as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ventes.errors import VentesError

Chunks = Generator[bytes, None, None]

AT_ONCE = 4
"""Files that are made at the same time, each with some 100 MB; the others wait for their turn."""
TICKETS = 512
"""Links that work at the same time; the one that was not shown for longest leaves first."""

_log = logging.getLogger("ventes.page")


@dataclass(frozen=True)
class File:
    """What a ticket stands for. `open` begins the reading; the file is what it yields."""

    name: str
    open: Callable[[], Chunks]


class Tickets:
    """Ticket → file. Threads may share it."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, File] = OrderedDict()
        self._of: dict[Hashable, str] = {}
        self._guard = threading.Lock()

    def issue(self, what: Hashable, file: File) -> str:
        """The ticket for `what`: the same one as long as it is kept."""
        with self._guard:
            ticket = self._of.setdefault(what, secrets.token_urlsafe(24))
            self._files[ticket] = file
            self._files.move_to_end(ticket)
            while len(self._files) > TICKETS:
                gone, _ = self._files.popitem(last=False)
                self._of = {key: kept for key, kept in self._of.items() if kept != gone}
            return ticket

    def file(self, ticket: str) -> File | None:
        with self._guard:
            return self._files.get(ticket)


_tickets = Tickets()
_guard = threading.Lock()
_added = False
"""Whether the server of this process has the route."""


def prepare() -> bool:
    """Add the route, once a process. False if this server cannot have it (a test without one)."""
    return _route_added(_prefix())


def link(what: Hashable, file: File) -> str | None:
    """The address, on this server, from which the browser gets `file`; None if this server cannot have the route."""
    return _prefix() + _tickets.issue(what, file) if prepare() else None


def _prefix() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/csv/"


def _route_added(prefix: str) -> bool:
    global _added
    with _guard:
        if _added:
            return True
        # Streamlit has no way to ask for its server, and one that is given routes of its own (st.App) runs what people
        # paste into the script once more, outside of a session. So it is looked for, once.
        server = next((one for one in gc.get_objects() if type(one) is Starlette and _is_streamlits(one)), None)
        if server is None:
            return False
        server.router.routes = [Route(prefix + "{ticket}", _serve, methods=["GET"]), *server.router.routes]
        _added = True
        return True


def _is_streamlits(server: Starlette) -> bool:
    return any(str(getattr(route, "path", "")).endswith("/_stcore/health") for route in server.routes)


class _Turns:
    """AT_ONCE places, made in the server's event loop."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(AT_ONCE)
        self.threads = anyio.CapacityLimiter(AT_ONCE)


_turns: _Turns | None = None


async def _serve(request: Request) -> Response:
    global _turns
    file = _tickets.file(request.path_params["ticket"])
    if file is None:
        return PlainTextResponse("This link is no longer kept. Open the page again and take its new one.", 404)
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Encoding": "identity",  # else Streamlit compresses it, which takes longer than making it
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type="text/csv")
    _turns = _turns or _Turns()
    await _turns.places.acquire()
    chunks = file.open()
    try:
        first = await _next(chunks, _turns)
    except BaseException as error:
        await _end(chunks, _turns)
        if isinstance(error, VentesError):
            return PlainTextResponse(f"{error.message}. Next step: {error.hint}.", 409)
        if isinstance(error, duckdb.IOException):
            return PlainTextResponse("These rows are no longer kept. Open the page again and take its new link.", 410)
        raise
    return _Stream(first, chunks, _turns, headers)


async def _next(chunks: Chunks, turns: _Turns) -> bytes | None:
    return await anyio.to_thread.run_sync(partial(next, chunks, None), limiter=turns.threads)


async def _end(chunks: Chunks, turns: _Turns) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(chunks.close, limiter=turns.threads)
    turns.places.release()


class _Stream(StreamingResponse):
    """The file as it is made. Where that fails midway the connection breaks: no browser takes a half for the whole."""

    def __init__(self, first: bytes | None, chunks: Chunks, turns: _Turns, headers: dict[str, str]) -> None:
        self._chunks, self._turns = chunks, turns
        super().__init__(self._body(first), headers=headers, media_type="text/csv")

    async def _body(self, first: bytes | None) -> AsyncIterator[bytes]:
        chunk = first
        while chunk is not None:
            yield chunk
            chunk = await _next(self._chunks, self._turns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # whether all was sent, the reader went away, or making it failed
            await _end(self._chunks, self._turns)
