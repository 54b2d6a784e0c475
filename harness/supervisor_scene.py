"""A supervisor whose clock, processes and clients a test controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ventes import config
from ventes.errors import ConfigError, VentesError
from ventes.supervise import services, states
from ventes.supervise.requests import Plan, Requests
from ventes.supervise.service_records import Entry, ServiceRecords
from ventes.supervise.service_state import World
from ventes.supervise.services import Service
from ventes.supervise.supervisor import Supervisor


@dataclass
class FakeProcess:
    """Ends when the test says so, or on `terminate()` unless it is busy."""

    pid: int
    started: float = 0.0
    code: int | None = None
    helpers: list[str] = field(default_factory=list)
    busy: bool = False
    says_stopping: bool = False
    heard: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.heard.append("TERM")
        if not self.busy:
            self.code = 0

    def kill(self) -> None:
        self.heard.append("KILL")
        self.helpers.clear()
        if self.code is None:
            self.code = -9

    def left(self) -> Sequence[object]:
        return self.helpers if self.code is not None else []

    # -- what happens to it from outside

    def ends(self, code: int, helpers: Sequence[str] = ()) -> FakeProcess:
        self.code, self.helpers = code, list(helpers)
        return self

    def sigterm(self, *, noted: bool = True) -> FakeProcess:
        """It gets a SIGTERM during a large lot."""
        self.busy, self.says_stopping = True, noted
        return self


class FakeClient:
    """Records the events that it gets."""

    def __init__(self, pid: int = 4711) -> None:
        self.pid = pid
        self.served = False
        self.told: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def refuse(self, error: VentesError) -> None:
        self.send({"event": "error", "message": error.message, "hint": error.hint})

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for event in self.told if event["event"] in kinds]

    @property
    def last(self) -> dict[str, Any]:
        return self.told[-1]


class Scene:
    """A supervisor of all five services, with fakes for everything outside."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.ready = dict.fromkeys(services.BY_NAME, False)
        self.by_hand: dict[str, str] = {}
        self.cannot_start: dict[str, Exception] = {}
        self.busy: set[str] = set()
        self.hung: dict[str, str] = {}
        self.full_disk = ""
        self.started: list[str] = []
        self.running: dict[str, FakeProcess] = {}
        self.history: list[tuple[str, str]] = []
        self.engine = "spark"
        self.wanted: tuple[Service, ...] = services.ALL
        world = World(
            start=self._start,
            ready=lambda service: self.ready[service.name],
            says_stopping=lambda service: self.running[service.name].says_stopping,
            hangs=lambda service: self.hung.get(service.name, ""),
            started_by_hand=lambda service: self.by_hand.get(service.name, ""),
            last_output_line=lambda service: "its last words",
            changed=self._changed,
            full_disk=lambda: self.full_disk,
            monotonic=lambda: self.time,
            now=lambda: self.time,
        )
        self.supervisor = Supervisor(services.ALL, world, config.Settings())
        self.requests = Requests(self.supervisor, ServiceRecords(), self._plan, lambda: self.time)

    def _start(self, service: Service) -> FakeProcess:
        if service.name in self.cannot_start:
            raise self.cannot_start[service.name]
        self.started.append(service.name)
        process = FakeProcess(pid=100 + len(self.started), busy=service.name in self.busy)
        self.running[service.name] = process
        return process

    def _changed(self, entry: Entry) -> None:
        self.history.append((entry.service, entry.state))
        self.requests.changed(entry)

    def _plan(self, engine: str | None) -> Plan:
        if engine == "flink":
            raise ConfigError("engine = 'flink'", "spark or embedded")
        before, self.engine = self.engine, engine or self.engine
        return Plan(self.engine, self.wanted, services.JOBS if self.engine != before else ())

    def up(self) -> Scene:
        """Everything runs and is ready."""
        self.supervisor.start(services.ALL)
        self.ready = dict.fromkeys(services.BY_NAME, True)
        self.step(0)
        self.step(0)
        self.started.clear()
        return self

    def step(self, seconds: float = 0.1) -> float:
        self.time += seconds
        until = self.supervisor.step()
        self.requests.step()
        return until

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step()

    def stops(self) -> Iterator[str]:
        """Step until everything has ended; yields the service that is waited for."""
        self.requests.stop()
        while not self.supervisor.stopped:
            yield next(n for n in services.STOP_ORDER if self.state(n) == states.STOPPING)
            self.step()

    def ask(self, request: str, client: FakeClient | None = None, **arguments: object) -> FakeClient:
        client = client or FakeClient()
        self.requests.handle(client, {"request": request, **arguments})
        return client

    def entry(self, name: str) -> Entry:
        return self.supervisor.services[name].entry

    def state(self, name: str) -> str:
        return self.entry(name).state

    def states(self) -> set[str]:
        return {self.state(name) for name in services.BY_NAME}
