"""Carries out one step of the schedule, and ends faults that have a duration: a suspended process, a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from confluent_kafka import KafkaException
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from harness.chaos.deployment import Command, Deployment, can_mount
from harness.chaos.rubbish import Rubbish
from harness.chaos.schedule import Step
from harness.shipped import BRONZE, CLEAN, ROLLUPS
from ventes.engines.spark import checkpoint
from ventes.lake.tables import path_of
from ventes.supervise import processes

SLOW_SQL = "tab=SQL&q=" + quote(
    "SELECT sum(a.montant * b.montant * c.montant) FROM bronze_data a, bronze_data b, bronze_data c"
)
"""It takes longer than page.sql_seconds: a child of the page runs it until that limit."""
TABS = ("", SLOW_SQL, "tab=Raw%20Data", "tab=Sales%20Timeline")
CHILD_SECONDS = 6.0
"""Seconds to wait for a page's child."""


@dataclass
class _Due:
    at: float
    act: Callable[[], object]
    takes_back: bool
    """Whether it ends a fault: then it is carried out before a check, even if its time has not come."""


class TimedFaults:
    """`carry_out` runs a step and does not wait. `take_back` ends everything that steps began."""

    _kinds: Mapping[str, Callable[[Mapping[str, Any]], str]]
    """Kind of a step → what carries it out."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._due: list[_Due] = []
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._clock = threading.Thread(target=self._run_clock, name="chaos clock", daemon=True)
        self._clock.start()

    def carry_out(self, step: Step) -> str:
        """Run the step; returns a short text of its result."""
        with self._guard:
            return self._kinds[step.kind](step.options)

    def take_back(self) -> None:
        """End every fault now, and drop actions that are still due."""
        with self._guard:
            due, self._due = self._due, []
            for one in due:
                if one.takes_back:
                    one.act()
        for thread in self._threads:
            thread.join(60)
        self._threads.clear()

    def close(self) -> None:
        self.take_back()
        self._ended.set()
        self._clock.join()

    def _later(self, seconds: float, act: Callable[[], object], *, takes_back: bool = False) -> None:
        """Call `act` after `seconds`. The caller holds the guard."""
        self._due.append(_Due(time.monotonic() + seconds, act, takes_back))

    def _run_clock(self) -> None:
        while not self._ended.wait(0.02):
            with self._guard:
                now = time.monotonic()
                due = [one for one in self._due if one.at <= now]
                self._due = [one for one in self._due if one.at > now]
                for one in due:
                    one.act()

    def _beside(self, what: str, work: Callable[[], object]) -> None:
        """Run `work` in a thread, which `take_back` waits for."""
        thread = threading.Thread(target=work, name=what, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _kill(self, options: Mapping[str, Any]) -> str:
        """Send a signal to a process of the pipeline."""
        process = self._deployment.target(options["target"])
        if process is None:
            return "not there"
        self._signal(process, options)
        return f"pid {process.pid}"

    def _signal(self, process: psutil.Process, options: Mapping[str, Any]) -> None:
        number = signal.Signals[f"SIG{options['signal']}"]
        processes.send(process, number)
        if number == signal.SIGSTOP:
            self._later(options["seconds"], lambda: processes.send(process, signal.SIGCONT), takes_back=True)
        if options["then"]:
            self._deployment.command(options["then"])


class Faults(TimedFaults):
    """Those of a pipeline with its own broker, on one machine."""

    def __init__(self, deployment: Deployment, rubbish: Rubbish, say: Callable[[str], None]) -> None:
        """`say` gets the results of actions that take longer than their step."""
        self._rubbish = rubbish
        self._say = say
        self.no_disks = can_mount()
        self._kinds = {
            "kill": self._kill_part,
            "command": self._command,
            "disk": self._disk,
            "cut": self._cut,
            "rubbish": self._send_rubbish,
            "edit": self._edit,
            "rebuild": self._rebuild,
            "page": self._page,
            "checkpoint": self._checkpoint,
            "switch": self._switch,
        }
        super().__init__(deployment)

    # -- processes ----------------------------------------------------------------------------

    def _kill_part(self, options: Mapping[str, Any]) -> str:
        return self._kill_page_child(options) if options["target"] == "page child" else self._kill(options)

    def _kill_page_child(self, options: Mapping[str, Any]) -> str:
        """The page has a child while a viewer's SQL runs: send a query, and wait for the child."""
        if self._deployment.target("page") is None:
            return "not there"

        def ask_and_kill() -> None:
            viewer = threading.Thread(target=lambda: _view(self._deployment.ports["page"], [SLOW_SQL], CHILD_SECONDS))
            viewer.start()
            deadline = time.monotonic() + CHILD_SECONDS
            while (child := self._deployment.target("page child")) is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if child is not None:
                with self._guard:
                    self._signal(child, options)
            self._say(f"      page child: {'there was none' if child is None else f'pid {child.pid}'}")
            viewer.join()

        self._beside("page child", ask_and_kill)
        return ""

    def _cut(self, options: Mapping[str, Any]) -> str:
        return self._kill({"target": "broker", "signal": "STOP", "seconds": options["seconds"], "then": ""})

    # -- commands -----------------------------------------------------------------------------

    def _command(self, options: Mapping[str, Any]) -> str:
        what, after = options["what"], options["after"]
        if what == "start, then Ctrl-C":
            command = self._deployment.command("start")
            self._later(after, lambda: command.send(signal.SIGINT))
        elif ", " in what:
            first, second = what.split(", ")
            self._after(self._deployment.command(first), second)
        elif " and " in what:
            first, second = what.split(" and ")
            self._deployment.command(first)
            self._later(after / 8, lambda: self._deployment.command(second))
        else:
            self._deployment.command(what)
        return ""

    def _after(self, first: Command, second: str) -> None:
        """Run the second command when the first one has ended."""

        def look() -> None:
            if first.running:
                self._after(first, second)
            else:
                self._deployment.command(second)

        self._later(0.1, look)

    def _rebuild(self, options: Mapping[str, Any]) -> str:
        command = self._deployment.command("rebuild", "silver", "--yes")
        if options["kill"] == "rebuild":
            self._later(options["after"], lambda: command.send(signal.SIGKILL))
        elif options["kill"]:
            self._later(options["after"], lambda: self._kill({"target": options["kill"], "signal": "KILL", "then": ""}))
        return ""

    def _switch(self, options: Mapping[str, Any]) -> str:
        self._deployment.command("restart", "--engine", options["engine"], "--yes")
        return ""

    # -- disks --------------------------------------------------------------------------------

    def _disk(self, options: Mapping[str, Any]) -> str:
        if self.no_disks:
            return f"skipped: {self.no_disks}"
        disk = self._deployment.lake_disk if options["which"] == "lake" else self._deployment.state_disk
        disk.fill(options["how"])
        self._later(options["seconds"], disk.free, takes_back=True)
        return ""

    # -- messages -----------------------------------------------------------------------------

    def _send_rubbish(self, options: Mapping[str, Any]) -> str:
        what = options["what"]

        def send() -> None:
            try:
                sent = self._rubbish.send(what, random.Random(options["seed"]))
            except KafkaException as error:
                sent = f"not all: {error.args[0].str()}"
            self._say(f"      rubbish, {what}: {sent}")

        self._beside("rubbish", send)
        return ""

    # -- files changed from outside --------------------------------------------------------------

    def _edit(self, options: Mapping[str, Any]) -> str:
        what = options["what"]
        table = {"optimize bronze": BRONZE, "optimize clean": CLEAN}.get(what) or ROLLUPS[options["which"]]
        path = path_of(self._deployment.settings, table)
        try:
            opened = DeltaTable(path)
            if what.startswith("optimize"):
                opened.optimize.compact()
                return table.name
            before = max(0, opened.version() - options["back"])
            opened.restore(before)
            return f"{table.name} to version {before}"
        except (DeltaError, OSError) as error:  # a conflict with the job that writes it, a full disk, no table yet
            return f"{table.name} not changed: {str(error).splitlines()[0][:120]}"

    def _checkpoint(self, options: Mapping[str, Any]) -> str:
        """Damage the newest epoch of Bronze's checkpoint, as a crash could; the job then starts from that."""
        settings = self._deployment.settings
        folder = settings.checkpoints / "bronze"
        epochs = checkpoint.epochs(folder)
        if not epochs:
            return "there is no checkpoint"
        with contextlib.suppress(OSError):
            if options["what"] == "delete folder":
                shutil.rmtree(settings.checkpoints, ignore_errors=True)
            elif (newest := _newest(epochs[-1] / "offsets")) is not None:
                content = newest.read_bytes()
                newest.write_bytes(content[: len(content) // 2] if options["what"] == "truncate" else b"\0garbage" * 9)
        return self._kill({"target": options["kill"], "signal": "KILL", "then": ""})

    # -- the page -----------------------------------------------------------------------------

    def _page(self, options: Mapping[str, Any]) -> str:
        """Open sessions as browsers do, and drop the connections without closing the sessions."""
        queries = [TABS[number % len(TABS)] for number in range(options["sessions"])]
        self._beside("page sessions", lambda: _view(self._deployment.ports["page"], queries, options["seconds"]))
        return ""


def _view(port: int, queries: Sequence[str], seconds: float) -> None:
    """One viewer per address query, all at the same time."""

    async def all_of_them() -> None:
        sessions = [_session(port, query, seconds) for query in queries]
        await asyncio.gather(*sessions, return_exceptions=True)

    asyncio.run(all_of_them())


async def _session(port: int, query: str, seconds: float) -> None:
    """One viewer that reads from the page for `seconds`. Does nothing if the page is down."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from websockets.asyncio.client import connect

    address = f"ws://localhost:{port}/_stcore/stream"
    hello = BackMsg()
    hello.rerun_script.query_string = query
    async with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=10) as socket:  # type: ignore[list-item]
        await socket.send(hello.SerializeToString())

        async def take() -> None:
            async for _ in socket:
                pass

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(take(), seconds)
        socket.transport.abort()


def _newest(folder: Path) -> Path | None:
    numbered = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    return max(numbered, key=lambda path: int(path.name), default=None)
