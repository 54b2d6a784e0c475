"""The alerts service: from the tables to the receivers; restarts, silences, its history, what is wrong."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from harness import receivers, sample_lake
from harness.pipeline import free_ports, wait_for
from harness.receivers import Webhook
from ventes import config
from ventes.alerts import channels, select
from ventes.alerts.channels import Answer
from ventes.alerts.history import History
from ventes.alerts.measures import START_SECONDS, Measures
from ventes.alerts.outbox import Outbox, Store
from ventes.alerts.reading import Reading
from ventes.alerts.service import AlertService
from ventes.alerts.tables import FollowedTables
from ventes.check.status import status
from ventes.cli import main
from ventes.config import PROJECT, Settings
from ventes.contract import tables as contract
from ventes.deltalog.snapshot import Snapshot
from ventes.lake import alert_history
from ventes.runtime import alert_records, heartbeat
from ventes.runtime.pipeline_status import FiringAlert, ServiceStatus, Status
from ventes.settings.alerts import Alert

CANARY = "canary-5ecr3t"


def alert(name: str = "few", **keys: Any) -> Alert:
    return Alert.model_validate({"name": name, **keys})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """400 messages of the last ten days, the newest of now."""
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 400, sample_lake.Shape(days=10, bad_percent=10), lots=2)
    return settings


# -- what is measured -------------------------------------------------------------------------


def no_status() -> Status:
    raise AssertionError("nothing of the services is asked")


def answered(settings: Settings, **keys: Any) -> Reading:
    """The answer of a SELECT; asked again where the machine was too busy for it."""
    for _ in range(5):
        found = select.read(alert(**keys), FollowedTables(settings))
        if not re.search("in time|took longer", found.detail + found.problem):
            return found
    return found


def measured(settings: Settings, runs: float = 10_000.0, later: float = 0.0, **keys: Any) -> Reading:
    """A measure of a pipeline that has run for `runs` seconds, read so many seconds `later` than now."""
    now = time.time() + later
    return Measures(settings, FollowedTables(settings), no_status, now - runs, lambda: now).read(alert(**keys))


def test_what_arrived_is_counted_within_its_time(lake: Settings) -> None:
    everything: dict[str, Any] = {"within": "20 d"}
    events = measured(lake, runs=1e9, measure="events", above=0, **everything).value
    rejected = measured(lake, measure="rejected", above=0, **everything).value
    assert isinstance(events, int)
    assert isinstance(rejected, int)
    assert (events + rejected, rejected > 10) == (400, True)
    share = measured(lake, measure="rejected_percent", above=5, **everything)
    assert share == Reading(100 * rejected / 400, f"{rejected} of 400 messages")
    half = measured(lake, runs=1e9, measure="events", above=0, within="5 d").value
    assert isinstance(half, int)
    assert 150 < half < 250
    quiet = measured(lake, later=60, measure="seconds_since_last_event", above=300).value
    assert isinstance(quiet, int)
    assert 60 <= quiet < 60 + 10 * 86_400 / 400 * 3


@pytest.mark.parametrize(
    ("runs", "keys", "said"),
    [
        (1e9, {"measure": "rejected_percent", "within": "10 min", "above": 5}, "no message arrived within 600 s"),
        (60, {"measure": "events", "within": "10 min", "below": 1}, "has not run for 10 min yet"),
        (60, {"measure": "seconds_since_last_event", "above": 300}, "no event since the pipeline was started 60 s ago"),
        (59, {"measure": "lag_seconds", "above": 60}, "the pipeline was started 59 s ago"),
    ],
)
def test_nothing_is_known_right_after_a_start(lake: Settings, runs: float, keys: dict[str, Any], said: str) -> None:
    found = measured(lake, runs=runs, later=86_400, **keys)
    assert found.value is None
    assert said.replace("600 s", "10 min") in found.detail


@pytest.mark.parametrize(
    "keys",
    [
        {"measure": "seconds_since_last_event", "above": 300},
        {"measure": "rejected_percent", "within": "10 min", "above": 5},
        {"measure": "events", "within": "10 min", "below": 1},
        {"sql": "SELECT count(*) < 10 FROM ventes_clean"},
    ],
)
def test_nothing_is_known_without_tables(tmp_path: Path, keys: dict[str, Any]) -> None:
    empty = sample_lake.settings_at(tmp_path)
    found = answered(empty, **keys) if "sql" in keys else measured(empty, **keys)
    assert (found.value, found.problem) == (None, "")
    assert "no table at" in found.detail or "is not there yet" in found.detail


def test_the_disk(lake: Settings) -> None:
    found = measured(lake, measure="disk_free_mb", of="lake", below=1000)
    assert isinstance(found.value, int)
    assert found.value > 0
    assert found.detail == "paths.lake"


def service_status(name: str, state: str = "running", reason: str = "", lag: float | None = None) -> ServiceStatus:
    return ServiceStatus(
        name=name, title=f"{name} title", state=state, running=state == "running", ready=not reason, reason=reason,
        pid=None, since=None, by_hand=False, engine="", reported=None, batch=None, batch_at=None, batch_rows=None,
        batch_seconds=None, total=None, last_error="", last_error_at=None,
        lag_messages=None if lag is None else int(lag), lag_seconds=lag, log="",
    )  # fmt: skip


def test_services_that_failed_and_the_worst_lag(lake: Settings) -> None:
    found = (
        service_status("broker"),
        service_status("producer", "stopped", "stopped on purpose"),
        service_status("bronze", "restarting", "crashed", lag=5.0),
        service_status("silver", "waiting", "waits for the broker", lag=75.5),
        service_status("page", "failed", "no port"),
    )
    asked = Status(0.0, "embedded", "", "", None, None, found, {})
    began = time.time() - START_SECONDS - 1
    measures = Measures(lake, FollowedTables(lake), lambda: asked, began)

    def value(**keys: Any) -> Reading:
        return measures.read(alert(above=0, **keys))

    assert value(measure="failed_services") == Reading(2, "bronze title: crashed; page title: no port")
    assert value(measure="failed_services", of="silver") == Reading(0)
    assert value(measure="services_not_ready", of="silver") == Reading(1, "silver title: waits for the broker")
    assert value(measure="services_not_ready", of="producer") == Reading(0), "it was stopped on purpose"
    assert value(measure="lag_seconds") == Reading(75.5, "silver title")
    assert value(measure="lag_messages", of="bronze") == Reading(5, "bronze title")


@pytest.mark.parametrize(
    ("sql", "value", "said"),
    [
        ("SELECT count(*) > 100 FROM bronze_data", True, ""),
        ("SELECT max(montant) FILTER (WHERE montant < 0) > 1 FROM ventes_clean", None, "NULL"),
        ("SELECT lot > 0 FROM ventes_clean WHERE 1 = 0", None, "no row"),
        ("SELECT pays = 'France' FROM ventes_clean", None, "more than one row"),
        ("SELECT true, false", None, "2 columns"),
        ("SELECT count(*) FROM ventes_clean", None, "give above or below"),
        ("DELETE FROM ventes_clean", None, "only a SELECT is allowed"),
        ("SELECT count(*) > 1 FROM nowhere", None, "there is no table nowhere"),
    ],
)
def test_the_answer_of_a_select(lake: Settings, sql: str, value: bool | None, said: str) -> None:
    found = answered(lake, sql=sql)
    assert found.value is value
    assert said in found.problem + found.detail
    assert bool(found.problem) == (said not in ("", "NULL", "no row"))


def test_the_revenue_example_of_the_document_runs_and_is_unknown_until_there_are_four_weeks(lake: Settings) -> None:
    text = (PROJECT / "docs" / "alerts.md").read_text(encoding="utf-8")
    sql = text.partition('name = "revenue"\nsql = """')[2].partition('"""')[0]
    assert answered(lake, sql=sql, above=40) == Reading(None, "the answer is NULL")


# -- the service ------------------------------------------------------------------------------


class Scene:
    """A service over values that the test gives, with a real receiver, and a clock that the test sets."""

    def __init__(self, folder: Path, hook: Webhook, *alerts: Alert) -> None:
        self.settings = sample_lake.settings_at(folder, maintenance={"compact_every": 20})
        self.urls = {"hook": f"json://user:{CANARY}@127.0.0.1:{hook.port}/{CANARY}"}
        self.alerts = alerts or (alert(measure="rejected", within="1 d", above=5, channels=["hook"], remind="1 h"),)
        self.value: int | None = 0
        self.now = time.time()
        self.restart()

    def restart(self) -> None:
        """A new service over what the one before left on disk."""
        self.store = Store(self.settings.state)
        self.box = Outbox(self.store, self._send, pause_of=lambda _: 0.05)
        self.service = AlertService(
            self.alerts, {"hook": ""}, self.store, self.box, History(self.settings), self._read, "http://page",
            self.settings.stream.shown, lambda: self.now,
        )  # fmt: skip
        self.service.start()

    def _send(self, message: alert_records.Waiting) -> Answer:
        url = self.urls[message.channel]
        return channels.send(url, message.title, message.body, message.severity, message.kind)

    def _read(self, _: Alert) -> Reading:
        return Reading(self.value)

    def check(self, value: int | None, seconds: float = 10.0) -> None:
        self.value, self.now = value, self.now + seconds
        self.service.step()

    def events(self) -> list[str]:
        return [row["event"] for row in reversed(alert_history.newest(self.settings, 100))]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []
    with receivers.webhook() as hook:

        def make(*alerts: Alert) -> Scene:
            made.append(Scene(tmp_path, hook, *alerts))
            made[-1].hook = hook  # type: ignore[attr-defined]
            return made[-1]

        yield make
        for one in made:
            one.box.end()


def test_a_restart_while_it_fires_sends_no_second_message(scene: Callable[..., Scene]) -> None:
    one = scene()
    hook: Webhook = one.hook  # type: ignore[attr-defined]
    one.check(9)
    wait_for(lambda: hook.titles() == ["Warning: few"], "the first message")
    one.box.end()  # the process ends, in whatever way: nothing else is written then
    one.restart()
    one.check(9)
    one.check(None)
    one.box.end()
    one.restart()
    one.check(9, seconds=3600)
    wait_for(lambda: hook.titles() == ["Warning: few", "Still warning: few"], "the reminder")
    one.check(0)
    wait_for(lambda: hook.titles()[2:] == ["Over: few"], "the end")
    assert [post["type"] for post in hook.posts] == ["warning", "warning", "success"]
    assert "Over since" in hook.posts[-1]["message"]
    assert one.events() == ["firing", "reminder", "over"]


def test_a_silence_is_kept_and_ends_at_its_time(scene: Callable[..., Scene]) -> None:
    one = scene()
    hook: Webhook = one.hook  # type: ignore[attr-defined]
    alert_records.silence(one.settings.state, "few", one.now + 60, "anna, command line")
    one.check(9)
    one.check(9)
    assert one.store.records.waiting == []
    one.check(9, seconds=60)
    wait_for(lambda: hook.titles() == ["Warning: few"], "its message, afterwards")
    alert_records.silence(one.settings.state, "few", one.now + 3600, "the page")
    one.check(0)
    assert alert_records.unsilence(one.settings.state, "few", "bob@example.com, page")
    assert not alert_records.unsilence(one.settings.state, "few", "carl, command line"), "it has ended"
    one.check(0)
    assert one.events() == ["silenced", "firing", "unsilenced", "firing", "silenced", "over", "unsilenced"]
    rows = alert_history.newest(one.settings, 100)
    by = [row["by"] for row in reversed(rows) if row["event"].endswith("silenced")]
    assert by == ["anna, command line", None, "the page", "bob@example.com, page"], "nobody ended the first: its time"
    assert [row["channels"] for row in rows if row["event"] == "firing"] == [["hook"], []]
    assert hook.titles() == ["Warning: few"]


def test_events_of_a_crash_between_table_and_state_are_written_once(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.check(9)
    state = one.settings.state / "alerts" / "state.json"
    data = json.loads(state.read_text())
    event = {"number": 1, "at": one.now, "alert": "few", "event": "firing", "severity": "warning", "value": "9",
             "sentence": "", "since": one.now, "until": None, "by": "", "channels": []}  # fmt: skip
    state.write_text(json.dumps({**data, "events": [event]}))  # as before the table had it
    one.box.end()
    one.restart()
    one.check(0)
    assert one.events() == ["firing", "over"]


def test_the_history_stays_in_few_files_and_is_no_table_of_the_stream(scene: Callable[..., Scene]) -> None:
    one = scene(alert(measure="rejected", within="1 d", above=5))
    for number in range(30):
        one.check(9 if number % 2 == 0 else 0)
    snapshot = Snapshot.open(alert_history.path_of(one.settings), alert_history.TABLE)
    assert snapshot.rows == 30
    assert len(snapshot.files) < 20
    assert alert_history.TABLE.name not in {table.name for table in contract.of(one.settings).all}


def test_what_is_wrong_is_named_and_ends_no_other_check(scene: Callable[..., Scene]) -> None:
    bad, good = alert("bad", sql="SELECT 1"), alert("good", measure="rejected", within="1 d", above=5)
    one = scene(bad, good)

    def read(which: Alert) -> Reading:
        if which.name == "bad":
            raise RuntimeError("a library failed")
        return Reading(9)

    one.service._read = read
    one.service.step()
    assert one.service.problem() == "alert bad: RuntimeError: a library failed"
    assert one.store.records.alerts["good"].state == "firing"
    assert one.service.firing() == 1


def test_an_alert_that_is_no_longer_declared_is_forgotten(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.check(9)
    one.box.end()
    one.alerts = (alert("other", measure="rejected", within="1 d", above=5),)
    one.restart()
    one.check(0)
    assert list(one.store.records.alerts) == ["other"]
    assert one.events() == ["firing", "removed"]


# -- the process ------------------------------------------------------------------------------


class Process:
    """`python -m ventes.alerts.run` over a lake, with a mail server and a webhook."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.config = folder / "ventes.toml"
        ports = free_ports(2)
        self.config.write_text(
            f'engine = "embedded"\n[paths]\nlake = "delta"\nlogs = "logs"\nstate = "state"\n'
            f"[kafka]\nmanaged = false\nport = {ports[0]}\n[page]\nport = {ports[1]}\n{text}",
            encoding="utf-8",
        )
        self.config.chmod(0o600)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        self.environment = {**kept, "VENTES_CONFIG": str(self.config), "PYTHONPATH": str(PROJECT / "src")}
        self.said: list[str] = []

    def start(self) -> subprocess.Popen[bytes]:
        out = (self.folder / "alerts.out").open("ab")
        with out:
            return subprocess.Popen(
                [sys.executable, "-m", "ventes.alerts.run"], env=self.environment, stdout=out, stderr=out
            )

    def command(self, *arguments: str) -> tuple[int, str]:
        """The exit code and the output of `ventes alerts …`, run in this process."""
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.setenv("VENTES_CONFIG", str(self.config))
            code = main(["alerts", *arguments])
        self.said.append(said.getvalue())
        return code, said.getvalue()

    def settings(self) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VENTES_CONFIG", str(self.config))
            return config.load()

    def leaks(self) -> list[str]:
        files = [file for file in self.folder.rglob("*") if file.is_file() and file != self.config]
        return [str(file) for file in files if CANARY.encode() in file.read_bytes()] + [
            text for text in self.said if CANARY in text
        ]


def test_the_process_from_the_tables_to_mail_and_webhook_and_through_a_kill(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 200, lots=1)
    hook = Webhook()
    with receivers.smtp() as (port, mailbox):
        process = Process(
            tmp_path,
            f'[alert_channels]\nmail = "mailto://127.0.0.1:{port}/?from=a@example.com&to=b@example.com&mode=insecure"\n'
            f'hook = "json://user:{CANARY}@127.0.0.1:{hook.port}/{CANARY}/hook"\n'
            '[[alerts]]\nname = "few"\nsql = "SELECT count(*) FROM ventes_clean"\nbelow = 300\nevery = "1 s"\n'
            'severity = "critical"\nsentence = "Only {value} sales."\nchannels = ["mail", "hook"]\n'
            '[[alerts]]\nname = "wrong"\nsql = "SELECT count(*) FROM nowhere"\nbelow = 1\n',
        )

        def record() -> alert_records.Records:
            return alert_records.read(settings.state)

        first = process.start()
        second = None
        try:
            wait_for(lambda: mailbox.subjects() == ["Critical: few"], "the mail")
            wait_for(lambda: record().channels["hook"].failures, "the webhook is down")
            first.send_signal(signal.SIGKILL)
            first.wait()
            hook.up()
            second = process.start()
            wait_for(lambda: hook.titles() == ["Critical: few"], "what waited is sent after the restart")
            checked = record().alerts["few"].checked_at
            wait_for(lambda: record().alerts["few"].checked_at > checked + 1, "two more checks")
            assert mailbox.subjects() == ["Critical: few"], "no second first message"
            assert "Only 200 sales." in mailbox.text(0)
            code, said = process.command("list")
            assert code == 0
            assert "few                  FIRING since" in said
            assert "\n                     Only 200 sales.\n" in said
            assert "cannot be checked: there is no table nowhere" in said
            wait_for(lambda: "alert wrong: there is no table nowhere" in in_status(process).reason, "status names it")
            assert in_status(process).ready
            assert in_status(process).firing == (FiringAlert("few", "critical", "Only 200 sales."),)
            last = sample_lake.next_offset(settings)
            sample_lake.add(settings, sample_lake.messages(last, 150, datetime.now(timezone.utc)))
            wait_for(lambda: mailbox.subjects()[1:] == ["Over: few"], "it is over")
            wait_for(lambda: hook.titles()[1:] == ["Over: few"], "it is over, for the webhook too")
            second.terminate()
            assert second.wait(30) == 0
            assert in_status(process).firing == ()
        finally:
            for one in (first, second):
                if one is not None and one.poll() is None:
                    one.kill()
                    one.wait()
        ended = heartbeat.read(settings.state, "alerts")
        assert ended is not None
        assert ended.phase == "stopped"
        assert [row["event"] for row in alert_history.newest(settings, 9)] == ["over", "firing"]
        code, said = process.command("test", "hook")
        assert (code, said) == (0, "hook: took the message\n")
        hook.down()
        code, said = process.command("test", "few")
        assert code == 1
        assert "condition: does not hold: 3" in said
        assert "mail: took the message" in said
        assert "hook: did not take the message: A Connection error" in said
        assert mailbox.subjects()[-1] == "This is a test: few"
        assert process.leaks() == []


def in_status(process: Process) -> ServiceStatus:
    return status(process.settings()).service("alerts")


def test_the_commands(tmp_path: Path) -> None:
    process = Process(
        tmp_path, '[alert_channels]\nops = ""\n[[alerts]]\nname = "a"\nsql = "SELECT true"\nchannels = ["ops"]\n'
    )
    assert process.command("silence", "a", "--for", "2 h")[1].startswith("a is silenced until ")
    code, said = process.command("list", "--json")
    found = json.loads(said)
    assert (code, found["service_runs"]) == (0, False)
    assert found["alerts"][0]["silenced_until"] > time.time() + 7000
    assert process.command("unsilence", "a") == (0, "a is no longer silenced\n")
    assert alert_records.ended_by(process.settings().state, "a") == found["alerts"][0]["silenced_by"]
    assert process.command("unsilence", "a") == (0, "a was not silenced\n")
    for arguments, message in (
        (("silence", "b", "--for", "2 h"), "no alert is called 'b' → there are a"),
        (("silence", "a"), "either --for"),
        (("silence", "a", "--for", "2 weeks"), 'must be a duration such as "90 s"'),
        (("silence", "a", "--until", "2020-01-01T00:00"), "is over"),
        (("test", "b"), "no alert and no channel is called 'b' → there are a, ops"),
    ):
        code, said = process.command(*arguments)
        assert code == 2
        assert message in said
    code, said = process.command("test", "ops")
    assert (code, "set VENTES_ALERT_CHANNELS__OPS" in said) == (1, True)
