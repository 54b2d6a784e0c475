"""Ordinary viewers of the page beside hostile ones: `python -m harness.hostile_viewers`.

Each viewer speaks Streamlit's protocol as a browser does: it opens a session, and asks for the fragments that refresh
by themselves at the page's own interval. A hostile one does one of these, again and again, without a pause:

    computes    SQL that computes until it is ended
    giant       SQL with a result near the limit in bytes, another one each time
    downloads   files of 2 GB, up to its places, of which it takes a few bytes a second; a new ticket each time
    half_open   300 connections that send no whole request
    deaf        20 sessions that refresh, and never read what the page sends
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from harness import sample_lake
from harness.cards import cards_in
from harness.page_site import serve, toml

TOTAL = "Total Records"
_TICKET = re.compile(rb"/csv/[\w-]{20,}")
_numbers = itertools.count()


class Session:
    """One session of the page on `port`."""

    def __init__(self, port: int, socket: ClientConnection) -> None:
        self.port = port
        self._socket = socket
        self.query = ""
        self.intervals: dict[str, float] = {}
        """Fragment → seconds between two runs of it."""
        self.ids: dict[str, str] = {}
        """Label of a text area or button → the widget's id."""
        self.total = ""
        """What the first figure shows."""
        self.ticket = ""
        """The last download link."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, port: int, **query: str):
        address = f"ws://localhost:{port}/_stcore/stream"
        async with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=60) as socket:  # type: ignore[list-item]
            session = cls(port, socket)
            session.query = urlencode(query)
            await session.run()
            yield session

    def stop_reading(self) -> None:
        self._socket.transport.pause_reading()

    async def ask(self, fragment: str = "", text: str | None = None) -> None:
        """Ask for a run of a fragment, or of the whole page; with `text`, type it as SQL and press Run."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        state.fragment_id = fragment
        state.is_auto_rerun = bool(fragment)
        if text is not None:
            state.widget_states.widgets.add(id=self.ids["One SELECT, in Spark's dialect"], string_value=text)
            state.widget_states.widgets.add(id=self.ids["Run"], trigger_value=True)
        await self._socket.send(message.SerializeToString())

    async def run(self, fragment: str = "", text: str | None = None) -> float:
        """The same, and take what the page sends until the run has ended; returns how many seconds that took."""
        began = time.perf_counter()
        await self.ask(fragment, text)
        wanted = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY if fragment else ForwardMsg.FINISHED_SUCCESSFULLY
        while True:
            data = await self._socket.recv()
            assert isinstance(data, bytes)
            message = ForwardMsg()
            message.ParseFromString(data)
            kind = message.WhichOneof("type")
            if kind == "auto_rerun":
                self.intervals[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            elif kind == "delta":
                self._drawn(message.delta)
                if found := _TICKET.findall(data):
                    self.ticket = found[-1].decode()
            elif kind == "script_finished" and message.script_finished == wanted:
                return time.perf_counter() - began

    def _drawn(self, delta: Delta) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind in ("text_area", "button"):
            self.ids[getattr(element, kind).label] = getattr(element, kind).id
        elif kind == "html":
            for card in cards_in(element.html.body):
                self.total = card.value if card.label == TOTAL else self.total


@dataclass
class Seen:
    """What the viewers that only look have seen."""

    waited: list[float] = field(default_factory=list)
    """Seconds of each round of refreshes: from asking until all was drawn."""
    late_total: list[float] = field(default_factory=list)
    """Seconds until each viewer saw the sales that came at the end."""
    lost: list[str] = field(default_factory=list)
    """Why sessions ended before their time."""


@dataclass(frozen=True)
class Outcome:
    """Memory in MB: the page's process before and at its peak; its children at their peak."""

    seen: Seen
    before_mb: int
    peak_mb: int
    children_mb: int
    hostile_rounds: int

    def lines(self) -> str:
        waited, late = sorted(self.seen.waited) or [0.0], self.seen.late_total or [float("inf")]
        p95 = waited[int(0.95 * len(waited))]
        return "\n".join(
            (
                f"refreshes {len(waited)}, lost sessions {len(self.seen.lost)} {self.seen.lost[:1]}, "
                f"rounds of the hostile {self.hostile_rounds}",
                f"a refresh took: median {statistics.median(waited):.2f} s, p95 {p95:.2f} s, "
                f"slowest {waited[-1]:.2f} s",
                f"new sales were seen after: median {statistics.median(late):.2f} s, slowest {max(late):.2f} s",
                f"memory of the page {self.before_mb} → at most {self.peak_mb} MB; its children at most "
                f"{self.children_mb} MB",
            )
        )


async def look(port: int, seen: Seen, until: float, appended: asyncio.Event, total: Callable[[], str]) -> None:
    """One viewer: refreshes at the page's interval until `until`, and then until it has seen `total`."""
    try:
        async with Session.opened(port) as session:
            interval = min(session.intervals.values())
            while time.monotonic() < until:
                round_began = time.monotonic()
                seen.waited.append(sum([await session.run(fragment) for fragment in list(session.intervals)]))
                await asyncio.sleep(max(0.0, interval - (time.monotonic() - round_began)))
            await appended.wait()
            began = time.monotonic()
            while session.total != total():
                for fragment in list(session.intervals):
                    await session.run(fragment)
                if session.total != total():
                    await asyncio.sleep(interval)
            seen.late_total.append(time.monotonic() - began)
    except (WebSocketException, OSError) as error:
        seen.lost.append(repr(error))


async def computes(port: int, rounds: list[str]) -> None:
    async with Session.opened(port, tab="SQL") as session:
        while True:
            await session.run(
                text=f"SELECT count(*) AS n{next(_numbers)} FROM range(100000) a CROSS JOIN range(1000000)"
            )
            rounds.append("computes")


async def giant(port: int, rounds: list[str]) -> None:
    async with Session.opened(port, tab="SQL") as session:
        while True:
            query = f"SELECT repeat('x', 5000) AS n{next(_numbers)} FROM range(10000)"
            await session.run(text=query)
            rounds.append("giant")


async def downloads(port: int, rounds: list[str]) -> None:
    async def slowly(ticket: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {ticket} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
            while await reader.read(16):
                await asyncio.sleep(0.5)
        finally:
            writer.close()

    async with Session.opened(port, tab="SQL") as session, contextlib.AsyncExitStack() as stack:
        readers: list[asyncio.Task[None]] = []
        stack.push_async_callback(_cancel, readers)
        while True:
            query = f"SELECT repeat('x', 1000) AS n{next(_numbers)} FROM bronze_data CROSS JOIN range(1000)"
            await session.run(text=query)
            if session.ticket:
                readers.append(asyncio.create_task(slowly(session.ticket)))
            rounds.append("downloads")


async def half_open(port: int, rounds: list[str]) -> None:
    while True:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    stack.callback(writer.close)
                    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            await asyncio.sleep(2)
        rounds.append("half_open")


async def deaf(port: int, rounds: list[str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sessions = []
        for _ in range(20):
            session = await stack.enter_async_context(Session.opened(port))
            session.stop_reading()
            sessions.append(session)
        while True:
            for session in sessions:
                await session.ask()
            rounds.append("deaf")
            await asyncio.sleep(5)


KINDS: tuple[Callable[[int, list[str]], Awaitable[None]], ...] = (computes, giant, downloads, half_open, deaf)


async def _hostile(kind: Callable[[int, list[str]], Awaitable[None]], port: int, rounds: list[str]) -> None:
    while True:  # dropped: it comes back
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            await kind(port, rounds)
        await asyncio.sleep(0.5)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _measure(pid: int, peaks: dict[str, int]) -> None:
    server = psutil.Process(pid)
    while True:
        peaks["page"] = max(peaks["page"], server.memory_info().rss >> 20)
        children = 0
        for child in server.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                children += child.memory_info().rss >> 20
        peaks["children"] = max(peaks["children"], children)
        await asyncio.sleep(0.1)


async def crowd(port: int, pid: int, viewers: int, hostile: int, seconds: float, append: Callable[[], str]) -> Outcome:
    """`append` adds sales to the tables, and returns what the first figure must show then."""
    seen, rounds, peaks = Seen(), list[str](), {"page": 0, "children": 0}
    async with Session.opened(port):  # the first one pays for imports
        pass
    before = psutil.Process(pid).memory_info().rss >> 20
    appended, expected = asyncio.Event(), [""]
    until = time.monotonic() + seconds
    beside = [asyncio.create_task(_measure(pid, peaks))]
    beside += [asyncio.create_task(_hostile(KINDS[n % len(KINDS)], port, rounds)) for n in range(hostile)]
    looking = [asyncio.create_task(look(port, seen, until, appended, lambda: expected[0])) for _ in range(viewers)]
    try:
        await asyncio.sleep(seconds)
        expected[0] = await asyncio.to_thread(append)
        appended.set()
        await asyncio.gather(*looking)
    finally:
        await _cancel([*beside, *looking])
    return Outcome(seen, before, peaks["page"], peaks["children"], len(rounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=45, help="who only look")
    parser.add_argument("--hostile", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sales", type=int, default=100_000, help="messages in the tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(lake(Path(folder), options.sales)) as site:
        outcome = asyncio.run(
            crowd(site.port, site.pid, options.viewers, options.hostile, options.seconds, more_sales(site))
        )
    print(outcome.lines())
    return int(bool(outcome.seen.lost) or len(outcome.seen.late_total) < options.viewers)


def lake(folder: Path, sales: int) -> Path:
    """Tables with so many messages, and their ventes.toml."""
    toml(folder)
    sample_lake.make(sample_lake.settings_at(folder), sales, sample_lake.Shape(days=10), lots=4)
    return folder


def more_sales(site) -> Callable[[], str]:
    """Adds 25 messages; returns the number of all as the page shows it."""
    from harness.shipped import BRONZE
    from ventes.lake import tables

    def append() -> str:
        site.append(25)
        return f"{tables.snapshot(site.settings, BRONZE).rows:,}"

    return append


if __name__ == "__main__":
    sys.exit(main())
