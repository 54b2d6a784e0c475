"""The state that `status` derives from its observations, and its output."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ventes.check.lag import Lag
from ventes.check.status import Seen, ask_and_look, judge
from ventes.cli import status_text
from ventes.runtime.durations import in_words
from ventes.runtime.heartbeat import Heartbeat
from ventes.runtime.pipeline_status import FiringAlert, ServiceStatus, Status
from ventes.supervise import services, states
from ventes.supervise.service_records import Entry

NOW = 1_800_000_000.0
YES = (True, "")
CAUGHT_UP = Lag(0, 0.0)
NO = (False, "is not running")


def record(**changes: object) -> Heartbeat:
    beat = Heartbeat(
        "bronze", "spark", pid=4711, process_started=NOW - 3600, supervised=True, phase="running", beat=NOW - 2,
        batch=12, batch_at=NOW - 3, rows=30, duration=0.7, total=360,
    )  # fmt: skip
    return replace(beat, **changes)  # type: ignore[arg-type]


def entry(state: str = states.RUNNING, **changes: object) -> Entry:
    return replace(Entry("bronze", state, NOW - 5, pid=4711, process_started=NOW - 3600), **changes)  # type: ignore[arg-type]


def seen(**changes: object) -> Seen:
    return replace(Seen(entry(), record(), pid=4711, started=NOW - 3600), **changes)  # type: ignore[arg-type]


def judged(what: Seen, answer: tuple[bool, str] = YES, behind: Lag = CAUGHT_UP, **options: Any) -> ServiceStatus:
    return judge(services.BRONZE, what, answer, behind, NOW, **options)


def test_a_job_that_runs_and_answers_is_ready() -> None:
    found = judged(seen())
    assert (found.state, found.running, found.ready, found.reason, found.ok) == ("running", True, True, "", True)
    assert (found.batch, found.batch_rows, found.lag_messages) == (12, 30, 0)


@pytest.mark.parametrize(
    ("what", "answer", "state", "reason"),
    [
        (seen(frozen=True), YES, "running", "kill -CONT 4711"),
        (seen(record=record(beat=NOW - 75)), YES, "running", "has not reported for 75 s"),
        (seen(record=record(phase="waiting")), (False, "no broker"), "waiting", "no broker"),
        (seen(record=record(phase="failed", reason="broken")), (False, "starting"), "failed", "broken"),
        (seen(record=record(phase="starting")), (False, "starting"), "starting", "starting"),
        (seen(record=record(pid=1)), (False, "is not running"), "starting", "is not running"),
        (seen(entry=entry(states.STOPPING, reason="has been asked to end")), YES, "stopping", "asked to end"),
    ],
)
def test_a_job_that_runs_but_is_not_ready_has_a_reason(
    what: Seen, answer: tuple[bool, str], state: str, reason: str
) -> None:
    found = judged(what, answer)
    assert (found.state, found.running, found.ready, found.ok) == (state, True, False, False)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("what", "state", "reason"),
    [
        (Seen(entry(states.STOPPED, reason="stopped on purpose"), record()), "stopped", "stopped on purpose"),
        (Seen(entry(states.STOPPED, reason=states.NOT_ASKED_FOR), None), "stopped", "`ventes start` starts it"),
        (Seen(entry(states.FAILED, reason="crashed 8 times"), record()), "failed", "crashed 8 times"),
        (
            Seen(entry(states.RESTARTING, reason="killed by SIGKILL", again_at=NOW + 7.6), record()),
            "restarting",
            "killed by SIGKILL; again in 8 s",
        ),
        (
            Seen(entry(states.WAITING, reason="waits for Kafka broker"), None),
            "waiting",
            "waits for Kafka broker",
        ),
        (Seen(entry(states.RUNNING), record()), "down", "has just ended"),
        (Seen(None, record()), "down", "ended without an error message (killed, or out of memory); `ventes start`"),
        (Seen(None, record(phase="stopped", reason="SIGTERM")), "stopped", "ventes start"),
        (Seen(None, record(phase="failed", reason="topic re-created → ventes recover")), "failed", "ventes recover"),
        (Seen(None, None), "stopped", "ventes start"),
    ],
)
def test_an_ended_job_is_never_shown_as_running_whatever_its_heartbeat(what: Seen, state: str, reason: str) -> None:
    found = judged(what, NO)
    assert (found.state, found.running, found.ready, found.pid) == (state, False, False, None)
    assert reason in found.reason


@pytest.mark.parametrize(("service", "since"), [("bronze", NOW - 60), ("page", None)])
def test_since_when_a_service_is_down_is_not_guessed(service: str, since: float | None) -> None:
    """The page's record is as old as its last viewer."""
    assert judged(Seen(None, record(service=service, beat=NOW - 60)), NO).since == since


def test_a_job_in_a_long_batch_is_not_silent() -> None:
    found = judged(seen(record=record(beat=NOW - 134, working_since=NOW - 134)))
    assert (found.state, found.ready, found.reason) == ("running", True, "has been working on one batch for 2 min")


@pytest.mark.parametrize(("seconds", "reason"), [(4.0, ""), (16.0, "has been working on one batch for 16 s")])
def test_a_job_that_works_on_one_batch_for_long_says_so(seconds: float, reason: str) -> None:
    found = judged(seen(record=record(beat=NOW - seconds, working_since=NOW - seconds)))
    assert (found.state, found.ready, found.ok, found.reason) == ("running", True, True, reason)


def test_a_job_started_by_hand_is_reported_and_ok() -> None:
    found = judged(seen(entry=entry(states.BY_HAND), by_hand=True))
    assert (found.ok, found.by_hand, found.reason) == (True, True, "")


def test_a_job_without_its_supervisor_runs_with_a_warning() -> None:
    assert "`ventes start` takes over" in judged(seen(entry=None)).reason


def test_what_the_settings_do_not_ask_for_is_off_and_nothing_is_wrong() -> None:
    found = judged(Seen(entry(states.STOPPED), None), NO, asked_for=False)
    assert (found.state, found.ok) == ("off", True)


def test_an_external_broker_is_ready_when_it_answers() -> None:
    found = judge(services.BROKER, Seen(None, None), YES, Lag(None), NOW, asked_for=False)
    assert (found.state, found.ok) == ("elsewhere", True)
    found = judge(services.BROKER, Seen(None, None), (False, "nothing answers"), Lag(None), NOW, asked_for=False)
    assert (found.ok, found.reason) == (False, "nothing answers")


def test_a_problem_of_the_source_is_shown_although_the_job_lives() -> None:
    found = judged(seen(), behind=Lag(None, None, "topic was deleted and created anew → ventes recover"))
    assert "ventes recover" in found.reason


def test_a_service_that_ends_while_it_is_asked_is_not_taken_for_something_else() -> None:
    gone = Seen(entry(states.STOPPED, reason="stopped on purpose"), record())
    answers = [YES, NO]
    what, answer = ask_and_look(lambda: answers.pop(0), lambda: gone)
    assert judged(what, answer).reason == "stopped on purpose"
    what, answer = ask_and_look(lambda: YES, lambda: gone)
    assert judged(what, answer).reason == "something else answers at its address"
    what, answer = ask_and_look(lambda: YES, seen)
    assert judged(what, answer).ready


def whole(*found: ServiceStatus) -> Status:
    rows = {"bronze": 1234567, "ventes_clean": 1234000, "ventes_rejets": None}
    return Status(NOW, "spark", "/x/ventes.toml", "http://localhost:8501", 99, NOW - 7200, found, rows)


def test_the_output_of_status() -> None:
    behind = judged(seen(), behind=Lag(1500, 12.4))
    dead = replace(judged(Seen(entry(states.FAILED, reason="boom\x1b[31m"), None), NO), name="silver", last_error="bad")
    assert status_text.render(whole(behind, dead)).splitlines() == [
        "ventes · engine spark · supervisor pid 99 since 06:00:00 · asked 08:00:00 UTC",
        "",
        "bronze    running, ready · pid 4711 since 07:00:00 (60 min)",
        "          last batch 12: 30 rows in 0.70 s, 3 s ago · 360 rows since its start · "
        "1,500 messages to do, the oldest 12 s old",
        "silver    FAILED since 07:59:55 · boom\\x1b[31m",
        "          caught up",
        "          last error: bad",
        "",
        "rows     bronze 1,234,567 · clean 1,234,000 · rejected none yet",
        "page     http://localhost:8501",
        "settings /x/ventes.toml",
    ]


def test_where_the_metrics_are_or_why_they_are_not() -> None:
    served = replace(whole(judged(seen())), metrics="http://127.0.0.1:9464/metrics")
    assert "metrics  http://127.0.0.1:9464/metrics" in status_text.render(served).splitlines()
    taken = replace(served, metrics_problem="port 9464 is taken\x1b[31m")
    assert "metrics  NOT SERVED: port 9464 is taken\\x1b[31m" in status_text.render(taken).splitlines()
    assert taken.ok  # the pipeline goes on


def test_a_reason_is_said_once() -> None:
    """The last error of a job that waits is why it waits."""
    why = "Kafka at 127.0.0.1:9092 does not answer: connection refused; " + "x" * 150
    waits = judged(seen(record=record(phase="waiting", reason=why, last_error=why, last_error_at=NOW - 5)), NO)
    assert status_text.render(whole(waits)).count("connection refused") == 1


def test_the_producers_messages_are_acknowledged_or_kept() -> None:
    made = record(service="producer", batch=2380, rows=1, total=2350, lag=30)
    found = judge(services.PRODUCER, seen(record=made), YES, Lag(None), NOW)
    assert "last message 3 s ago · 2,350 acknowledged messages since its start · 30 kept until Kafka acknowledges" in (
        status_text.render(whole(found))
    )
    assert "batch" not in status_text.render(whole(found))
    assert "1 row since its start" in status_text.render(whole(judged(seen(record=record(total=1)))))


def test_what_fires_is_on_the_line_of_the_alerts() -> None:
    fires = (FiringAlert("no-sale", "critical", "No sale."), FiringAlert("lag", "warning", "Behind.", NOW + 60))
    found = judge(services.ALERTS, seen(), YES, Lag(None), NOW)
    lines = [
        status_text.render(whole(replace(found, firing=some))).splitlines()[2] for some in (fires, fires[:1] * 2, ())
    ]
    head = "alerts    running, ready · pid 4711 since 07:00:00 (60 min)"
    assert lines == [
        f"{head} · 1 alert fires: no-sale (critical) · 1 alert fires, silenced: lag (warning)",
        f"{head} · 2 alerts fire: no-sale (critical), no-sale (critical)",
        head,
    ]
    assert replace(found, firing=fires).ok, "the pipeline itself is well"


def test_as_json_it_holds_the_same() -> None:
    data = json.loads(json.dumps(whole(judged(seen())).as_dict()))
    assert data["ok"] is True
    assert data["services"][0]["name"] == "bronze"
    assert data["services"][0]["lag_messages"] == 0
    assert whole(judged(seen()), judged(Seen(None, None), NO)).ok is False


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (1.4, "1 s"), (119, "119 s"), (180, "3 min"), (7500, "2 h 5 min"), (350_000, "4 d 1 h")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
