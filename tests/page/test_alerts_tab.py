"""The tab Alerts: what fires, silencing, the history; none of it without a declared alert."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from harness import sample_lake
from harness.page_site import SCRIPT, toml
from tests.page.conftest import Run
from ventes.alerts.history import History
from ventes.dashboard.login import gate
from ventes.dashboard.login.people import Person, Role
from ventes.dashboard.tabs.alerts import LABEL
from ventes.runtime import alert_records
from ventes.runtime.alert_records import AlertState, ChannelState, Event, Records

HOSTILE = "<script>alert(1)</script> **x**"
ALERTS = """
[[alerts]]
name = "lag"
measure = "lag_seconds"
above = 60
severity = "critical"
sentence = "{value} s behind: {detail}"
[[alerts]]
name = "wrong"
sql = "SELECT true"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, and two alerts of which one fires."""
    place = tmp_path_factory.mktemp("alerts")
    toml(place, ALERTS)
    settings = sample_lake.settings_at(place)
    sample_lake.make(settings, 20, lots=1)
    now = time.time()
    firing = AlertState("lag", "firing", now - 125, now, "75", HOSTILE, told=True, remind_at=now + 3600)
    wrong = AlertState("wrong", "unknown", now, now, problem="there is no table nowhere")
    down = {"ops": ChannelState(failures=2, error="[Errno 111] Connection refused")}
    alert_records.write(settings.state, Records(alerts={"lag": firing, "wrong": wrong}, channels=down))
    event = Event(1, now, "lag", "firing", "critical", "75", f"75 s behind {HOSTILE}", now, None, "", ["ops"])
    History(settings).append([event])
    return place


def tables(page: AppTest) -> list[list[dict[str, object]]]:
    return [one.value.to_dict("records") for one in page.dataframe]


def test_what_fires_can_be_silenced_and_the_history_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = sample_lake.settings_at(folder)
    monkeypatch.setenv("VENTES_CONFIG", str(folder / "ventes.toml"))
    page = AppTest.from_file(str(SCRIPT), default_timeout=60)
    page.query_params["tab"] = LABEL
    page.run()
    assert page.error[0].value.startswith("lag\\: 75 s behind\\: \\<script\\>"), "its sentence, shown as text"
    assert "Since" in page.error[0].value
    warnings = " ".join(one.value for one in page.warning)
    assert "alerts service does not run" in warnings
    assert "Channel ops does not take messages" in warnings
    states, history = tables(page)
    assert [(row["alert"], row["state"]) for row in states] == [("lag", "firing"), ("wrong", "unknown")]
    assert states[1]["detail"] == "there is no table nowhere"
    assert [(row["what"], row["sent to"]) for row in history] == [("firing", "ops")]
    page.button(key="_silence").click().run()
    silenced = alert_records.silences(settings.state, ["lag", "wrong"], time.time())
    assert [(name, one.by) for name, one in silenced.items()] == [("lag", "the page")]
    assert 7100 < silenced["lag"].until - time.time() <= 7200
    assert "Silenced until" in page.error[0].value
    page.button(key="_silence").click().run()
    assert alert_records.silences(settings.state, ["lag"], time.time()) == {}
    assert alert_records.ended_by(settings.state, "lag") == "the page"
    assert not page.exception


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, person: Person) -> AppTest:
    """The tab, for somebody who has logged in."""
    monkeypatch.setenv("VENTES_CONFIG", str(folder / "ventes.toml"))
    monkeypatch.setattr(gate, "person", lambda: person)
    page = AppTest.from_file(str(SCRIPT), default_timeout=60)
    page.query_params["tab"] = LABEL
    return page.run()


def test_times_come_before_long_texts_and_only_where_there_are_any(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at the end of a table is cut on a small screen."""
    somebody = Person("anna@example.com", "analyst", math.inf)
    now, history = (one.value for one in opened(folder, monkeypatch, somebody).dataframe)
    assert now.columns.tolist() == ["alert", "state", "since", "value", "fires", "severity", "next reminder", "detail"]
    assert history.columns.tolist()[-1] == "sentence"
    state = sample_lake.settings_at(folder).state
    alert_records.silence(state, "wrong", time.time() + 60, "a test")
    assert "silenced until" in opened(folder, monkeypatch, somebody).dataframe[0].value.columns
    alert_records.unsilence(state, "wrong", "a test")


def test_with_a_login_the_person_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = sample_lake.settings_at(folder).state
    page = opened(folder, monkeypatch, Person("anna@example.com", "analyst", math.inf))
    page.button(key="_silence").click().run()
    assert alert_records.silences(state, ["lag"], time.time())["lag"].by == "anna@example.com, page"
    page.button(key="_silence").click().run()
    assert alert_records.ended_by(state, "lag") == "anna@example.com, page"
    assert not page.exception


@pytest.mark.parametrize(("role", "shown"), [("viewer", False), ("analyst", True)])
def test_only_analysts_see_where_the_history_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, role: Role, shown: bool
) -> None:
    page = opened(folder, monkeypatch, Person("anna@example.com", role, math.inf))
    texts = [one.value for one in [*page.caption, *page.markdown, *page.warning]]
    assert any("The newest 1 " in one for one in texts)
    assert any(str(folder) in one for one in texts) == shown
    assert ("detail" in page.dataframe[0].value.columns) == shown  # of an alert whose table is missing: its path


def test_without_an_alert_there_is_no_tab(run: Run, folder: Path) -> None:
    path = folder / "ventes.toml"
    text = path.read_text()
    try:
        toml(folder)
        labels = [tab.label for tab in run().tabs]
    finally:
        path.write_text(text)
    assert "SQL" in labels
    assert LABEL not in labels
