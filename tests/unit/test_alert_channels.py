"""Messages on their way: real receivers for mail and HTTP on this machine, up, down, and up again."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import receivers
from harness.pipeline import free_ports, wait_for
from harness.receivers import Webhook
from ventes.alerts import channels, message, outbox
from ventes.alerts.channels import Answer
from ventes.alerts.outbox import MOST_WAITING, Outbox, Store
from ventes.cli import main
from ventes.runtime import alert_records
from ventes.runtime.alert_records import Waiting

CANARY = "canary-5ecr3t"


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with receivers.webhook() as receiver:
        yield receiver


def waiting(number: int, channel: str = "hook", kind: str = "firing") -> Waiting:
    return Waiting(number, channel, kind, "critical", f"title {number}", "text")


# -- one message ------------------------------------------------------------------------------


def test_a_mail_arrives() -> None:
    with receivers.smtp() as (port, mailbox):
        url = f"mailto://127.0.0.1:{port}/?from=ventes@example.com&to=ops@example.com&mode=insecure"
        assert channels.refused(url) == ""
        assert channels.send(url, "Critical: lag", "Silver is <b>75</b> s behind.", "critical", "firing") == Answer(
            True
        )
    (mail,) = mailbox.mails
    assert (mail["subject"], mail["to"]) == ("Critical: lag", "ops@example.com")
    assert "Silver is <b>75</b> s behind." in mailbox.text(0)


def test_a_webhook_gets_title_text_and_severity(hook: Webhook) -> None:
    url = f"json://127.0.0.1:{hook.port}/hook"
    for severity, kind in (("critical", "firing"), ("warning", "firing"), ("critical", "over")):
        assert channels.send(url, f"{severity} {kind}", "a\nb", severity, kind).taken
    assert [post["type"] for post in hook.posts[-3:]] == ["failure", "warning", "success"]
    assert hook.posts[-1]["message"] == "a\nb"
    assert channels.send(url, message.title(message.TEST, "few", "critical"), "a", "critical", message.TEST).taken
    assert (hook.posts[-1]["type"], hook.posts[-1]["title"]) == ("info", "This is a test: few")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"json://user:{CANARY}@127.0.0.1:{{closed}}/{CANARY}/hook", "Connection refused"),
        (f"mailto://user:{CANARY}@127.0.0.1:{{closed}}/?to=a@b.org&from=a@b.org&mode=insecure", "Connection refused"),
        (f"json://user:{CANARY}@127.0.0.1:{{open}}/{CANARY}/hook", "error=503"),
        (f"slack://{CANARY}", "Slack"),
        (f"nonsense://{CANARY}", ""),
    ],
)
def test_an_answer_says_what_went_wrong_and_repeats_no_address(hook: Webhook, url: str, said: str) -> None:
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)  # as a service's log has it; pytest's own sees what goes no further
    logging.getLogger().addHandler(handler)
    hook.status = 503
    try:
        answer = channels.send(url.format(closed=free_ports(1)[0], open=hook.port), "t", "b", "info", "firing")
    finally:
        hook.status = 200
        logging.getLogger().removeHandler(handler)
    assert not answer.taken
    assert answer.text
    assert said in answer.text
    assert CANARY not in answer.text + logged.getvalue()


def test_a_url_that_apprise_does_not_know_is_refused_without_repeating_it() -> None:
    for url in (f"nonsense://{CANARY}", f"slack://{CANARY}"):
        assert channels.refused(url)
        assert CANARY[:6] not in channels.refused(url)
        assert "://" not in channels.refused(url)
    assert channels.refused("") == "it has no URL"


@pytest.mark.parametrize("scheme", ["http", "https", "webhook", "nonsense"])
def test_a_url_that_apprise_cannot_read_is_answered_with_its_scheme_and_the_next_step(scheme: str) -> None:
    url = f"{scheme}://user:{CANARY}@hooks.{CANARY}.org/{CANARY}?t={CANARY}"
    for said in (channels.refused(url), channels.send(url, "t", "b", "info", "firing").text):
        assert said.startswith(f"Apprise cannot read this URL (scheme {scheme}). Next step: ")
        own = "for your own webhook write json://host:port/path, for https jsons://"
        assert (own if scheme != "nonsense" else "docs/alerts.md") in said
        assert CANARY[:6] not in said


def test_a_test_message_to_such_a_url_ends_with_the_next_step(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml.write_text(f'[alert_channels]\nhook = "https://hooks.example.com/{CANARY}"\n')
    assert main(["alerts", "test", "hook"]) == 1
    said = capsys.readouterr().out
    assert said == (
        "hook: did not take the message: Apprise cannot read this URL (scheme https). Next step: for your own webhook "
        "write json://host:port/path, for https jsons://…\n"
    )


# -- several messages, a channel that is down -------------------------------------------------


def test_a_channel_that_was_down_gets_its_messages_in_order_and_delays_no_other(tmp_path: Path) -> None:
    down = Webhook()
    store = Store(tmp_path)
    with receivers.webhook() as up:
        urls = {"down": f"json://127.0.0.1:{down.port}/{CANARY}", "up": f"json://127.0.0.1:{up.port}"}

        def send(message: Waiting) -> Answer:
            return channels.send(urls[message.channel], message.title, message.body, message.severity, message.kind)

        box = Outbox(store, send, pause_of=lambda failures: 0.1)
        box.start(urls)
        with store.lock:
            for number in range(1, 5):
                box.put(waiting(number, "down" if number % 2 else "up"))
            store.save()
        wait_for(lambda: up.titles() == ["title 2", "title 4"], "the other channel has its messages")
        wait_for(lambda: store.records.channels["down"].failures >= 2, "the channel is tried again")
        assert outbox.problems(store.records)[0].startswith("channel down does not take messages: ")
        kept = ["title 1", "title 3"]
        wait_for(lambda: [one.title for one in alert_records.read(tmp_path).waiting] == kept, "they are on disk")
        down.up()
        try:
            wait_for(lambda: down.titles() == ["title 1", "title 3"], "what waited arrives")
            wait_for(lambda: not alert_records.read(tmp_path).waiting, "nothing waits any more")
        finally:
            down.down()
            box.end()
    assert outbox.problems(store.records) == []
    assert CANARY not in (tmp_path / "alerts" / "state.json").read_text()
    assert (tmp_path / "alerts" / "state.json").stat().st_mode & 0o077 == 0


def test_what_waits_is_bounded_and_reminders_go_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    never = threading.Event()
    box = Outbox(store, lambda _: Answer(never.wait(0), "down"), pause_of=lambda _: 3600.0)
    box.start({"hook": ""})
    with store.lock:
        for number in range(MOST_WAITING):
            box.put(waiting(number, kind="reminder" if number == 50 else "firing"))
        box.put(waiting(1000))
        box.put(waiting(1001))
        kept = [message.number for message in store.records.waiting]
    box.end()
    assert len(kept) == MOST_WAITING
    assert kept == [*range(1, 50), *range(51, MOST_WAITING), 1000, 1001]
    assert store.records.channels["hook"].dropped == 2


def test_pauses_grow_to_ten_minutes() -> None:
    assert [outbox.pause(failures) for failures in (1, 2, 3, 8, 1000)] == [5, 10, 20, 600, 600]


def test_a_disk_that_is_full_stops_no_alert(tmp_path: Path) -> None:
    (tmp_path / "alerts").touch()  # no folder can be made there
    store = Store(tmp_path)
    store.save()
    assert "cannot be written" in store.problem
    (tmp_path / "alerts").unlink()
    store.save()
    assert store.problem == ""


def test_records_that_cannot_be_read_count_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.records.number = 7
    store.save()
    path = tmp_path / "alerts" / "state.json"
    assert alert_records.read(tmp_path).number == 7
    for text in ("", "{", "[]", json.dumps({"number": 1}), path.read_text().replace('"alerts"', '"alarms"')):
        path.write_text(text)
        assert alert_records.read(tmp_path).number == 0
