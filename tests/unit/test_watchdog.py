"""What counts as a hang for the watchdog, and what does not."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ventes.runtime.heartbeat import Heartbeat
from ventes.supervise.services import BRONZE, PAGE, Service
from ventes.supervise.watchdog import LONGEST_LOOK, SILENT_SECONDS, WORK_SECONDS, Watchdog

SERVICES: dict[str, Service] = {service.name: service for service in (BRONZE, PAGE)}
LOOK = 5.0


@dataclass
class Pipeline:
    """Bronze and the page as the watchdog sees them, and a clock."""

    now: float = 1000.0
    beat: float = 1.0
    phase: str = "running"
    cpu: float = 0.0
    answers: bool = True
    pid: int = 7
    names: tuple[str, ...] = ("bronze", "page")
    watchdog: Watchdog = field(init=False)

    def __post_init__(self) -> None:
        self.watchdog = Watchdog(
            lambda service: Heartbeat(service.name, pid=self.pid, beat=self.beat, phase=self.phase),
            lambda service: self.answers,
            lambda pid: self.cpu,
            lambda: self.now,
        )

    def live(self, seconds: float, *, beats: bool = False, cpu: float = 0.0, step: float = LOOK) -> None:
        """Let time pass, with `cpu` seconds of work per second."""
        until = self.now + seconds
        while self.now < until:
            self.watchdog.look(dict.fromkeys(self.names, self.pid), SERVICES)
            self.now += step
            self.cpu += cpu * step
            self.beat += step * beats
        self.watchdog.look(dict.fromkeys(self.names, self.pid), SERVICES)

    def hangs(self, service: Service) -> bool:
        return bool(self.watchdog.reason(service))


def test_a_loop_that_renews_its_heartbeat_is_not_ended() -> None:
    pipeline = Pipeline()
    pipeline.live(10 * WORK_SECONDS, beats=True)
    assert not pipeline.hangs(BRONZE)


def test_a_silent_loop_without_cpu_hangs() -> None:
    pipeline = Pipeline()
    pipeline.live(SILENT_SECONDS - LOOK)
    assert not pipeline.hangs(BRONZE)
    pipeline.live(2 * LOOK)
    assert pipeline.watchdog.reason(BRONZE) == "its loop has not turned for 65 s and used no CPU"


def test_a_long_batch_is_work_until_it_is_too_long() -> None:
    pipeline = Pipeline()
    pipeline.live(WORK_SECONDS - LOOK, cpu=0.5)
    assert not pipeline.hangs(BRONZE)
    pipeline.live(2 * LOOK, cpu=0.5)
    assert pipeline.hangs(BRONZE)


def test_a_suspended_machine_gives_every_service_its_full_time() -> None:
    """The supervisor was suspended too: there is an hour between two checks."""
    pipeline = Pipeline()
    pipeline.live(SILENT_SECONDS - 2 * LONGEST_LOOK)
    pipeline.now += 3600
    pipeline.live(0)
    assert not pipeline.hangs(BRONZE)
    assert not pipeline.hangs(PAGE)


@pytest.mark.parametrize("phase", ["stopping", "stopped", "failed"])
def test_the_watchdog_ignores_a_service_that_is_stopping(phase: str) -> None:
    pipeline = Pipeline(phase=phase)
    pipeline.live(10 * SILENT_SECONDS)
    assert not pipeline.hangs(BRONZE)


def test_a_new_process_gets_the_full_time() -> None:
    pipeline = Pipeline()
    pipeline.live(SILENT_SECONDS + LOOK)
    assert pipeline.hangs(BRONZE)
    pipeline.pid += 1
    pipeline.live(SILENT_SECONDS - LOOK)
    assert not pipeline.hangs(BRONZE)


def test_a_page_hangs_when_it_answered_before_and_does_not_now() -> None:
    pipeline = Pipeline(answers=False)
    pipeline.live(10 * SILENT_SECONDS, beats=True)
    assert not pipeline.hangs(PAGE)  # it is still starting
    pipeline.answers = True
    pipeline.live(LOOK, beats=True)
    pipeline.answers = False
    pipeline.live(SILENT_SECONDS - 2 * LOOK, beats=True)
    assert not pipeline.hangs(PAGE)
    pipeline.live(3 * LOOK, beats=True)
    assert pipeline.hangs(PAGE)
