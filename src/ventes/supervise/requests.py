"""The requests of the control socket's clients, and the events sent to them.

request                        effect
{"request": "state"}           the event `state`
{"request": "start",           settings are read again, services that are down are started, also after SIGTERM while the
 "engine": …}                  client is connected: `accepted`, then `service`, `service_ready` … `ready` or `failed`
{"request": "stop"}            everything is stopped: `stopping`, then `service` … `stopped`
{"request": "hold",            `held` once the service is down. It stays down until the connection ends, for whatever
 "service": …, "by": …}        reason; then it is started again if it ran before

event           other keys
state           pid, engine, stopping, services: name → record as in services.json
accepted        engine, down: the names of the services that have to be started for it, held: name → by whom,
                ended: those that are ended, because the settings no longer ask for them
service         a record: the service has changed its state
service_ready   service, already: whether it was when the start was asked for
ready           changed: whether anything had to be started, or waited for
failed          service, reason: the start has failed; nothing is taken back
held            service, starts_again
stopping        everything is being stopped: asked for by this client or another one, or by SIGTERM
stopped         everything has ended
error           message, hint: the request was refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Protocol

from ventes.errors import AlreadyRunning, UsageError, VentesError
from ventes.runtime.logs import printable
from ventes.supervise import states
from ventes.supervise.control import Message
from ventes.supervise.service_records import Entry, ServiceRecords
from ventes.supervise.services import Service
from ventes.supervise.supervisor import Supervisor

CONFIRM_SECONDS = 0.2
"""Seconds for which all services must be ready before a start succeeds: a SIGTERM sent just before is detected."""
CRASHES = 3
"""Consecutive crashes of a service after which a start fails: the user is waiting and can fix the cause."""


class Client(Protocol):
    """Implemented by `control_server.Connection`. `served`: the client receives events over time."""

    pid: int
    served: bool

    def send(self, message: Message) -> None: ...
    def refuse(self, error: VentesError) -> None: ...


@dataclass(frozen=True)
class Plan:
    """The desired state after a start."""

    engine: str
    wanted: Iterable[Service]
    restart: Iterable[str] = ()
    """Services that run with another engine."""


@dataclass
class _Start:
    began: float
    down: frozenset[str]
    already: frozenset[str] | None = None
    """Services that were ready when it was asked for."""
    told: set[str] = field(default_factory=set)
    """Services reported as ready."""
    changed: bool = False
    """Whether something was started, or not ready at some time."""
    complete: bool = False


@dataclass
class _Hold:
    service: str
    complete: bool = False


class Requests:
    """Turns requests into calls of a Supervisor, and its changes into events."""

    def __init__(
        self,
        supervisor: Supervisor,
        records: ServiceRecords,
        plan: Callable[[str | None], Plan],
        monotonic: Callable[[], float],
    ) -> None:
        """`plan` reads the settings again, with another engine if one is named. It raises VentesError."""
        self._supervisor = supervisor
        self._records = records
        self._plan = plan
        self._monotonic = monotonic
        self._starts: dict[Client, _Start] = {}
        self._holds: dict[Client, _Hold] = {}
        self._followers: set[Client] = set()
        """Clients that receive every change."""
        self._actions = {"state": self._state, "start": self._start, "stop": self._stop, "hold": self._hold}

    def handle(self, client: Client, request: Message) -> None:
        """Handle one request of a client."""
        action = self._actions.get(request["request"])
        try:
            if action is None:
                known = ", ".join(self._actions)
                raise UsageError(f"unknown request {printable(request['request'][:80])!r}", f"one of: {known}")
            action(client, request)
        except VentesError as error:
            client.refuse(error)

    def gone(self, client: Client) -> None:
        """The client has closed its connection, or was closed."""
        self._followers.discard(client)
        self._end_start(client)
        hold = self._holds.pop(client, None)
        if hold is not None:
            self._supervisor.services[hold.service].release()

    def step(self) -> None:
        """Send events for services that became ready or ended. Call it after each Supervisor.step."""
        for client, hold in list(self._holds.items()):
            service = self._supervisor.services[hold.service]
            if not hold.complete and service.down:
                hold.complete = True
                starts_again = service.state == states.WAITING
                client.send({"event": "held", "service": hold.service, "starts_again": starts_again})
        if self._starts:
            ready = self._supervisor.ready()
            for client, start in list(self._starts.items()):
                self._tell(client, start, ready)

    def changed(self, entry: Entry) -> None:
        """A service has changed its state."""
        self._broadcast({"event": "service", **asdict(entry)})
        for start in self._starts.values() if entry.service in self._supervisor.wanted else ():
            start.changed = True
        if entry.service in self._supervisor.wanted and (reason := _gave_up(entry)):
            for client in list(self._starts):
                client.send({"event": "failed", "service": entry.service, "reason": reason})
                self._end_start(client)

    def stop(self) -> None:
        """Begin to stop everything."""
        if self._supervisor.stopping:
            return
        self._broadcast({"event": "stopping"})
        for client in list(self._starts):
            self._end_start(client)
        self._supervisor.stop()

    def stopped(self) -> None:
        """Everything has ended."""
        self._broadcast({"event": "stopped"})

    # -- requests -----------------------------------------------------------------------------

    def _state(self, client: Client, request: Message) -> None:
        client.send(
            {
                "event": "state",
                "pid": self._records.supervisor_pid,
                "engine": self._records.engine,
                "stopping": self._supervisor.stopping,
                "services": {name: asdict(service.entry) for name, service in self._supervisor.services.items()},
            }
        )

    def _start(self, client: Client, request: Message) -> None:
        if self._supervisor.stopping:
            self._follow(client)
            client.send({"event": "stopping"})
            return
        plan = self._plan(request.get("engine"))
        self._supervisor.insist(True)
        states_before = {name: state.state for name, state in self._supervisor.services.items()}
        down = self._supervisor.start(plan.wanted, plan.restart)
        ended = [name for name, state in states_before.items() if self._was_ended(name, state)]
        held = {name: state.held_by for name, state in self._supervisor.services.items() if state.held_by}
        client.send({"event": "accepted", "engine": plan.engine, "down": down, "held": held, "ended": ended})
        self._follow(client)
        self._starts[client] = _Start(self._monotonic(), frozenset(down))

    def _was_ended(self, name: str, before: str) -> bool:
        """Whether the service ran before a start, whose settings do not ask for it."""
        return name not in self._supervisor.wanted and before not in {states.STOPPED, states.FAILED, states.BY_HAND}

    def _stop(self, client: Client, request: Message) -> None:
        self._follow(client)
        if self._supervisor.stopping:
            client.send({"event": "stopping"})
        self.stop()

    def _hold(self, client: Client, request: Message) -> None:
        name, by = request.get("service"), request.get("by")
        if not isinstance(name, str) or name not in self._supervisor.services or not isinstance(by, str):
            raise UsageError(
                f"cannot hold {printable(str(name)[:80])!r}", f"one of: {', '.join(self._supervisor.services)}"
            )
        service = self._supervisor.services[name]
        if self._supervisor.stopping:
            raise VentesError("everything is being stopped", "try again after `ventes stop` has ended")
        if service.held_by or client in self._holds:
            raise AlreadyRunning(f"the {service.service.title} is kept down by {service.held_by}", "wait for its end")
        client.served = True
        self._holds[client] = _Hold(name)
        service.hold(f"{printable(by[:80])} (pid {client.pid})")

    # -- events -------------------------------------------------------------------------------

    def _follow(self, client: Client) -> None:
        client.served = True
        self._followers.add(client)

    def _broadcast(self, message: Message) -> None:
        for client in list(self._followers):
            client.send(message)

    def _tell(self, client: Client, start: _Start, ready: frozenset[str]) -> None:
        if start.already is None:
            start.already = ready - start.down
        for name in self._supervisor.services:
            if name in ready and name not in start.told:
                start.told.add(name)
                client.send({"event": "service_ready", "service": name, "already": name in start.already})
        if ready != self._supervisor.wanted:
            start.changed = True
        elif not start.complete and self._monotonic() - start.began >= CONFIRM_SECONDS:
            start.complete = True
            client.send({"event": "ready", "changed": start.changed or bool(start.down)})

    def _end_start(self, client: Client) -> None:
        """End the client's start; if there is no other start, services stopped on purpose stay down again."""
        if self._starts.pop(client, None) is not None:
            self._supervisor.insist(bool(self._starts))


def _gave_up(entry: Entry) -> str:
    """Why a start has failed; '' if it can still succeed."""
    if entry.state == states.FAILED:
        return entry.reason
    if entry.state in {states.RESTARTING, states.WAITING} and entry.crashes >= CRASHES:
        return f"crashes again and again: {entry.reason}"
    return ""
