"""All services together: starting in order, restarting, stopping in order. Pure: World has the processes and the clock.

The program that runs it is `daemon`; the requests of the control socket's clients are in `requests`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ventes.config import Settings
from ventes.supervise import states
from ventes.supervise.service_state import SOON, ServiceState, World
from ventes.supervise.services import STOP_ORDER, Service


class Supervisor:
    """Call `step()` repeatedly, at the latest after the seconds that it returned."""

    def __init__(self, offered: Iterable[Service], world: World, settings: Settings) -> None:
        self._world = world
        self._answers: dict[str, bool] = {}  # asked at most once a step
        self.wanted: frozenset[str] = frozenset()
        """The names of the services that must run."""
        self._insist = False
        self._to_stop: list[str] = []
        self.stopping = False
        """Whether `stop` was called. It cannot be undone."""
        self.services = {service.name: ServiceState(service, world, settings.supervisor) for service in offered}

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called and everything has ended."""
        return self.stopping and not self._to_stop

    def step(self) -> float:
        """Call `step` of each service once; returns the seconds until the next call at the latest."""
        self._answers.clear()
        for service in self.services.values():
            service.step(self._blocked_by(service))
        if self.stopping:
            self._go_on_stopping()
        soon = SOON if self._insist or self._to_stop else float("inf")
        return min(soon, *(service.next_look() for service in self.services.values()))

    def start(self, wanted: Iterable[Service], restart: Iterable[str] = ()) -> list[str]:
        """Start each service of `wanted` that is down, restart those that `restart` names, stop what is not wanted.

        Returns the names of wanted services that were not running, or are not going to be the ones that run.
        """
        if self.stopping:
            return []
        self.wanted = frozenset(service.name for service in wanted)
        self.insist(self._insist)
        for name in restart:
            self.services[name].restart()
        down = []
        for name, service in self.services.items():
            if name not in self.wanted:
                service.stop(states.NOT_ASKED_FOR)
                continue
            if service.state not in {states.RUNNING, states.BY_HAND}:
                down.append(name)
            service.start()
        return down

    def insist(self, on: bool) -> None:
        """Set whether a start is in progress: then services that receive SIGTERM are started again."""
        self._insist = on and not self.stopping
        for name, service in self.services.items():
            service.insist = self._insist and name in self.wanted

    def stop(self) -> None:
        """Begin to stop everything, one service after the other, in the direction of the data flow."""
        if self.stopping:
            return
        self.stopping = True
        self.insist(False)
        self._to_stop = [name for name in STOP_ORDER if name in self.services]
        self._go_on_stopping()

    def ready(self) -> frozenset[str]:
        """The names of the wanted services that run and answer as ready, at this step."""
        up = {states.RUNNING, states.BY_HAND}
        return frozenset(n for n in self.wanted if self.services[n].state in up and self._answers_as_ready(n))

    def _go_on_stopping(self) -> None:
        for service in self.services.values():
            if service.state != states.RUNNING or not service.alive:
                service.stop()  # services that wait for their start or restart are not started any more
        while self._to_stop:
            service = self.services[self._to_stop[0]]
            service.stop()
            if not service.down:
                return
            del self._to_stop[0]

    def _blocked_by(self, service: ServiceState) -> str:
        if service.state not in {states.WAITING, states.RESTARTING}:
            return ""
        if service.state == states.RESTARTING and (full := self._world.full_disk()):
            return f"space: {full}"
        for name in service.service.needs:
            # also if it was started by hand; a broker that is not ours the service itself waits for
            if name in self.wanted and not self._answers_as_ready(name):
                return self.services[name].service.title
        return ""

    def _answers_as_ready(self, name: str) -> bool:
        if name not in self._answers:
            self._answers[name] = self._world.ready(self.services[name].service)
        return self._answers[name]
