"""One thread reads the status for all viewers while there are any; an old answer does not count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from harness.pipeline import wait_for
from ventes.dashboard.status_poller import FRESH_SECONDS, StatusPoller
from ventes.runtime.pipeline_status import Status


class Pipeline:
    """The polled function: counts its calls, and fails while the test wants that."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.age = 0.0

    def ask(self) -> Status:
        self.asked += 1
        if self.fails:
            raise OSError("cannot be asked")
        return Status(time.time() - self.age, "spark", "", "", None, None, (), {})


def pollers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "status"]


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    yield Pipeline()
    wait_for(lambda: not pollers(), "no thread is left")


def test_the_first_answer_is_waited_for_and_one_thread_asks_for_all(pipeline: Pipeline) -> None:
    poller = StatusPoller(pipeline.ask, pause_seconds=0.05, idle_seconds=0.2)
    assert {poller.latest() is not None for _ in range(5)} == {True}
    assert len(pollers()) == 1
    wait_for(lambda: pipeline.asked > 1, "it asks again by itself")


def test_after_an_error_it_asks_again(pipeline: Pipeline) -> None:
    pipeline.fails = True
    poller = StatusPoller(pipeline.ask, pause_seconds=0.05, idle_seconds=0.3)
    assert poller.latest() is None
    pipeline.fails = False
    wait_for(lambda: poller.latest() is not None, "the next question is answered")


def test_an_old_answer_is_no_answer(pipeline: Pipeline) -> None:
    pipeline.age = FRESH_SECONDS + 1
    assert StatusPoller(pipeline.ask, pause_seconds=0.05, idle_seconds=0.1).latest() is None


def test_it_stops_when_the_page_is_closed_and_starts_again(pipeline: Pipeline) -> None:
    poller = StatusPoller(pipeline.ask, pause_seconds=0.01, idle_seconds=0.05)
    assert poller.latest() is not None
    wait_for(lambda: not pollers(), "the thread has ended")
    asked = pipeline.asked
    assert poller.latest() is not None
    assert pipeline.asked > asked
