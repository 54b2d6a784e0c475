"""The output of `ventes start` while it waits, when it is ready, and when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.ingested import TOPIC, ingest, sale
from harness.silver_run import loop_of, settings_of
from ventes.config import Settings
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake import accepted_gaps
from ventes.lake.accepted_gaps import Gap
from ventes.runtime.heartbeat import Reporter
from ventes.supervise import states
from ventes.supervise.control import Disconnected, Message
from ventes.supervise.service_records import Entry
from ventes.supervise.start_progress import STALLED_SECONDS, Started, StartFailed, StartProgress
from ventes.supervise.visible import Visible

ACCEPTED: Message = {"event": "accepted", "engine": "embedded", "down": ["bronze"], "held": {}}
READY: Message = {"event": "ready", "changed": True}
SILENCE = 5.0
"""Seconds of the test's clock that pass without an event."""


class FakeSupervisor:
    """Yields what the test prepared: events, None for a pause, or a function to call meanwhile."""

    def __init__(self, *story: Message | Callable[[], object] | None, accepted: Message = ACCEPTED) -> None:
        self.now = 100.0
        self._accepted = accepted
        self._story = list(story)

    def ask(self, request: str, **arguments: object) -> Message:
        assert request == "start"
        return self._accepted

    def receive(self, seconds: float) -> Message | None:
        if not self._story:
            raise Disconnected
        told = self._story.pop(0)
        if isinstance(told, dict):
            return told
        self.now += SILENCE
        if told is not None:
            told()
        return None


def ready(name: str, already: bool = False) -> Message:
    return {"event": "service_ready", "service": name, "already": already}


def service(name: str, state: str, reason: str = "", **more: int) -> Message:
    return {"event": "service", **asdict(Entry(name, state, 0.0, reason)), **more}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A pipeline whose topic holds three sales, and whose Bronze has them; Silver has not begun."""
    settings = settings_of(tmp_path)
    ingest(settings, [sale(1), sale(2), sale(3)])
    return settings


def silver_works(settings: Settings) -> None:
    loop_of(settings, EmbeddedSilver).run()


def visible(settings: Settings, last: int = 2) -> Visible:
    return Visible(settings, ends=lambda _: {(TOPIC, 0): last})


def test_a_backlog_is_told_every_ten_seconds(settings: Settings) -> None:
    def more(first: int) -> Callable[[], object]:
        return lambda: ingest(settings, [sale(first + 1)], first=first)

    pauses = [None, None, more(3), lambda: silver_works(settings), None, None, more(4), lambda: silver_works(settings)]
    _, said = follow(settings, FakeSupervisor(READY, *pauses), visible=visible(settings, last=4))
    told = [line.split("] ")[1] for line in said if "catches up" in line]
    assert told == ["Silver catches up, 5 messages left", "Silver catches up, 1 messages left"]


def follow(settings: Settings, supervisor: FakeSupervisor, **more: Visible) -> tuple[Started, list[str]]:
    said: list[str] = []
    looked = more.get("visible") or visible(settings)
    progress = StartProgress(
        settings, supervisor, said.append, supervisor.now, visible=looked, clock=lambda: supervisor.now
    )
    return progress.run(None), said


def silences(seconds: float) -> list[None]:
    return [None] * round(seconds / SILENCE)


def test_the_output_of_a_start(settings: Settings) -> None:
    supervisor = FakeSupervisor(
        ready("broker", already=True),
        service("bronze", states.STOPPING, "was told to stop from outside; is started again when it has ended"),
        service("bronze", states.WAITING),
        service("bronze", states.RUNNING),
        service("page", states.RESTARTING, "killed by SIGKILL", crashes=1),
        None,
        ready("bronze"),
        READY,
        lambda: silver_works(settings),
    )
    result, said = follow(settings, supervisor)
    assert result == Started(True, "embedded", 3, 2 * SILENCE)
    assert said == [
        "starting what is down: bronze",
        "[  0.0 s] Bronze job was told to stop from outside; is started again when it has ended",
        "[  0.0 s] page crashed, is started again: killed by SIGKILL",
        "[  5.0 s] Bronze job ready",
        "[ 10.0 s] 3 sales visible in Silver",
    ]


def test_services_that_already_run_are_reported_at_once(settings: Settings) -> None:
    silver_works(settings)
    accepted = {**ACCEPTED, "down": []}
    supervisor = FakeSupervisor(ready("broker", already=True), {"event": "ready", "changed": False}, accepted=accepted)
    assert follow(settings, supervisor) == (Started(False, "embedded", 3, 0.0), [])


def test_a_start_without_progress_fails(settings: Settings) -> None:
    with pytest.raises(StartFailed, match=r"no progress for 120 s .* Bronze job: is not running"):
        follow(settings, FakeSupervisor(*silences(STALLED_SECONDS + 2 * SILENCE)))
    with pytest.raises(StartFailed, match="no progress for 120 s while waiting for sales in Silver"):
        follow(settings, FakeSupervisor(READY, *silences(STALLED_SECONDS + 2 * SILENCE)))


@pytest.mark.parametrize("name", ["bronze", "silver"])
def test_a_lot_that_takes_minutes_is_progress_and_is_reported(settings: Settings, name: str) -> None:
    reporter = Reporter(settings.state, name)
    reporter.update(phase="running", working_since=time.time() - 34)
    supervisor = FakeSupervisor(READY, *silences(600), lambda: silver_works(settings))
    result, said = follow(settings, supervisor)
    assert result.events == 3
    assert any("Silver job is working on one lot, 34 s so far" in line for line in said) == (name == "silver")
    assert any("Bronze job is working on one batch, 34 s so far" in line for line in said) == (name == "bronze")


def test_a_job_that_waits_makes_no_progress(settings: Settings) -> None:
    reporter = Reporter(settings.state, "silver")
    reporter.begin_work()
    reporter.update(phase="waiting", reason="the disk is full")
    with pytest.raises(StartFailed, match=r"Silver job: the disk is full"):
        follow(settings, FakeSupervisor(READY, *silences(STALLED_SECONDS + 2 * SILENCE)))


def test_a_job_that_waits_for_a_cluster_says_so_at_once_and_makes_no_progress(settings: Settings) -> None:
    waits = "waits for 2 cores: the cluster has 0 free of 4 (reports has 4)"
    Reporter(settings.state, "silver").update(phase="waiting", reason=waits, cluster={"waits": waits})
    said: list[str] = []
    supervisor = FakeSupervisor(READY, *silences(STALLED_SECONDS + 2 * SILENCE))
    looked = visible(settings)
    progress = StartProgress(
        settings, supervisor, said.append, supervisor.now, visible=looked, clock=lambda: supervisor.now
    )
    with pytest.raises(StartFailed, match=r"Silver job: waits for 2 cores"):
        progress.run(None)
    assert f"[{SILENCE:5.1f} s] Silver job {waits}" in said
    assert sum(waits in line for line in said) == 1


def test_a_jvm_that_starts_slowly_is_progress(settings: Settings) -> None:
    Reporter(settings.state, "bronze").update(phase="starting", working_since=time.time() - 34)
    _, said = follow(settings, FakeSupervisor(READY, *silences(600), lambda: silver_works(settings)))
    assert any("Bronze job is starting, 34 s so far" in line for line in said)


def test_lots_that_come_are_progress(settings: Settings) -> None:
    lots = iter(range(4))

    def one_lot() -> None:
        lot = next(lots)
        ingest(settings, [sale(10 + lot)], first=3 + lot)
        silver_works(settings)

    story = [*silences(100), one_lot] * 4
    result, _ = follow(settings, FakeSupervisor(READY, *story), visible=visible(settings, last=6))
    assert result.events == 7


def test_a_start_waits_for_a_held_service(settings: Settings) -> None:
    accepted = {**ACCEPTED, "held": {"silver": "ventes rebuild silver (pid 7)"}}
    story = [*silences(600), service("silver", states.RUNNING), READY, lambda: silver_works(settings)]
    _, said = follow(settings, FakeSupervisor(*story, accepted=accepted))
    assert said[1] == "[  0.0 s] Silver job is kept down by ventes rebuild silver (pid 7); waiting for that"


def test_a_failure_comes_with_the_end_of_the_log(settings: Settings) -> None:
    log = settings.log("bronze")
    log.parent.mkdir(parents=True)
    log.write_text("a line\nthe last line\n", encoding="utf-8")
    failed = {"event": "failed", "service": "bronze", "reason": "topic re-created → ventes recover"}
    with pytest.raises(StartFailed) as caught:
        follow(settings, FakeSupervisor(failed))
    assert caught.value.message == (
        "Bronze job failed: topic re-created → ventes recover\n  | a line\n  | the last line\n"
    )
    assert str(log) in caught.value.hint


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_stop_that_comes_first_wins(settings: Settings, when: str) -> None:
    stopping = {"event": "stopping"}
    supervisor = FakeSupervisor(accepted=stopping) if when == "before" else FakeSupervisor(stopping)
    with pytest.raises(StartFailed, match="told to stop"):
        follow(settings, supervisor)


def test_the_end_of_a_supervisor_is_reported_with_its_last_output_line(settings: Settings) -> None:
    output = settings.state / "run" / "supervisor.out"
    output.parent.mkdir(parents=True)
    output.write_text("port 9092 is taken\n", encoding="utf-8")
    with pytest.raises(StartFailed, match="the supervisor ended: port 9092 is taken"):
        follow(settings, FakeSupervisor(None))


# -- the tables -------------------------------------------------------------------------------------------------------


def test_sales_are_visible_when_silver_holds_what_the_topic_held(settings: Settings) -> None:
    looked = visible(settings)
    assert (looked.reached(), looked.events) == (False, 0)
    silver_works(settings)
    assert (looked.reached(), looked.events) == (True, 3)
    assert not visible(settings, last=3).reached()


def test_tables_that_did_not_change_are_not_read_again(settings: Settings) -> None:
    silver_works(settings)
    looked = visible(settings, last=3)
    looked.reached()
    before = looked.position
    looked.reached()
    assert looked.position is before  # it would be another object
    ingest(settings, [sale(4)], first=3)
    silver_works(settings)
    assert looked.reached()
    assert looked.position is not before


def test_a_start_does_not_wait_for_accepted_gaps(settings: Settings) -> None:
    silver_works(settings)
    looked = visible(settings, last=5)
    assert not looked.reached()
    accepted_gaps.record(settings.lake, [Gap(TOPIC, TOPIC, 0, 3, 5, "expired", "2026-01-05T10:00:00+00:00")])
    assert looked.reached()


def test_an_empty_topic_is_enough_only_without_a_producer(settings: Settings, tmp_path: Path) -> None:
    nobody_sells = settings_of(tmp_path, producer={"enabled": False})
    assert Visible(nobody_sells, ends=lambda _: {}).reached()
    assert not Visible(nobody_sells, ends=lambda _: None).reached()  # no answer
    assert not Visible(settings, ends=lambda _: {}).reached()
