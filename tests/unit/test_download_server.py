"""Downloads, with a reader that uses ASGI as the web server does, and children scripted by the test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ventes.dashboard.download_links import Download, DownloadLinks, Viewer
from ventes.dashboard.download_server import DownloadLimits, DownloadServer
from ventes.query.csv_child import CsvTask

HOST = "localhost:8501"
FILE = Download("sales.csv", lambda: CsvTask({}))
BEGIN = "import sys, time\nsys.stdin.read()\nout = sys.stdout.buffer\n"
"""How every child of these tests begins."""
OK = BEGIN + "out.write(b'{\"status\": 200}\\n'); out.flush()\n"
SMALL = OK + "out.write(b'a,b\\n1,2\\n')\n"
ENDLESS = OK + "while True: out.write(b'x' * 1000)\n"
SILENT = BEGIN + "time.sleep(600)\n"
"""A query that computes for a long time before its first row."""
BROKEN = OK + "out.write(b'a,b\\n1,'); out.flush(); sys.exit(1)\n"


class Reader:
    """One request. `takes`: pieces of the body that it reads before it stops."""

    def __init__(self, ticket: str, method: str = "GET", host: str = HOST, takes: int = 10**9) -> None:
        self.scope = {
            "type": "http", "method": method, "path_params": {"ticket": ticket}, "headers": [(b"host", host.encode())],
        }  # fmt: skip
        self.takes = takes
        self.messages: list[dict[str, Any]] = []
        self.begun = asyncio.Event()
        self._gone = asyncio.Event()

    def leave(self) -> None:
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message.get("body"):
            self.begun.set()
            if self.takes <= 0:
                await asyncio.Event().wait()  # as the server does while its buffer is full
            self.takes -= 1
        self.messages.append(message)

    @property
    def status(self) -> int:
        found: int = self.messages[0]["status"]
        return found

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def complete(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", False) and len(self.messages) > 1


class Scene:
    """A server, its links and its viewers."""

    def __init__(self, child: str, **limits: float) -> None:
        self.links = DownloadLinks()
        self.links.prefix = ""
        self.server = DownloadServer(self.links, DownloadLimits(**limits), (sys.executable, "-c", child))  # type: ignore[arg-type]
        self.viewer = Viewer(HOST)

    def reader(self, viewer: Viewer | None = None, **how: Any) -> Reader:
        return Reader(self.links.issue(viewer or self.viewer, "sales", FILE), **how)

    async def read(self, reader: Reader) -> Reader:
        await self.server(reader.scope, reader.receive, reader.send)
        return reader

    def start(self, reader: Reader) -> asyncio.Task[Reader]:
        return asyncio.create_task(self.read(reader))


def played(play: Callable[[], Awaitable[None]]) -> None:
    """Run it; afterwards no child is left."""

    async def run() -> None:
        await asyncio.wait_for(play(), 30)

    asyncio.run(run())
    assert not children()


def children() -> list[psutil.Process]:
    """The children of the server; brokers that other tests share are children of this process too."""
    found = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in found if any(argument.startswith(BEGIN) for argument in child.cmdline())]


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async def turn() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(turn(), seconds)


def test_a_file_is_streamed_whole_with_its_name() -> None:
    async def play() -> None:
        scene = Scene(SMALL)
        reader = await scene.read(scene.reader())
        assert (reader.status, reader.body, reader.complete) == (200, b"a,b\n1,2\n", True)
        assert reader.headers["content-disposition"] == 'attachment; filename="sales.csv"'
        assert reader.headers["cache-control"] == "no-store"
        assert reader.headers["content-encoding"] == "identity"
        assert "content-length" not in reader.headers

    played(play)


def test_head_starts_nothing() -> None:
    async def play() -> None:
        scene = Scene(SILENT)
        reader = await scene.read(scene.reader(method="HEAD"))
        assert (reader.status, reader.body) == (200, b"")
        assert reader.headers["content-disposition"] == 'attachment; filename="sales.csv"'

    played(play)


@pytest.mark.parametrize(
    ("child", "status", "sentence"),
    [
        (BEGIN + 'out.write(b\'{"status": 409, "message": "no."}\\n\')', 409, b"no."),
        (BEGIN + "sys.exit(1)", 500, b"The file could not be made."),
    ],
)
def test_what_fails_before_the_first_byte_is_a_sentence(child: str, status: int, sentence: bytes) -> None:
    async def play() -> None:
        scene = Scene(child)
        reader = await scene.read(scene.reader())
        assert (reader.status, reader.body) == (status, sentence)

    played(play)


def test_what_fails_midway_is_broken_off() -> None:
    async def play() -> None:
        scene = Scene(BROKEN)
        reader = await scene.read(scene.reader())
        assert reader.status == 200
        assert not reader.complete

    played(play)


def test_another_host_or_ticket_is_refused() -> None:
    async def play() -> None:
        scene = Scene(SMALL)
        assert (await scene.read(scene.reader(host="evil.example"))).status == 403
        assert (await scene.read(Reader("bronze"))).status == 404

    played(play)


@pytest.mark.parametrize("child", [SILENT, ENDLESS], ids=["before the first byte", "in the middle"])
def test_a_reader_who_leaves_ends_the_child_and_frees_the_place(child: str) -> None:
    async def play() -> None:
        scene = Scene(child, in_all=1, of_a_viewer=1, wait_seconds=0.2)
        for _ in range(3):
            reader = scene.reader(takes=3)
            task = scene.start(reader)
            await until(lambda: bool(children()))
            if child == ENDLESS:
                await reader.begun.wait()
            reader.leave()
            await asyncio.wait_for(task, 2)
            assert not children()

    played(play)


def test_a_reader_that_reads_nothing_is_disconnected() -> None:
    async def play() -> None:
        scene = Scene(ENDLESS, stall_seconds=0.2)
        reader = await asyncio.wait_for(scene.read(scene.reader(takes=2)), 5)
        assert reader.status == 200
        assert not reader.complete

    played(play)


def test_downloads_per_viewer_and_the_time_to_wait_are_limited() -> None:
    async def play() -> None:
        scene = Scene(SILENT, in_all=3, of_a_viewer=2, wait_seconds=0.2)
        mine = [scene.reader() for _ in range(2)]
        running = [scene.start(reader) for reader in mine]
        await until(lambda: len(children()) == 2)
        refused = await scene.read(scene.reader())
        assert (refused.status, refused.headers["retry-after"]) == (429, "10")
        assert b"2 of your downloads are running" in refused.body

        other = scene.reader(Viewer(HOST))
        running.append(scene.start(other))
        await until(lambda: len(children()) == 3)
        refused = await scene.read(scene.reader(Viewer(HOST)))
        assert refused.status == 503
        assert b"3 downloads are running" in refused.body
        for reader in (*mine, other):
            reader.leave()
        await asyncio.gather(*running)

    played(play)


def test_a_waiting_request_gets_the_place_that_becomes_free() -> None:
    async def play() -> None:
        scene = Scene(ENDLESS, in_all=1, wait_seconds=20.0)
        first, second = scene.reader(takes=0), scene.reader(Viewer(HOST), takes=5)
        one = scene.start(first)
        await first.begun.wait()
        other = scene.start(second)
        await asyncio.sleep(0)
        first.leave()
        await one
        await asyncio.wait_for(second.begun.wait(), 10)
        second.leave()
        await other

    played(play)


def test_a_request_that_disconnects_while_waiting_takes_no_place() -> None:
    async def play() -> None:
        scene = Scene(ENDLESS, in_all=1, wait_seconds=20.0)
        first, second = scene.reader(takes=0), scene.reader(Viewer(HOST))
        one, other = scene.start(first), scene.start(second)
        await first.begun.wait()
        second.leave()
        await asyncio.wait_for(other, 2)
        assert not second.messages
        first.leave()
        await one
        third = scene.reader(Viewer(HOST), takes=1)
        again = scene.start(third)
        await asyncio.wait_for(third.begun.wait(), 10)
        third.leave()
        await again

    played(play)


def test_when_the_page_ends_all_downloads_end() -> None:
    async def play() -> None:
        scene = Scene(ENDLESS)
        readers = [scene.reader(takes=0), scene.reader(takes=0), scene.reader(Viewer(HOST), takes=0)]
        running = [scene.start(reader) for reader in readers]
        for reader in readers:
            await reader.begun.wait()
        scene.server.stop()
        await asyncio.wait_for(asyncio.gather(*running), 2)
        assert (await scene.read(scene.reader())).status == 503

    played(play)


def test_a_large_task_reaches_a_child_that_does_not_read_it(tmp_path: Path) -> None:
    async def play() -> None:
        scene = Scene("raise SystemExit(1)")
        large = Download("x.csv", lambda: CsvTask({}, "x" * 5_000_000))
        reader = Reader(scene.links.issue(scene.viewer, "large", large))
        assert (await scene.read(reader)).status == 500

    played(play)
