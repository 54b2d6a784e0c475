"""Which exits are crashes, the delay of a restart, and when there are no more restarts."""

from __future__ import annotations

import pytest

from ventes.config import Supervisor
from ventes.supervise import states
from ventes.supervise.restart import decide

LIMITS = Supervisor(backoff_seconds=1, backoff_max_seconds=30, give_up_after=8)


@pytest.mark.parametrize("code", [0, -15, 143])
def test_what_ends_by_sigterm_stays_down(code: int) -> None:
    decided = decide(code, ran=5, crashes=3, last_output_line="", limits=LIMITS)
    assert decided.state == states.STOPPED
    assert "on purpose" in decided.reason
    assert decided.crashes == 0


@pytest.mark.parametrize(
    ("code", "how"), [(-9, "killed by SIGKILL"), (1, "ended with code 1"), (-2, "killed by SIGINT"), (137, "code 137")]
)
def test_any_other_end_is_a_crash(code: int, how: str) -> None:
    decided = decide(code, ran=5, crashes=0, last_output_line="boom", limits=LIMITS)
    assert decided.state == states.RESTARTING
    assert how in decided.reason
    assert decided.reason.endswith("boom")


def test_each_crash_waits_twice_as_long_up_to_the_cap() -> None:
    delays, crashes = [], 0
    for _ in range(7):
        decided = decide(1, ran=5, crashes=crashes, last_output_line="", limits=LIMITS)
        delays.append(decided.delay)
        crashes = decided.crashes
    assert delays == [1, 2, 4, 8, 16, 30, 30]


def test_the_eighth_crash_in_a_row_is_the_last() -> None:
    decided = decide(1, ran=5, crashes=7, last_output_line="no such topic", limits=LIMITS)
    assert decided.state == states.FAILED
    assert "8 times" in decided.reason
    assert "no such topic" in decided.reason


def test_a_minute_of_running_resets_the_crash_count() -> None:
    assert decide(1, ran=60, crashes=7, last_output_line="", limits=LIMITS).crashes == 1
    assert decide(1, ran=59.9, crashes=7, last_output_line="", limits=LIMITS).crashes == 8


def test_an_error_that_a_user_must_fix_is_not_retried() -> None:
    decided = decide(3, ran=5, crashes=0, last_output_line="topic was re-created → ventes recover", limits=LIMITS)
    assert (decided.state, decided.reason) == (states.FAILED, "topic was re-created → ventes recover")


@pytest.mark.parametrize("code", [1, -9, 137])
def test_what_fails_or_is_killed_while_stopping_was_stopped_on_purpose(code: int) -> None:
    decided = decide(code, ran=5, crashes=0, last_output_line="no broker", limits=LIMITS, was_stopping=True)
    assert decided.state == states.STOPPED
    assert "no broker" in decided.reason
    assert decide(3, ran=5, crashes=0, last_output_line="", limits=LIMITS, was_stopping=True).state == states.FAILED
