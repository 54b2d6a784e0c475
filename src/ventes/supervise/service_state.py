"""One service under the supervisor: its process, its state, and its next action.

`ServiceState.step()` checks once and acts once; it never blocks. Its dependencies are passed in as `World`, so that a
test can pass a clock that it sets and processes that it ends.

A start and a SIGTERM can happen at the same time. Time of the SIGTERM, time of the start, and the result:

    SIGTERM from outside              `ventes start`                     the service
    --------------------------------  ---------------------------------  ---------------------------------------------
    its process has ended             after that                         is started
    noted, its process still ends     after that                         is waited for, then started
    sent, not noted yet               within CONFIRM_SECONDS after that  the same: `start` looks again before it says
                                                                         that all is ready
    during the start                  still in progress                  is waited for, then started
    after the start has succeeded     is over                            stays down: stopped on purpose
    any time                          `stop` comes during the start      stays down, and the start fails

"Noted" is the phase "stopping" in the service's heartbeat: a job writes it within milliseconds of the signal, whatever
its main thread does (runtime.stop). A page or broker that is stopping writes nothing, but does not answer as ready. A
process that takes longer than `stop_seconds` to end is killed if a start waits for it, and not touched otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ventes.config import Supervisor as Limits
from ventes.errors import VentesError
from ventes.supervise import restart, states
from ventes.supervise.service_records import Entry
from ventes.supervise.services import Service

SOON, LATER, IDLE = 0.1, 1.0, 5.0
"""Seconds between two checks: during a change, during a long wait, while it runs."""
HELPER_SECONDS = 10.0
"""Seconds a helper may run after its service ended: Spark's JVM takes up to 2.5 s to detect its driver's end."""


class Process(Protocol):
    """A started service; implemented by `processes.Child`."""

    @property
    def pid(self) -> int: ...
    @property
    def started(self) -> float: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def left(self) -> Sequence[object]: ...


@dataclass(frozen=True)
class World:
    """Everything outside a service. Durations come from `monotonic`; `now` (Unix seconds) is only shown."""

    start: Callable[[Service], Process]
    """Raises VentesError or OSError."""
    ready: Callable[[Service], bool]
    """Whether the service is ready, so that services that need it may start."""
    says_stopping: Callable[[Service], bool]
    """Whether the process that was started last has recorded a stop signal."""
    hangs: Callable[[Service], str]
    """Why its process is to be killed, as the watchdog has found; '' if it does not hang."""
    started_by_hand: Callable[[Service], str]
    """A message if this service runs but was not started by the supervisor, else ''."""
    last_output_line: Callable[[Service], str]
    """The last line of its output; '' if there is none."""
    changed: Callable[[Entry], None]
    """Called after each change of state."""
    full_disk: Callable[[], str]
    """A disk that the services write to and that is full, as a sentence; '' if none is."""
    monotonic: Callable[[], float]
    now: Callable[[], float]


class ServiceState:
    """State and desired state of one service."""

    def __init__(self, service: Service, world: World, limits: Limits) -> None:
        self.service = service
        self.entry = Entry(service.name, states.STOPPED, world.now(), states.NOT_ASKED_FOR)
        self.insist = False
        """A start is in progress: the service is started again also after SIGTERM."""
        self.held_by = ""
        """The client that keeps it down (`hold`); '' if there is none."""
        self._world = world
        self._limits = limits
        self._process: Process | None = None
        self._start_again = False
        self._why_stopped = states.ON_PURPOSE
        self._began = 0.0
        self._due = 0.0
        self._kill_at: float | None = None
        self._hung = ""
        """Why the watchdog has killed its process; '' if it has not."""

    @property
    def state(self) -> str:
        return self.entry.state

    @property
    def alive(self) -> bool:
        """Whether its process, or a helper of it, still runs."""
        return self._process is not None and (self._process.poll() is None or bool(self._process.left()))

    @property
    def down(self) -> bool:
        """Whether it and its helpers have ended."""
        return not self.alive and self.state != states.STOPPING

    def next_look(self) -> float:
        """Seconds until the next check, if there is no event before."""
        if self._kill_at is not None:
            return SOON
        late = self._world.monotonic() - self._due
        if self._is_due():
            return min(LATER, max(SOON, late / 50))  # the wait may be long: check at growing intervals
        return min(IDLE, -late) if self.state == states.RESTARTING else IDLE

    def _is_due(self) -> bool:
        return self.state == states.WAITING or (
            self.state == states.RESTARTING and self._world.monotonic() >= self._due
        )

    # -- requests -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it if it is down, for whatever reason; if it is stopping, start it after it has ended.

        Resets the count of earlier crashes.
        """
        if self.state in {states.STOPPED, states.FAILED, states.RESTARTING}:
            self._wait_to_start()
        elif self.state == states.STOPPING and not self._start_again:
            self._stop_first(self.entry.reason)
        self.entry.crashes = 0

    def stop(self, why: str = states.ON_PURPOSE) -> None:
        """Begin an orderly stop; `step()` completes it. `why`: the reason that it then has."""
        self._start_again = False
        self._why_stopped = why
        if self.state == states.STOPPING:
            self._must_end_within(self.service.stop_seconds)
        elif self._process is not None and self._process.poll() is None:
            self._become(states.STOPPING, "has been told to stop")
            self._must_end_within(self.service.stop_seconds)
            self._process.terminate()
        elif self.state not in {states.STOPPED, states.BY_HAND}:
            self._must_end_within(HELPER_SECONDS)
            self._become(states.STOPPED, why)

    def restart(self) -> None:
        """Stop it if it runs, and start it when it has ended; a stopped or hand-started service is not touched."""
        if self.state in {states.STOPPED, states.BY_HAND}:
            return
        self.stop()
        self.start()

    def hold(self, by: str) -> None:
        """Stop it if it runs, and do not start it before `release`."""
        self.held_by = by
        self.restart()

    def release(self) -> None:
        self.held_by = ""

    def step(self, blocked_by: str) -> None:
        """Check and act once. `blocked_by`: the service that it waits for, '' if none."""
        if self.state in {states.RUNNING, states.STOPPING}:
            self._watch()
        self._end_helpers()
        if self._is_due():
            self._start_unless(self.held_by or blocked_by)
        elif self.state == states.BY_HAND and not self._world.started_by_hand(self.service):
            self._ended_on_purpose("the one started by hand has ended; `ventes start` starts it")

    # -- the process --------------------------------------------------------------------------

    def _watch(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        now = self._world.monotonic()
        if code is None:
            if self._kill_at is not None and now >= self._kill_at:
                self._process.kill()
            elif self.insist and self.state == states.RUNNING and self._world.says_stopping(self.service):
                self._stop_first("was told to stop from outside")
            elif self.state == states.RUNNING and not self._hung and (why := self._world.hangs(self.service)):
                self._hung = why
                self._process.kill()
            return
        self._kill_at = now + HELPER_SECONDS if self._process.left() else None
        if self.state == states.STOPPING:
            killed = code == -9
            self._ended_on_purpose("killed: it did not stop in time" if killed else self._why_stopped)
            return
        decision = restart.decide(
            code,
            now - self._began,
            self.entry.crashes,
            self._hung or self._world.last_output_line(self.service),
            self._limits,
            was_stopping=self._world.says_stopping(self.service),
        )
        if decision.state == states.STOPPED:
            self._ended_on_purpose(decision.reason)
            return
        self._due = now + decision.delay
        self._become(decision.state, decision.reason, decision.crashes, decision.delay)

    def _stop_first(self, reason: str) -> None:
        """It is stopping: start it again after it has ended, and kill it if it takes too long."""
        self._start_again = True
        self._must_end_within(self.service.stop_seconds)
        self._become(states.STOPPING, f"{reason}; is started again when it has ended")

    def _must_end_within(self, seconds: float) -> None:
        if self._kill_at is None and self.alive:
            self._kill_at = self._world.monotonic() + seconds

    def _ended_on_purpose(self, reason: str) -> None:
        if self._start_again:
            self._wait_to_start()
        # counted like a crash, so that a service that always ends at once is not started without limit
        elif self.insist:
            ran = self._world.monotonic() - self._began
            self._wait_to_start("ended during the start", restart.in_a_row(ran, self.entry.crashes))
        else:
            self._become(states.STOPPED, reason)

    def _wait_to_start(self, reason: str = "", crashes: int = 0) -> None:
        self._start_again = False
        self._due = self._world.monotonic()
        self._become(states.WAITING, reason, crashes)

    def _end_helpers(self) -> None:
        """Kill helpers that run too long after their service: none may run beside the next process of the service."""
        if self._process is None or self._kill_at is None or self._process.poll() is None:
            return
        if not self._process.left():
            self._kill_at = None
        elif self._world.monotonic() >= self._kill_at:
            self._process.kill()

    def _start_unless(self, blocked_by: str) -> None:
        if self.alive:
            self._reason("waits until what it left behind has ended")
            return
        if other := self._world.started_by_hand(self.service):
            self._become(states.BY_HAND, other)
            return
        if blocked_by:
            self._reason(f"waits for {blocked_by}")
            return
        try:
            self._process = self._world.start(self.service)
        except (VentesError, OSError) as error:
            if full := self._world.full_disk():  # its log cannot be opened, for one
                self._due = self._world.monotonic() + LATER
                self._become(states.RESTARTING, f"waits for space: {full}", self.entry.crashes, LATER)
            else:
                self._become(states.FAILED, f"cannot be started: {error}")
            return
        self._began, self._hung = self._world.monotonic(), ""
        self.entry.restarts += self.state == states.RESTARTING
        self.entry.pid, self.entry.process_started = self._process.pid, self._process.started
        self._become(states.RUNNING, "", self.entry.crashes)

    # -- the record ---------------------------------------------------------------------------

    def _become(self, state: str, reason: str, crashes: int = 0, delay: float | None = None) -> None:
        self.entry.state, self.entry.reason, self.entry.crashes = state, reason, crashes
        self.entry.since = self._world.now()
        if state in {states.RESTARTING, states.FAILED}:
            self.entry.failed_at = self.entry.since
        self.entry.again_at = self.entry.since + delay if state == states.RESTARTING and delay is not None else None
        self._world.changed(self.entry)

    def _reason(self, reason: str) -> None:
        if reason != self.entry.reason:
            self.entry.reason = reason
            self._world.changed(self.entry)
