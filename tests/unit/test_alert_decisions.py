"""When an alert fires, reminds and is over: from values and times alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ventes import config
from ventes.alerts.decide import decide
from ventes.alerts.reading import Reading, Value, holds, unfit, written
from ventes.runtime.alert_records import AlertState
from ventes.runtime.alert_sentence import over, sentence
from ventes.settings.alerts import Alert

SHOWN = config.load().stream.shown
LAG: dict[str, Any] = {"name": "lag", "measure": "lag_seconds", "above": 60, "for": "2 min", "remind": "1 h"}


class Scene:
    """One alert that is checked every 10 s."""

    def __init__(self, **changes: Any) -> None:
        self.alert = Alert.model_validate({**LAG, **changes})
        self.state = AlertState("lag")
        self.now = 1_000_000.0

    def check(self, value: Value | None, seconds: float = 10.0, silenced: bool = False) -> list[tuple[str, bool]]:
        """(what happened, whether it is sent) at a check so many seconds later."""
        self.now += seconds
        self.state, happened = decide(self.alert, self.state, Reading(value), self.now, silenced)
        return [(one.kind, one.sent) for one in happened]

    def checks(self, value: Value | None, count: int, silenced: bool = False) -> list[tuple[str, bool]]:
        return [one for _ in range(count) for one in self.check(value, silenced=silenced)]


FIRED, OVER, REMINDER = [("firing", True)], [("over", True)], [("reminder", True)]


def test_it_fires_once_when_the_condition_has_held_for_the_whole_time_and_says_when_it_is_over() -> None:
    scene = Scene()
    assert scene.checks(61, 12) == []
    assert scene.state.state == "pending"
    assert scene.check(61) == FIRED
    assert scene.checks(99, 100) == []
    assert scene.state.since == 1_000_010.0
    assert scene.check(60) == OVER
    assert scene.checks(0, 5) == []


def test_a_check_that_does_not_hold_begins_the_time_again() -> None:
    scene = Scene()
    scene.checks(61, 12)
    scene.check(60)
    assert scene.checks(61, 12) == []
    assert scene.check(61) == FIRED


def test_time_in_which_nobody_checked_does_not_count() -> None:
    scene = Scene()
    scene.check(61)
    assert scene.check(61, seconds=600) == []
    assert scene.state.state == "pending"


def test_it_reminds_at_its_interval() -> None:
    scene = Scene(**{"for": "0 s"})
    assert scene.check(61) == FIRED
    assert scene.checks(61, 359) == []
    assert scene.check(61) == REMINDER
    assert scene.checks(61, 359) == []
    assert scene.check(61) == REMINDER
    assert Scene(**{"for": "0 s", "remind": "0 s"}).checks(61, 9_000) == FIRED


@pytest.mark.parametrize("first", [None, 0])
def test_what_is_unknown_is_no_alarm(first: Value | None) -> None:
    scene = Scene(**{"for": "0 s"})
    assert scene.checks(first, 50) == []
    assert scene.checks(None, 50) == []
    assert scene.state.state == "unknown"


def test_an_unknown_value_begins_the_time_again_and_ends_no_alarm() -> None:
    scene = Scene()
    scene.checks(61, 12)
    scene.check(None)
    assert scene.checks(61, 12) == []
    assert scene.check(61) == FIRED
    assert scene.checks(None, 10) == []
    assert scene.state.state == "firing"
    assert scene.check(5) == OVER


def test_nothing_is_sent_while_it_is_silenced_and_its_message_comes_afterwards() -> None:
    scene = Scene(**{"for": "0 s"})
    assert scene.checks(61, 10, silenced=True) == [("firing", False)]
    assert scene.check(61) == FIRED
    assert scene.checks(61, 400, silenced=True) == []
    assert scene.check(0, silenced=True) == [("over", False)]
    assert scene.checks(61, 1, silenced=True) == [("firing", False)]
    assert scene.check(0) == [("over", False)], "nobody was told of it"


def test_a_limit_is_not_reached_by_the_limit_itself() -> None:
    def true(value: Value | None, **limits: Any) -> bool | None:
        return holds(Alert(name="x", measure="lag_seconds", **limits), Reading(value))

    assert [true(value, above=Decimal("5")) for value in (5, 5.1, Decimal("5.0001"), None)] == [False, True, True, None]
    assert [true(value, below=Decimal("5")) for value in (5, 4.9, Decimal("4.9999"), None)] == [False, True, True, None]
    chosen = Alert(name="x", sql="SELECT 1")
    assert [holds(chosen, Reading(value)) for value in (True, False, None)] == [True, False, None]


def test_an_answer_must_fit_the_limit() -> None:
    plain, limited = Alert(name="x", sql="SELECT 1"), Alert(name="x", sql="SELECT 1", above=Decimal(1))
    assert unfit(plain, True) == unfit(limited, 1) == unfit(limited, Decimal("1.5")) == ""
    assert "give above or below" in unfit(plain, 1)
    assert "leave above and below out" in unfit(limited, True)
    assert "no number" in unfit(limited, "1")


def test_values_and_sentences_are_text_of_one_line() -> None:
    values = (None, True, 1234, 5.0, 1.23456, Decimal("12.50"), float("inf"))
    assert [written(value) for value in values] == ["", "true", "1,234", "5", "1.2346", "12.5", "inf"]
    alert = Alert(name="x", sql="SELECT 1", above=Decimal(5), sentence="{name}: {value} ({limit}), {detail} {{}}")
    assert sentence(alert, "7", "a\nb\x1b[31m\u202e", SHOWN) == "x: 7 (above 5), a b\\x1b[31m\\x202e {}"


def _said(value: str, detail: str = "", **keys: Any) -> str:
    return sentence(Alert.model_validate({"name": "a", **keys}), value, detail, SHOWN)


def test_an_alert_without_a_sentence_says_one_that_people_read() -> None:
    quiet: dict[str, Any] = {"measure": "seconds_since_last_event", "above": 120}
    assert _said("129", **quiet) == "No sale for 129 s; the limit is 120 s."
    assert _said("75", "Silver job", **LAG) == (
        "Silver job: the oldest message still to process is 75 s old; the limit is 60 s."
    )
    failed: dict[str, Any] = {"measure": "failed_services", "above": 0}
    assert _said("1", "page: has just ended", **failed) == (
        "Services that have failed: 1 (page: has just ended); the limit is 0."
    )
    assert _said("0", measure="failed_services", below=1) == "Services that have failed: 0; the least allowed is 1."
    assert _said("3", measure="events", within="10 min", below=5) == (
        "New sales within 10 min: 3; the least allowed is 5."
    )
    assert _said("12.5", "1 of 8 messages", measure="rejected_percent", within="1 h", above=5) == (
        "Rejected within 60 min: 12.5 % of the messages (1 of 8 messages); the limit is 5 %."
    )
    assert _said("4,812", "paths.lake", measure="disk_free_mb", below=5000) == (
        "Free space on the disk of paths.lake: 4,812 MB; the least allowed is 5,000 MB."
    )
    assert _said("", "no event yet", **quiet) == "a: nobody knows whether it still holds. no event yet"
    assert _said("7", sql="SELECT 7", above=5) == "a is 7; the limit is 5."


def test_what_is_over_is_said_with_its_unit_and_the_limit() -> None:
    quiet = Alert.model_validate({"name": "a", "measure": "seconds_since_last_event", "above": 120})
    assert over(quiet, "1") == "The condition no longer holds: the value is 1 s; the limit is 120 s."
    assert over(quiet, "") == "The condition no longer holds: the value is unknown."
    assert over(Alert(name="a", sql="SELECT true"), "false") == "The condition no longer holds: the value is false."
