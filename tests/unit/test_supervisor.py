"""The supervisor's decisions, with a clock and processes that the test controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ventes import config
from ventes.errors import ConfigError, InstallError, VentesError
from ventes.supervise import services, states
from ventes.supervise.requests import CONFIRM_SECONDS, Plan, Requests
from ventes.supervise.service_records import Entry, ServiceRecords
from ventes.supervise.service_state import IDLE, SOON, World
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


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- starting, restarting, stopping -----------------------------------------------------------------------------------


def test_what_needs_the_broker_waits_until_it_answers_and_the_rest_does_not(scene: Scene) -> None:
    scene.supervisor.start(services.ALL)
    scene.step()
    assert scene.started == ["broker", "silver", "page"]
    assert scene.entry("bronze").reason == "waits for Kafka broker"
    scene.ready["broker"] = True
    scene.step()
    assert scene.started == ["broker", "silver", "page", "bronze", "producer"]
    assert scene.states() == {states.RUNNING}


def test_a_service_that_the_settings_leave_out_is_not_started(scene: Scene) -> None:
    scene.supervisor.start(service for service in services.ALL if service.name != "producer")
    scene.ready["broker"] = True
    scene.step()
    scene.step()
    assert "producer" not in scene.started
    assert scene.state("producer") == states.STOPPED


def test_killed_is_restarted_after_the_back_off(scene: Scene) -> None:
    scene.up().running["producer"].ends(-9)
    assert scene.step() == pytest.approx(1.0)
    assert scene.state("producer") == states.RESTARTING
    assert "SIGKILL: its last words" in scene.entry("producer").reason
    assert scene.entry("producer").again_at == pytest.approx(scene.time + 1)
    scene.step(0.9)
    assert scene.started == []
    scene.step(0.2)
    assert scene.started == ["producer"]
    assert scene.state("producer") == states.RUNNING


def test_what_hangs_is_killed_with_its_reason_and_restarted(scene: Scene) -> None:
    scene.up()
    scene.hung["bronze"] = "its loop has not turned for 60 s and used no CPU"
    scene.step()
    assert scene.running["bronze"].heard == ["KILL"]
    scene.hung.clear()  # the next check of the watchdog finds no process
    scene.step()
    assert scene.state("bronze") == states.RESTARTING
    assert "has not turned for 60 s" in scene.entry("bronze").reason
    scene.step(1.1)
    assert scene.state("bronze") == states.RUNNING
    assert scene.running["bronze"].heard == []


def test_a_restart_waits_for_the_jvm_of_the_dead_driver(scene: Scene) -> None:
    process = scene.up().running["bronze"].ends(-9, helpers=["jvm"])
    scene.step()
    scene.step(2.5)
    assert scene.started == []
    assert "left behind" in scene.entry("bronze").reason
    process.helpers.clear()
    scene.step()
    assert scene.started == ["bronze"]
    assert process.heard == []


def test_a_jvm_that_does_not_end_is_killed_before_the_restart(scene: Scene) -> None:
    process = scene.up().running["bronze"].ends(-9, helpers=["jvm"])
    scene.step()
    scene.step(9.9)
    assert process.heard == []
    scene.step(0.2)
    assert process.heard == ["KILL"]
    assert scene.started == ["bronze"]


def test_crashes_in_a_row_end_in_failed_with_the_last_error(scene: Scene) -> None:
    scene.up()
    for _ in range(8):
        scene.running["silver"].ends(1)
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
        scene.running["silver"].ends(1)
        scene.step(0)
        assert scene.entry("silver").crashes == 1
        scene.step(1)
    assert scene.state("silver") == states.RUNNING


def test_an_error_that_a_user_must_fix_is_shown_and_not_retried(scene: Scene) -> None:
    scene.up().running["bronze"].ends(3)
    scene.step()
    scene.step(3600)
    assert (scene.state("bronze"), scene.entry("bronze").reason) == (states.FAILED, "its last words")
    assert scene.started == []


def test_what_cannot_be_started_is_failed_with_the_reason(scene: Scene) -> None:
    scene.cannot_start["broker"] = InstallError("jar kafka_2.13-4.4.0.jar is missing", "bash start_pipeline.sh")
    scene.supervisor.start(services.ALL)
    scene.step()
    assert scene.state("broker") == states.FAILED
    assert "kafka_2.13-4.4.0.jar is missing → bash start_pipeline.sh" in scene.entry("broker").reason
    assert scene.state("bronze") == states.WAITING


def test_a_service_started_by_hand_is_not_touched(scene: Scene) -> None:
    scene.by_hand["page"] = "started by hand, pid 77"
    scene.up()
    assert (scene.state("page"), scene.entry("page").reason) == (states.BY_HAND, "started by hand, pid 77")
    scene.by_hand.clear()
    scene.step(5)
    assert scene.state("page") == states.STOPPED


def test_stop_order_is_that_of_the_data_from_producer_to_broker(scene: Scene) -> None:
    scene.up().history.clear()
    scene.by_hand["page"] = "started by hand, pid 77"
    list(scene.stops())
    assert scene.history == [
        (name, state) for name in services.STOP_ORDER for state in (states.STOPPING, states.STOPPED)
    ]
    assert [process.heard for process in scene.running.values()] == [["TERM"]] * 5


def test_stop_leaves_alone_what_was_started_by_hand(scene: Scene) -> None:
    scene.by_hand["page"] = "started by hand, pid 77"
    scene.up()
    list(scene.stops())
    assert scene.state("page") == states.BY_HAND


def test_what_does_not_stop_in_time_is_killed(scene: Scene) -> None:
    scene.busy.add("bronze")
    scene.up()
    waited = 0.0
    for name in scene.stops():
        if name == "bronze":
            scene.time += 1
            waited += 1
    assert waited == pytest.approx(services.BRONZE.stop_seconds, abs=2)
    assert scene.running["bronze"].heard == ["TERM", "KILL"]
    assert "did not stop in time" in scene.entry("bronze").reason


def test_nothing_is_started_any_more_once_all_is_being_stopped(scene: Scene) -> None:
    scene.busy.add("producer")
    scene.up().running["silver"].ends(1)
    scene.step()
    assert scene.state("silver") == states.RESTARTING
    stop = scene.stops()
    next(stop)
    scene.running["page"].ends(-9)
    scene.steps(600)
    list(stop)
    assert scene.started == []
    assert scene.states() == {states.STOPPED}


def test_the_interval_of_checks_grows_while_idle_or_without_a_broker(scene: Scene) -> None:
    assert scene.up().step() == IDLE
    scene.ready["broker"] = False
    scene.running["bronze"].ends(-9)
    scene.step(2)
    scene.step(2)
    assert scene.state("bronze") == states.RESTARTING
    assert scene.entry("bronze").reason == "waits for Kafka broker"
    assert scene.step(600) == pytest.approx(1.0)


def test_every_service_of_the_start_order_has_its_place_in_the_stop_order() -> None:
    assert sorted(services.STOP_ORDER) == sorted(services.BY_NAME)


# -- a start, and other requests meanwhile (the table in service_state) ------------------------------------------------


def test_sigterm_from_outside_keeps_it_down_until_the_next_start(scene: Scene) -> None:
    scene.up().running["page"].ends(-15)
    scene.step()
    scene.step(3600)
    assert (scene.started, scene.state("page")) == ([], states.STOPPED)
    client = scene.ask("start")
    assert client.last == {"event": "accepted", "engine": "spark", "down": ["page"], "held": {}}
    scene.step()
    assert scene.started == ["page"]


def test_a_second_start_changes_no_running_service(scene: Scene) -> None:
    scene.up()
    pids = {name: process.pid for name, process in scene.running.items()}
    client = scene.ask("start")
    scene.steps(5)
    assert scene.started == []
    assert {name: process.pid for name, process in scene.running.items()} == pids
    assert {event["already"] for event in client.events("service_ready")} == {True}
    assert client.last == {"event": "ready", "changed": False}


def test_a_start_gets_an_event_for_each_ready_service_and_at_the_end(scene: Scene) -> None:
    client = scene.ask("start")
    assert scene.step() == SOON
    assert client.events("service_ready", "ready") == []
    scene.ready["broker"] = True
    scene.steps(10)
    assert client.events("service_ready") == [{"event": "service_ready", "service": "broker", "already": False}]
    for name in services.BY_NAME:
        scene.ready[name] = True
        scene.steps(10)
    assert {event["service"] for event in client.events("service_ready")} == set(services.BY_NAME)
    assert client.events("ready") == [{"event": "ready", "changed": True}]
    changes = [(event["service"], event["state"]) for event in client.events("service")]
    assert ("bronze", states.RUNNING) in changes


@pytest.mark.parametrize("seconds", [0.0, 4.0])
def test_a_service_that_is_stopping_is_waited_for_and_started(scene: Scene, seconds: float) -> None:
    process = scene.up().running["bronze"].sigterm()
    scene.ready["bronze"] = False
    client = scene.ask("start")
    scene.step()
    assert scene.state("bronze") == states.STOPPING
    assert "started again when it has ended" in scene.entry("bronze").reason
    scene.step(seconds)
    assert (scene.started, client.events("ready")) == ([], [])
    process.ends(0, helpers=["jvm"])
    scene.steps(3)
    assert scene.started == []
    process.helpers.clear()
    scene.step()
    assert scene.started == ["bronze"]
    scene.ready["bronze"] = True
    scene.steps(3)
    assert client.last == {"event": "ready", "changed": True}
    assert process.heard == []  # once is enough


def test_a_sigterm_that_is_noted_just_after_the_start_was_asked_for_counts_as_before_it(scene: Scene) -> None:
    process = scene.up().running["bronze"].sigterm(noted=False)
    client = scene.ask("start")
    scene.step(0)
    process.says_stopping, scene.ready["bronze"] = True, False
    scene.step(CONFIRM_SECONDS)
    assert client.events("ready") == []
    assert scene.state("bronze") == states.STOPPING
    process.ends(0)
    scene.step()
    assert scene.started == ["bronze"]


def test_one_that_ends_without_a_note_during_the_start_is_started_again(scene: Scene) -> None:
    scene.up().ready["page"] = False  # goes down, and does not answer any more
    scene.ask("start")
    scene.step()
    scene.running["page"].ends(0)
    scene.steps(2)
    assert scene.started == ["page"]


def test_a_service_started_by_hand_that_ends_during_the_start_is_replaced(scene: Scene) -> None:
    scene.by_hand["producer"] = "started by hand, pid 77"
    scene.up().ready["producer"] = False
    client = scene.ask("start")
    scene.steps(5)
    assert client.events("ready") == []
    scene.by_hand.clear()
    scene.steps(2)
    assert scene.started == ["producer"]


def test_a_sigterm_after_the_start_has_succeeded_means_stopped_on_purpose(scene: Scene) -> None:
    client = scene.up().ask("start")
    scene.steps(5)
    assert client.last["event"] == "ready"
    scene.requests.gone(client)
    scene.running["bronze"].sigterm()
    scene.step()
    assert scene.state("bronze") == states.RUNNING  # as the process sees it, it still runs
    scene.running["bronze"].ends(0)
    scene.step()
    assert (scene.state("bronze"), scene.started) == (states.STOPPED, [])


def test_one_that_is_killed_while_stopping_was_stopped_on_purpose(scene: Scene) -> None:
    scene.up().running["bronze"].sigterm().ends(-9)
    scene.step()
    scene.step(60)
    assert (scene.state("bronze"), scene.started) == (states.STOPPED, [])
    assert "killed by SIGKILL" in scene.entry("bronze").reason


def test_the_request_of_a_start_that_disconnects_is_still_carried_out(scene: Scene) -> None:
    process = scene.up().running["bronze"].sigterm()
    scene.ready["bronze"] = False
    client = scene.ask("start")
    scene.step()
    scene.requests.gone(client)
    process.ends(0)
    scene.steps(2)
    assert scene.started == ["bronze"]


def test_one_that_hangs_while_stopping_is_killed_if_a_start_waits_for_it(scene: Scene) -> None:
    process = scene.up().running["bronze"].sigterm()
    scene.step(60)
    assert process.heard == []  # no start waits for it
    scene.ask("start")
    scene.step()
    scene.step(services.BRONZE.stop_seconds + 0.1)
    scene.steps(2)
    assert process.heard == ["KILL"]
    assert scene.started == ["bronze"]


def test_one_in_a_crash_loop_fails_the_start(scene: Scene) -> None:
    client = scene.up().ask("start")
    for _ in range(3):
        scene.running["silver"].ends(0)
        scene.steps(2)
    (failed,) = client.events("failed")
    assert failed["service"] == "silver"
    assert "again and again: ended during the start" in failed["reason"]


def test_each_start_resets_the_crash_count(scene: Scene) -> None:
    scene.up()
    for _ in range(5):
        client = scene.ask("start")
        scene.running["page"].ends(-15)
        scene.steps(5)
        assert client.last == {"event": "ready", "changed": True}
        scene.requests.gone(client)


def test_a_start_fails_with_the_reason_of_the_service(scene: Scene) -> None:
    client = scene.up().ask("start")
    scene.running["bronze"].ends(3)
    scene.step()
    assert client.last == {"event": "failed", "service": "bronze", "reason": "its last words"}
    scene.steps(5)
    assert client.events("ready") == []


def test_a_start_fails_after_three_crashes(scene: Scene) -> None:
    client = scene.up().ask("start")
    for _ in range(3):
        assert client.events("failed") == []
        scene.running["silver"].ends(1)
        scene.step(0)
        scene.step(31)
    (failed,) = client.events("failed")
    assert "again and again: ended with code 1: its last words" in failed["reason"]


def test_stop_during_a_start_wins(scene: Scene) -> None:
    process = scene.up().running["bronze"].sigterm()
    starter = scene.ask("start")
    scene.step()
    stopper = scene.ask("stop")
    assert starter.events("stopping") == stopper.events("stopping") == [{"event": "stopping"}]
    process.ends(0)
    scene.steps(10)
    assert scene.supervisor.stopped
    assert (scene.started, scene.states()) == ([], {states.STOPPED})
    late = scene.ask("start")
    assert late.told == [{"event": "stopping"}]
    scene.requests.stopped()
    assert late.last == stopper.last == {"event": "stopped"}


def test_two_starts_at_once_both_get_the_events(scene: Scene) -> None:
    first = scene.ask("start")
    scene.steps(3)
    second = scene.ask("start")
    scene.requests.gone(first)
    scene.ready = dict.fromkeys(services.BY_NAME, True)
    scene.running["silver"].ends(0)  # the second one still wants it
    scene.steps(5)
    assert scene.state("silver") == states.RUNNING
    assert second.last == {"event": "ready", "changed": True}


# -- another engine ---------------------------------------------------------------------------------------------------


def test_another_engine_replaces_the_jobs_and_nothing_else(scene: Scene) -> None:
    scene.busy.add("bronze")
    scene.up()
    client = scene.ask("start", engine="embedded")
    assert client.told[0]["engine"] == "embedded"
    assert client.told[0]["down"] == ["silver", "bronze"]
    scene.steps(2)
    assert scene.started == ["silver"]
    scene.running["bronze"].ends(0)
    scene.steps(5)
    assert scene.started == ["silver", "bronze"]
    assert scene.running["broker"].heard == scene.running["page"].heard == []
    assert client.last == {"event": "ready", "changed": True}


def test_a_job_that_failed_is_started_with_the_other_engine(scene: Scene) -> None:
    scene.up().running["bronze"].ends(3)
    scene.step()
    scene.ask("start", engine="embedded")
    scene.steps(2)
    assert sorted(scene.started) == ["bronze", "silver"]


def test_an_unknown_engine_changes_nothing(scene: Scene) -> None:
    client = scene.up().ask("start", engine="flink")
    assert client.told == [{"event": "error", "message": "engine = 'flink'", "hint": "spark or embedded"}]
    scene.running["page"].ends(0)
    scene.step()
    assert scene.state("page") == states.STOPPED  # no start is in progress


# -- kept down for a time ---------------------------------------------------------------------------------------------


def test_a_held_service_is_stopped_and_started_again_when_its_holder_is_gone(scene: Scene) -> None:
    scene.busy.add("silver")
    scene.up()
    client = scene.ask("hold", service="silver", by="ventes rebuild silver")
    scene.step()
    assert client.told == []
    scene.running["silver"].ends(0)
    scene.step()
    assert client.told == [{"event": "held", "service": "silver", "starts_again": True}]
    scene.step(600)
    assert scene.entry("silver").reason == "waits for ventes rebuild silver (pid 4711)"
    assert scene.started == []
    scene.requests.gone(client)
    scene.step()
    assert scene.started == ["silver"]


def test_one_that_was_stopped_on_purpose_is_not_started_after_it_was_held(scene: Scene) -> None:
    scene.up().running["silver"].ends(0)
    scene.step()
    client = scene.ask("hold", service="silver", by="me")
    scene.step()
    assert client.last["starts_again"] is False
    scene.requests.gone(client)
    scene.steps(3)
    assert scene.started == []


def test_a_start_waits_for_a_held_service_and_gets_the_holder(scene: Scene) -> None:
    holder = scene.up().ask("hold", service="silver", by="me")
    scene.step()
    client = scene.ask("start")
    assert client.last["held"] == {"silver": "me (pid 4711)"}
    scene.steps(50)
    assert client.events("ready") == []
    scene.requests.gone(holder)
    scene.steps(5)
    assert scene.started == ["silver"]
    assert client.last["event"] == "ready"


def test_a_service_is_held_once_and_not_while_all_is_being_stopped(scene: Scene) -> None:
    scene.up().ask("hold", service="silver", by="me")
    assert "kept down by me (pid 4711)" in scene.ask("hold", service="silver", by="you").last["message"]
    nobody: list[object] = ["gold", None, [], {}]
    for service in nobody:
        assert "cannot hold" in scene.ask("hold", service=service, by="me").last["message"]
    scene.ask("stop")
    assert "being stopped" in scene.ask("hold", service="page", by="me").last["message"]


def test_a_held_service_does_not_keep_the_others_from_being_stopped(scene: Scene) -> None:
    scene.up().ask("hold", service="silver", by="me")
    scene.step()
    list(scene.stops())
    assert scene.states() == {states.STOPPED}


# -- state ------------------------------------------------------------------------------------------------------------


def test_state_is_complete_and_an_unknown_request_lists_the_known_ones(scene: Scene) -> None:
    state = scene.up().ask("state").last
    assert state["event"] == "state"
    assert state["stopping"] is False
    assert state["services"]["bronze"]["state"] == states.RUNNING
    refused = scene.ask("stauts").last
    assert "'stauts'" in refused["message"]
    assert refused["hint"] == "one of: state, start, stop, hold"


def test_what_a_full_disk_ended_is_not_given_up_and_comes_back_once_there_is_space() -> None:
    scene = Scene().up()
    scene.full_disk = "the disk of /s is full"
    scene.running["broker"].code = 1
    for _ in range(20):
        scene.step(60)
    broker = scene.supervisor.services["broker"].entry
    assert scene.started == []
    assert (broker.state, broker.reason) == ("restarting", "waits for space: the disk of /s is full")
    scene.full_disk = ""
    scene.step(60)
    assert scene.started == ["broker"]


def test_a_service_whose_log_a_full_disk_refuses_is_tried_again() -> None:
    scene = Scene()
    scene.cannot_start["broker"] = OSError(28, "No space left on device")
    scene.full_disk = "the disk of /s is full"
    scene.supervisor.start(services.ALL)
    scene.step()
    assert scene.state("broker") == "restarting"
    scene.cannot_start.clear()
    scene.full_disk = ""
    scene.step(60)
    assert "broker" in scene.started
