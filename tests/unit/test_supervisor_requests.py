"""What a start, a change of engine and a hold ask of the supervisor, and when each is answered."""

from __future__ import annotations

import pytest

from harness.supervisor_scene import Scene
from ventes.supervise import services, states
from ventes.supervise.requests import CONFIRM_SECONDS
from ventes.supervise.service_state import SOON


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- a start, and other requests meanwhile (the table in service_state) ------------------------------------------------


def test_sigterm_from_outside_keeps_it_down_until_the_next_start(scene: Scene) -> None:
    scene.up().running["page"].ends(-15)
    scene.step()
    scene.step(3600)
    assert (scene.started, scene.state("page")) == ([], states.STOPPED)
    client = scene.ask("start")
    assert client.last == {"event": "accepted", "engine": "spark", "down": ["page"], "held": {}, "ended": []}
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
