"""The supervisor's decisions: what it starts, restarts, stops and gives up."""

from __future__ import annotations

import pytest

from harness.supervisor_scene import Scene
from ventes.errors import InstallError
from ventes.supervise import services, states
from ventes.supervise.service_state import IDLE


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- starting, restarting, stopping -----------------------------------------------------------------------------------


def test_what_needs_the_broker_waits_until_it_answers_and_the_rest_does_not(scene: Scene) -> None:
    scene.supervisor.start(services.ALL)
    scene.step()
    assert scene.started == ["broker", "silver", "page", "alerts"]
    assert scene.entry("bronze").reason == "waits for Kafka broker"
    scene.ready["broker"] = True
    scene.step()
    assert scene.started == ["broker", "silver", "page", "alerts", "bronze", "producer"]
    assert scene.states() == {states.RUNNING}


def test_with_a_cluster_of_somebody_else_nothing_waits_for_the_managed_broker(scene: Scene) -> None:
    scene.ready["broker"] = False  # nothing answers at kafka.host
    scene.supervisor.start(service for service in services.ALL if service.name != "broker")
    scene.step()
    assert {"bronze", "silver", "producer"} <= set(scene.started)
    scene.running["bronze"].ends(-9)
    scene.step(2)
    scene.step(2)
    assert scene.state("bronze") == states.RUNNING
    assert "broker" not in scene.started


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
    assert [process.heard for process in scene.running.values()] == [["TERM"]] * 6


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
