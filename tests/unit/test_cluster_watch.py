"""A Spark job on a cluster that has no executor, loses them, or works on one task for long."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.master_page import APPLICATION, Master, app, state, worker
from ventes.config import Settings
from ventes.engines.job import Job
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.engines.spark.cluster_watch import (
    FORGOTTEN_LOOKS,
    GRACE_SECONDS,
    SILENT_MASTER_SECONDS,
    START_SECONDS,
    TASK_SECONDS,
    ClusterWatch,
    Executor,
)
from ventes.runtime.heartbeat import Heartbeat, Reporter
from ventes.runtime.stop import Stopper


class FakeDriver:
    application = APPLICATION

    def __init__(self) -> None:
        self.executors: list[Executor] = []
        self.stopped = False

    def all(self) -> Sequence[Executor]:
        return self.executors

    def stop(self) -> None:
        self.stopped = True


class Watched:
    """A job on a cluster, as its watch sees it, and a clock."""

    def __init__(self, settings: Settings, asked: int = 2) -> None:
        self.now = 1000.0
        self.driver = FakeDriver()
        self.job = Job(settings, logging.getLogger("test"), Reporter(settings.state, "bronze"), Stopper())
        plan = ClusterPlan(settings.spark.master, asked, "", 1024, "10.0.0.1", "10.0.0.1", "python", None)
        self.watch = ClusterWatch(self.job, settings, plan, self.driver, lambda: self.now)

    def look_after(self, seconds: float) -> None:
        self.now += seconds
        self.watch.look()

    @property
    def record(self) -> Heartbeat:
        return self.job.reporter.record


ONE = Executor("0", True, 1, 0, 0)


@pytest.fixture
def watched(on_cluster: Settings) -> Watched:
    return Watched(on_cluster)


def test_a_job_without_an_executor_says_what_it_waits_for_until_it_has_one(watched: Watched, master: Master) -> None:
    master.state = state([worker(used=4)], [app("ventes-bronze", 0), app("reports", 4, "app-2")])
    watched.look_after(1)
    assert watched.record.phase == "starting", "an executor takes seconds to start"
    watched.look_after(GRACE_SECONDS)
    said = "waits for 2 cores: the cluster has 0 free of 4 (reports has 4)"
    assert (watched.record.phase, watched.record.reason) == ("waiting", said)
    watched.driver.executors = [ONE]
    watched.look_after(1)
    assert (watched.record.phase, watched.record.reason) == ("starting", ""), "it has not run yet"
    assert watched.record.cluster == {
        "application": APPLICATION,
        "cores": 1,
        "asked": 2,
        "executors": 1,
        "lost": 0,
        "waits": "",
    }


def test_the_loop_does_not_hide_what_the_watch_says(watched: Watched, master: Master) -> None:
    watched.driver.executors = [ONE]
    watched.watch.look()
    watched.job.go_on()
    watched.job.reporter.begin_work()
    began = watched.record.working_since
    watched.driver.executors = [replace(ONE, active=False)]
    master.state = state([], [app("ventes-bronze", 0)])
    watched.watch.look()
    watched.look_after(GRACE_SECONDS + 1)
    watched.job.go_on(lag=7)
    assert (watched.record.phase, watched.record.lag) == ("waiting", 7)
    watched.job.wait_for("something else")
    assert "has no worker" in watched.record.reason
    watched.driver.executors = [replace(ONE, active=False), replace(ONE, id="1")]
    watched.look_after(1)
    assert watched.record.phase == "running"
    assert watched.record.cluster["lost"] == 1
    assert began is not None


def test_the_batch_in_progress_is_the_same_after_the_wait(watched: Watched, master: Master) -> None:
    watched.driver.executors = [ONE]
    watched.watch.look()
    watched.job.go_on()
    watched.job.reporter.begin_work()
    began = watched.record.working_since
    watched.driver.executors = []
    master.state = state([], [app("ventes-bronze", 0)])
    watched.watch.look()
    watched.look_after(GRACE_SECONDS + 1)
    assert watched.record.working_since is None
    watched.driver.executors = [ONE]
    watched.look_after(1)
    assert watched.record.working_since == began


def test_executors_that_got_cores_and_never_report_name_the_drivers_address(watched: Watched, master: Master) -> None:
    master.state = state([worker(used=2)], [app("ventes-bronze", 2)])
    watched.look_after(GRACE_SECONDS + 1)
    assert watched.record.phase == "starting"
    watched.look_after(START_SECONDS + 1)
    assert "gave 2 cores, and none has reported" in watched.record.reason
    assert "spark.driver_host = 10.0.0.1" in watched.record.reason
    assert f"work/{APPLICATION}" in watched.record.reason


def test_a_master_that_does_not_know_the_application_ends_the_session(watched: Watched, master: Master) -> None:
    master.state = state([worker()], [app("reports", 1, "app-2")], status="RECOVERING")
    for _ in range(FORGOTTEN_LOOKS):
        watched.look_after(2)
    assert not watched.driver.stopped, "a master that recovers has no list yet"
    master.state = state([worker()], [app("reports", 1, "app-2")])
    for _ in range(FORGOTTEN_LOOKS):
        assert not watched.driver.stopped
        watched.look_after(2)
    assert watched.driver.stopped
    assert "is not known to the master spark://h:7077 any more" in watched.watch.gave_up


def test_without_master_and_executors_a_new_process_asks_again_after_a_while(watched: Watched, master: Master) -> None:
    master.state = None
    watched.look_after(GRACE_SECONDS + 1)
    assert "Spark's master does not answer" in watched.record.reason
    watched.look_after(SILENT_MASTER_SECONDS)
    assert not watched.driver.stopped
    watched.driver.executors = [ONE]
    watched.look_after(SILENT_MASTER_SECONDS)
    assert not watched.driver.stopped, "what works is left alone"
    assert watched.record.phase == "starting"
    watched.driver.executors = []
    watched.look_after(1)
    assert watched.driver.stopped
    assert "no master for 5 min" in watched.watch.gave_up


def test_a_stop_does_not_wait_for_executors(watched: Watched, master: Master) -> None:
    watched.driver.executors = [ONE]
    watched.job.stopper.stop()
    watched.watch.look()
    assert not watched.driver.stopped, "a batch is finished"
    watched.driver.executors = []
    watched.watch.look()
    assert watched.driver.stopped


def test_running_tasks_renew_the_heartbeat_but_not_for_ever(watched: Watched) -> None:
    """On a cluster the driver uses no CPU while the executors work; the watchdog would end it."""
    beat = 0.0

    def renewed() -> bool:
        nonlocal beat
        before, beat = beat, watched.record.beat
        return beat > before

    watched.driver.executors = [replace(ONE, running=1, done=3)]
    watched.watch.look()
    assert renewed()
    watched.look_after(TASK_SECONDS - 1)
    assert renewed()
    watched.look_after(2)
    assert not renewed(), "one task hangs"
    watched.driver.executors = [replace(ONE, running=1, done=4)]
    watched.look_after(TASK_SECONDS)
    assert renewed()
    watched.driver.executors = [replace(ONE, running=0, done=5)]
    watched.look_after(1)
    assert not renewed(), "the loop renews it while nothing runs"
