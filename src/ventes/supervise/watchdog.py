"""Detects running services that hang: no new heartbeat, or no answer.

A job's loop renews its heartbeat every few seconds, and records when it begins a batch. A job without a new heartbeat
for SILENT_SECONDS that used no CPU meanwhile hangs: in a lock, in a library, or suspended by a signal. If it uses CPU,
the limit is WORK_SECONDS. A service that has no loop of ours (the page) hangs if it answered before and does not answer
for SILENT_SECONDS.

Time during which the supervisor itself was suspended does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ventes.runtime.durations import in_words
from ventes.runtime.heartbeat import Heartbeat
from ventes.supervise.services import Service

SILENT_SECONDS = 60.0
WORK_SECONDS = 1800.0
"""For a batch that uses CPU: building a roll-up of 100 million rows takes minutes."""
BUSY = 0.02
"""Share of one core from which a process without a heartbeat counts as working."""
LONGEST_LOOK = 15.0
"""Of the time between two checks at most this much counts."""


@dataclass
class _Seen:
    """Observations of one process; times in counted seconds."""

    pid: int
    beat: object
    since: float
    cpu: float
    answered: bool = False


class Watchdog:
    """Call `look` regularly for all services; `reason` returns why a service must be ended."""

    def __init__(
        self,
        record: Callable[[Service], Heartbeat | None],
        answers: Callable[[Service], bool],
        cpu_seconds: Callable[[int], float | None],
        monotonic: Callable[[], float],
    ) -> None:
        """`record`: the heartbeat of the running process. `cpu_seconds`: used by a process and its children so far,
        None if it has ended."""
        self._record = record
        self._answers = answers
        self._cpu_seconds = cpu_seconds
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self._looked = monotonic()
        self._counted = 0.0
        self._reasons: dict[str, str] = {}

    def look(self, running: dict[str, int], services: dict[str, Service]) -> None:
        """Check the running services: name → pid."""
        now = self._monotonic()
        self._counted += min(now - self._looked, LONGEST_LOOK)
        self._looked = now
        self._reasons = {}
        for name in set(self._seen) - set(running):
            del self._seen[name]
        for name, pid in running.items():
            service = services[name]
            reason = self._of_page(service, pid) if service.answers else self._of_loop(service, pid)
            if reason:
                self._reasons[name] = reason

    def reason(self, service: Service) -> str:
        """Why it hangs, as of the last check; '' if it does not."""
        return self._reasons.get(service.name, "")

    def _of_loop(self, service: Service, pid: int) -> str:
        record = self._record(service)
        if record is None or record.phase in ("stopping", "stopped", "failed"):
            self._seen.pop(service.name, None)
            return ""
        cpu = self._cpu_seconds(pid)
        if cpu is None:
            return ""
        seen = self._seen.get(service.name)
        if seen is None or (seen.pid, seen.beat) != (pid, record.beat):
            self._seen[service.name] = _Seen(pid, record.beat, self._counted, cpu)
            return ""
        silent = self._counted - seen.since
        if silent >= WORK_SECONDS:
            return f"its loop has not turned for {in_words(silent)}"
        if silent >= SILENT_SECONDS and cpu - seen.cpu < BUSY * silent:
            return f"its loop has not turned for {in_words(silent)} and used no CPU"
        return ""

    def _of_page(self, service: Service, pid: int) -> str:
        answers = self._answers(service)
        seen = self._seen.get(service.name)
        if seen is None or seen.pid != pid:
            seen = self._seen[service.name] = _Seen(pid, None, self._counted, 0.0)
        if answers:
            seen.answered, seen.since = True, self._counted
        silent = self._counted - seen.since
        return f"it has not answered for {in_words(silent)}" if seen.answered and silent >= SILENT_SECONDS else ""
