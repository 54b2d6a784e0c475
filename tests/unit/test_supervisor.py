"""The supervisor's decisions, with a clock that the test moves and processes that it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from ventes import config
from ventes.errors import InstallError
from ventes.supervise import services, states
from ventes.supervise.service_records import Entry
from ventes.supervise.service_state import IDLE, World
from ventes.supervise.services import Service
from ventes.supervise.supervisor import Supervisor


@dataclass
class FakeProcess:
    """Ends when the test says so, or on `terminate()` unless it is deaf."""

    pid: int
    started: float = 0.0
    code: int | None = None
    helpers: list[str] = field(default_factory=list)
    deaf: bool = False
    heard: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.heard.append("TERM")
        if not self.deaf:
            self.code = 0

    def kill(self) -> None:
        self.heard.append("KILL")
        self.helpers.clear()
        if self.code is None:
            self.code = -9

    def left(self) -> Sequence[object]:
        return self.helpers if self.code is not None else []


class Scene:
    """A supervisor of all five services in a world of fakes."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.ready = dict.fromkeys(services.BY_NAME, False)
        self.by_hand: dict[str, str] = {}
        self.cannot_start: dict[str, Exception] = {}
        self.deaf: set[str] = set()
        self.started: list[str] = []
        self.running: dict[str, FakeProcess] = {}
        self.history: list[tuple[str, str]] = []
        world = World(
            start=self._start,
            ready=lambda service: self.ready[service.name],
            started_by_hand=lambda service: self.by_hand.get(service.name, ""),
            last_words=lambda service: "its last words",
            changed=lambda entry: self.history.append((entry.service, entry.state)),
            monotonic=lambda: self.time,
            now=lambda: self.time,
        )
        self.supervisor = Supervisor(services.ALL, world, config.Settings())

    def _start(self, service: Service) -> FakeProcess:
        if service.name in self.cannot_start:
            raise self.cannot_start[service.name]
        self.started.append(service.name)
        process = FakeProcess(pid=100 + len(self.started), deaf=service.name in self.deaf)
        self.running[service.name] = process
        return process

    def up(self) -> Scene:
        self.supervisor.start_what_is_down(services.ALL)
        self.ready["broker"] = True
        self.step(0)
        self.step(0)
        self.started.clear()
        return self

    def step(self, seconds: float = 0.1) -> float:
        self.time += seconds
        return self.supervisor.step()

    def entry(self, name: str) -> Entry:
        return self.supervisor.units[name].entry

    def state(self, name: str) -> str:
        return self.entry(name).state

    def ends(self, name: str, code: int, helpers: Sequence[str] = ()) -> FakeProcess:
        process = self.running[name]
        process.code, process.helpers = code, list(helpers)
        return process


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_needs_the_broker_waits_until_it_answers_and_the_rest_does_not(scene: Scene) -> None:
    scene.supervisor.start_what_is_down(services.ALL)
    scene.step()
    assert scene.started == ["broker", "silver", "page"]
    assert scene.entry("bronze").reason == "waits for Kafka broker"
    scene.ready["broker"] = True
    scene.step()
    assert scene.started == ["broker", "silver", "page", "bronze", "producer"]
    assert {scene.state(name) for name in services.BY_NAME} == {states.RUNNING}


def test_a_service_that_the_settings_leave_out_is_not_started(scene: Scene) -> None:
    scene.supervisor.start_what_is_down(service for service in services.ALL if service.name != "producer")
    scene.ready["broker"] = True
    scene.step()
    scene.step()
    assert "producer" not in scene.started
    assert scene.state("producer") == states.STOPPED


def test_killed_is_restarted_after_the_back_off(scene: Scene) -> None:
    scene.up().ends("producer", -9)
    assert scene.step() == pytest.approx(1.0)
    assert scene.state("producer") == states.RESTARTING
    assert "SIGKILL: its last words" in scene.entry("producer").reason
    assert scene.entry("producer").again_at == pytest.approx(scene.time + 1)
    scene.step(0.9)
    assert scene.started == []
    scene.step(0.2)
    assert scene.started == ["producer"]
    assert scene.state("producer") == states.RUNNING


def test_sigterm_from_outside_keeps_it_down_until_start_is_said_again(scene: Scene) -> None:
    scene.up().ends("page", -15)
    scene.step()
    scene.step(3600)
    assert (scene.started, scene.state("page")) == ([], states.STOPPED)
    scene.supervisor.start_what_is_down(services.ALL)
    scene.step()
    assert scene.started == ["page"]


def test_start_said_again_touches_nothing_that_runs(scene: Scene) -> None:
    scene.up()
    pids = {name: process.pid for name, process in scene.running.items()}
    scene.supervisor.start_what_is_down(services.ALL)
    scene.step()
    assert scene.started == []
    assert {name: process.pid for name, process in scene.running.items()} == pids


def test_a_restart_waits_for_the_jvm_of_the_dead_driver(scene: Scene) -> None:
    process = scene.up().ends("bronze", -9, helpers=["jvm"])
    scene.step()
    scene.step(2.5)
    assert scene.started == []
    assert "left behind" in scene.entry("bronze").reason
    process.helpers.clear()
    scene.step()
    assert scene.started == ["bronze"]
    assert process.heard == []


def test_a_jvm_that_does_not_end_is_killed_before_the_restart(scene: Scene) -> None:
    process = scene.up().ends("bronze", -9, helpers=["jvm"])
    scene.step()
    scene.step(9.9)
    assert process.heard == []
    scene.step(0.2)
    assert process.heard == ["KILL"]
    assert scene.started == ["bronze"]


def test_crashes_in_a_row_end_in_failed_with_the_last_error(scene: Scene) -> None:
    scene.up()
    for _ in range(8):
        scene.ends("silver", 1)
        scene.step(1)
        scene.step(31)
    assert scene.state("silver") == states.FAILED
    assert scene.entry("silver").reason == ("crashed 8 times in a row, the last time ended with code 1: its last words")
    assert len(scene.started) == 7
    scene.step(3600)
    assert len(scene.started) == 7


def test_an_hour_of_health_between_two_crashes_never_ends_in_failed(scene: Scene) -> None:
    scene.up()
    for _ in range(20):
        scene.step(3600)
        scene.ends("silver", 1)
        scene.step(0)
        assert scene.entry("silver").crashes == 1
        scene.step(1)
    assert scene.state("silver") == states.RUNNING


def test_an_error_that_needs_a_person_is_shown_and_not_looped_on(scene: Scene) -> None:
    scene.up().ends("bronze", 3)
    scene.step()
    scene.step(3600)
    assert (scene.state("bronze"), scene.entry("bronze").reason) == (states.FAILED, "its last words")
    assert scene.started == []


def test_what_cannot_be_started_is_failed_with_the_reason(scene: Scene) -> None:
    scene.cannot_start["broker"] = InstallError("jar kafka_2.13-4.4.0.jar is missing", "bash start_pipeline.sh")
    scene.supervisor.start_what_is_down(services.ALL)
    scene.step()
    assert scene.state("broker") == states.FAILED
    assert "kafka_2.13-4.4.0.jar is missing → bash start_pipeline.sh" in scene.entry("broker").reason
    assert scene.state("bronze") == states.WAITING


def test_a_part_started_by_hand_is_left_alone(scene: Scene) -> None:
    scene.by_hand["page"] = "started by hand, pid 77"
    scene.up()
    assert (scene.state("page"), scene.entry("page").reason) == (states.BY_HAND, "started by hand, pid 77")
    assert list(scene.supervisor.stopping()) == []
    assert scene.state("page") == states.BY_HAND
    del scene.by_hand["page"]
    scene.step(5)
    assert scene.state("page") == states.STOPPED


def test_stop_goes_from_the_mouth_of_the_pipe_to_its_end(scene: Scene) -> None:
    scene.up().history.clear()
    list(scene.supervisor.stopping())
    order = [name for name, state in scene.history if state == states.STOPPING]
    assert order == list(services.STOP_ORDER)
    stopped_before_next = [name for name, _ in scene.history]
    assert stopped_before_next == [name for service in services.STOP_ORDER for name in (service, service)]
    assert [process.heard for process in scene.running.values()] == [["TERM"]] * 5


def test_what_does_not_stop_in_time_is_killed(scene: Scene) -> None:
    scene.deaf.add("bronze")
    scene.up()
    waited = 0.0
    for name in scene.supervisor.stopping():
        if name == "bronze":
            scene.time += 1
            waited += 1
    assert waited == pytest.approx(services.BRONZE.stop_seconds, abs=1)
    assert scene.running["bronze"].heard == ["TERM", "KILL"]
    assert "did not stop in time" in scene.entry("bronze").reason


def test_stop_takes_back_a_planned_restart(scene: Scene) -> None:
    scene.up().ends("silver", 1)
    scene.step()
    assert scene.state("silver") == states.RESTARTING
    list(scene.supervisor.stopping())
    scene.step(60)
    assert (scene.started, scene.state("silver")) == ([], states.STOPPED)


def test_an_engine_switch_replaces_the_jobs_and_nothing_else(scene: Scene) -> None:
    scene.up()
    list(scene.supervisor.stopping(services.JOBS))
    scene.supervisor.start_what_is_down(services.ALL)
    scene.step()
    assert scene.started == ["silver", "bronze"]
    assert scene.running["broker"].heard == scene.running["page"].heard == []


def test_it_sleeps_when_all_is_well_and_asks_an_absent_broker_ever_less_often(scene: Scene) -> None:
    assert scene.up().step() == IDLE
    scene.ready["broker"] = False
    scene.ends("bronze", -9)
    scene.step(2)
    scene.step(2)
    assert scene.state("bronze") == states.RESTARTING
    assert scene.entry("bronze").reason == "waits for Kafka broker"
    assert scene.step(600) == pytest.approx(1.0)


def test_every_service_of_the_start_order_has_its_place_in_the_stop_order() -> None:
    assert sorted(services.STOP_ORDER) == sorted(services.BY_NAME)
    assert replace(services.PAGE, name="x").name == "x"  # a frozen description
