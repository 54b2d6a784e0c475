"""Streams CSV files over HTTP: `<base>/csv/<ticket>`, an ASGI application inside the page's server.

Each file is written by a child process (query/csv_child.py), and its output is sent at the speed of the client: the
page keeps nothing of it in memory or on disk, and is not blocked. The child is killed when the client disconnects, when
the client reads nothing for too long, and when the page ends. After an error the connection is aborted, so that no
browser takes a partial file for a complete one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from ventes.dashboard.download_links import Download, DownloadLinks, LinkRefused, Viewer
from ventes.dashboard.login.requests import note_download, person_of
from ventes.query import csv_child
from ventes.runtime.child_environment import variables

PIECE = 256 << 10
"""Bytes sent at a time. A client that reads less than this in `stall_seconds` counts as stalled."""
CHILD = (sys.executable, "-I", str(Path(csv_child.__file__).resolve()))

_log = logging.getLogger("ventes.page")


@dataclass(frozen=True)
class DownloadLimits:
    """Limits of parallel downloads, and timeouts."""

    in_all: int = 4
    """Downloads of all viewers at the same time; each takes about 300 MB and one core."""
    of_a_viewer: int = 2
    wait_seconds: float = 15.0
    """Seconds to wait for a free place; then the answer is 429 (the viewer's limit) or 503 (the limit of all)."""
    stall_seconds: float = 60.0
    """A client that reads nothing for so long is disconnected."""


class DownloadServer:
    """The application, for one event loop. `command`: the child's command line."""

    def __init__(
        self, links: DownloadLinks, limits: DownloadLimits | None = None, command: Sequence[str] = CHILD
    ) -> None:
        self._links = links
        self._limits = limits or DownloadLimits()
        self._command = command
        self._places = anyio.Semaphore(self._limits.in_all)
        self._places_of: WeakKeyDictionary[Viewer, anyio.Semaphore] = WeakKeyDictionary()
        self._running: set[anyio.CancelScope] = set()
        self._ending = False

    def stop(self) -> None:
        """End all downloads, and refuse new ones. Call it in the event loop."""
        self._ending = True
        for running in self._running:
            running.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._ending:
                raise LinkRefused(503, "The page is ending.")
            host = Headers(scope=scope).get("host", "")
            viewer, download = self._links.find(scope["path_params"]["ticket"], host, person_of(scope).name)
        except LinkRefused as refused:
            await _refusal(refused)(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await Response(headers=_headers(download), media_type="text/csv")(scope, receive, send)
            return
        note_download(scope, download.name, download.what)
        async with anyio.create_task_group() as group:
            self._running.add(group.cancel_scope)
            try:
                group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
                await self._serve(viewer, download, scope, receive, send)
            finally:
                self._running.discard(group.cancel_scope)
                group.cancel_scope.cancel()

    async def _serve(self, viewer: Viewer, download: Download, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._place(viewer), self._child(download) as child:
                await self._stream(child, download, send)
        except LinkRefused as refused:  # before the first byte
            await _refusal(refused)(scope, receive, send)

    async def _stream(self, child: Process, download: Download, send: Send) -> None:
        assert child.stdout is not None
        said = json.loads(await child.stdout.readline() or b'{"status": 500, "message": "The file could not be made."}')
        if said["status"] != 200:
            raise LinkRefused(said["status"], said["message"])
        headers = [*Response(headers=_headers(download), media_type="text/csv").raw_headers]
        start = {"type": "http.response.start", "status": 200, "headers": [h for h in headers if h[0] != _LENGTH]}
        try:
            await self._send_in_time(send, start)
            while piece := await child.stdout.read(PIECE):
                await self._send_in_time(send, {"type": "http.response.body", "body": piece, "more_body": True})
            if await child.wait() == 0:
                await self._send_in_time(send, {"type": "http.response.body", "body": b""})
            else:
                _log.error("%s broke off: its process ended with code %s", download.name, child.returncode)
        except TimeoutError:
            _log.warning("%s broke off: its reader took nothing for %g s", download.name, self._limits.stall_seconds)

    async def _send_in_time(self, send: Send, message: Message) -> None:
        """Raises TimeoutError. The server's `send` waits while its buffer for this reader is full."""
        with anyio.fail_after(self._limits.stall_seconds):
            await send(message)

    @asynccontextmanager
    async def _place(self, viewer: Viewer) -> AsyncIterator[None]:
        """Raises LinkRefused."""
        limits = self._limits
        own = self._places_of.setdefault(viewer, anyio.Semaphore(limits.of_a_viewer))
        too_many = LinkRefused(429, f"{limits.of_a_viewer} of your downloads are running. Wait until one has ended.")
        busy = LinkRefused(503, f"{limits.in_all} downloads are running. Try again in a few minutes.")
        async with _taken(own, limits.wait_seconds, too_many), _taken(self._places, limits.wait_seconds, busy):
            yield

    @asynccontextmanager
    async def _child(self, download: Download) -> AsyncIterator[Process]:
        """The process that writes the file; killed at the end of the block."""
        task = await anyio.to_thread.run_sync(lambda: download.task().to_json())
        with anyio.CancelScope(shield=True):  # cancelled in its middle, it would leave a child that nobody waits for
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                env=variables({}),
                cwd="/",
                start_new_session=True,
                limit=PIECE,
            )
        try:
            assert process.stdin is not None
            with suppress(ConnectionError):  # it has ended already, without its first line
                process.stdin.write(task)
                await process.stdin.drain()
            process.stdin.close()
            yield process
        finally:
            with anyio.CancelScope(shield=True), suppress(ProcessLookupError):
                process.kill()
            with anyio.CancelScope(shield=True):
                await process.communicate()  # read to the end of its output, else the pipe would stay open


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


@asynccontextmanager
async def _taken(places: anyio.Semaphore, seconds: float, refusal: LinkRefused) -> AsyncIterator[None]:
    """Occupies a place while the block runs. Raises `refusal` if none becomes free within `seconds`."""
    try:
        with anyio.fail_after(seconds):
            await places.acquire()
    except TimeoutError:
        raise refusal from None
    try:
        yield
    finally:
        places.release()


_LENGTH = b"content-length"


def _headers(download: Download) -> dict[str, str]:
    return {
        "Content-Disposition": f'attachment; filename="{download.name}"',
        "Cache-Control": "no-store",
        "Content-Encoding": "identity",  # otherwise Streamlit compresses it, which takes longer than writing it
    }


def _refusal(refused: LinkRefused) -> Response:
    retry = {"Retry-After": "10"} if refused.status in (429, 503) else {}
    return PlainTextResponse(str(refused), refused.status, {"Cache-Control": "no-store", **retry})
