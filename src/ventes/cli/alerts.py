"""`ventes alerts`: list them, silence one, send a test message."""

from __future__ import annotations

import getpass
import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventes import config
from ventes.config import Settings
from ventes.errors import UsageError, VentesError
from ventes.runtime import alert_records, heartbeat
from ventes.runtime.alert_records import FIRING, UNKNOWN, AlertState, ChannelState, Records
from ventes.runtime.alert_sentence import sentence
from ventes.runtime.durations import in_words
from ventes.runtime.logs import printable

if TYPE_CHECKING:
    from ventes.settings.alerts import Alert

alerts = typer.Typer(help="Alerts: list them, silence one, send a test message.", no_args_is_help=True)

NONE = "no [[alerts]] in {file}"
NONE_HINT = "docs/alerts.md shows how to declare one"


@alerts.command("list")
def list_alerts(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Each alert: state, value, since when, next reminder, silenced until; and each channel."""
    settings = config.load()
    if not settings.alerts and not as_json:
        print(f"{NONE.format(file=settings.config_file)} → {NONE_HINT}")
        return
    now = time.time()
    records = alert_records.read(settings.state)
    found = [_as_dict(alert, records, settings, now) for alert in settings.alerts]
    names = sorted({name for alert in settings.alerts for name in alert.channels})
    runs = _service_runs(settings)
    if as_json:
        channels = [_channel(name, records) for name in names]
        print(json.dumps({"service_runs": runs, "alerts": found, "channels": channels}, indent=2))
        return
    for one in found:
        _print_alert(one, now)
    for name in names:
        _print_channel(name, records, now)
    if not runs:
        since = f", the states are of {_clock(records.written_at)}" if records.written_at else ""
        print(f"\nthe alerts service does not run{since}: `ventes start` starts it")


@alerts.command()
def silence(
    name: Annotated[str, typer.Argument(help="The alert, as `ventes alerts list` names it.")],
    duration: Annotated[str | None, typer.Option("--for", metavar="DURATION", help='For so long: "2 h".')] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Until then: 2026-03-01T12:00, by default in rules.time_zone."),
    ] = None,
) -> None:
    """Send nothing of an alert until a time. It is still checked, and its state shown.

    When the time is over and it still fires, its message is sent.
    """
    settings = config.load()
    _require_alert(settings, name)
    now = time.time()
    end = _end(settings, duration, until, now)
    alert_records.silence(settings.state, name, end, _by())
    print(f"{name} is silenced until {_clock(end)} ({in_words(end - now)})")


@alerts.command()
def unsilence(name: Annotated[str, typer.Argument(help="The alert, as `ventes alerts list` names it.")]) -> None:
    """End the silence of an alert."""
    settings = config.load()
    _require_alert(settings, name)
    ended = alert_records.unsilence(settings.state, name, _by())
    print(f"{name} is no longer silenced" if ended else f"{name} was not silenced")


@alerts.command()
def test(name: Annotated[str, typer.Argument(help="An alert, or a channel of [alert_channels].")]) -> None:
    """Send a test message and say what the channel answered; for an alert, evaluate its condition first.

    Exit code 1 if a channel does not take the message, or the condition cannot be evaluated.
    """
    from ventes.runtime.redaction import keep_secret

    settings = config.load()
    keep_secret(settings.secrets())
    alert = next((alert for alert in settings.alerts if alert.name == name), None)
    if alert is None and name not in settings.alert_channels:
        there = ", ".join([alert.name for alert in settings.alerts] + sorted(settings.alert_channels)) or "neither"
        raise UsageError(f"no alert and no channel is called {name!r}", f"there are {there}")
    fine = True
    if alert is None:
        fine = _send_test(settings, name, name, f"A test message of the channel {name}.", "info")
    else:
        said, fine = _evaluated(settings, alert)
        for channel in alert.channels:
            fine &= _send_test(settings, channel, alert.name, said, alert.severity)
        if not alert.channels:
            print("it has no channels: nothing is sent")
    if not fine:
        raise typer.Exit(VentesError.exit_code)


def _evaluated(settings: Settings, alert: Alert) -> tuple[str, bool]:
    """The alert's sentence with the value of now, which is printed; and whether its condition can be evaluated."""
    from ventes.alerts.reading import Reading, holds, written
    from ventes.alerts.run import Reader

    try:
        reading = Reader(settings).read(alert)
    except (VentesError, OSError) as error:
        reading = Reading(None, str(error))
    true = holds(alert, reading)
    value = written(reading.value)
    if reading.problem:
        print(f"condition: {printable(reading.problem)}")
    elif true is None:
        print(f"condition: unknown: {printable(reading.detail)}")
    else:
        limit = f", {alert.limit}" if alert.limit else ""
        print(f"condition: {'holds' if true else 'does not hold'}: {value}{limit}")
    said = sentence(alert, value, reading.detail, settings.stream.shown)
    print(f"sentence:  {said}")
    return said, not reading.problem


def _send_test(settings: Settings, channel: str, name: str, said: str, severity: str) -> bool:
    from ventes.alerts import channels, message
    from ventes.supervise.services import page_url

    url = settings.channel_urls()[channel]
    if not url:
        variable = f"VENTES_ALERT_CHANNELS__{channel.upper()}"
        print(f"{channel}: it has no URL here; set {variable}, or alert_channels.{channel} in {settings.config_file}")
        return False
    text = message.body(message.TEST, said, None, time.time(), page_url(settings))
    answer = channels.send(url, message.title(message.TEST, name, severity), text, severity, message.TEST)
    print(f"{channel}: {'took the message' if answer.taken else f'did not take the message: {answer.text}'}")
    return answer.taken


# -- what is known ----------------------------------------------------------------------------


def _as_dict(alert: Alert, records: Records, settings: Settings, now: float) -> dict[str, Any]:
    state = records.alerts.get(alert.name) or AlertState(alert.name)
    silenced = alert_records.silences(settings.state, [alert.name], now).get(alert.name)
    return {
        "name": alert.name,
        "state": state.state,
        "severity": alert.severity,
        "value": state.value,
        "limit": alert.limit,
        "detail": state.detail,
        "sentence": _said(alert, state, settings) if state.state == FIRING else "",
        "problem": state.problem,
        "since": state.since or None,
        "checked_at": state.checked_at or None,
        "next_reminder": state.remind_at,
        "silenced_until": silenced.until if silenced else None,
        "silenced_by": silenced.by if silenced else "",
        "channels": alert.channels,
    }


def _said(alert: Alert, state: AlertState, settings: Settings) -> str:
    return sentence(alert, state.value, state.detail, settings.stream.shown)


def _channel(name: str, records: Records) -> dict[str, Any]:
    return {"name": name, "waiting": _waiting(name, records), **vars(records.channels.get(name) or ChannelState())}


def _waiting(channel: str, records: Records) -> int:
    return sum(message.channel == channel for message in records.waiting)


def _print_alert(one: dict[str, Any], now: float) -> None:
    since = f" since {_clock(one['since'])} ({in_words(now - one['since'])})" if one["since"] else ""
    state = one["state"].upper() if one["state"] == FIRING else one["state"]
    print(f"{one['name']:20} {state}{since} · {one['severity']}")
    if one["sentence"]:
        print(f"{'':20} {one['sentence']}")
    value = one["value"] or "no value"
    parts = [f"{value}, fires {one['limit']}" if one["limit"] else value]
    if one["detail"]:
        parts.append(printable(one["detail"]))
    if one["state"] != UNKNOWN or one["checked_at"]:
        parts.append(f"checked {in_words(now - one['checked_at'])} ago" if one["checked_at"] else "not checked yet")
    print(f"{'':20} {' · '.join(parts)}")
    if one["problem"]:
        print(f"{'':20} cannot be checked: {printable(one['problem'])}")
    if one["next_reminder"]:
        print(f"{'':20} next reminder {_clock(one['next_reminder'])}")
    if one["silenced_until"]:
        print(f"{'':20} silenced until {_clock(one['silenced_until'])} by {printable(one['silenced_by'])}")


def _print_channel(name: str, records: Records, now: float) -> None:
    state = records.channels.get(name) or ChannelState()
    parts = []
    if state.failures:
        when = f" {in_words(now - state.error_at)} ago" if state.error_at else ""
        again = in_words(max(0.0, state.again_at - now))
        parts.append(f"did not take a message{when}: {printable(state.error)}; next try in {again}")
    elif state.sent_at:
        parts.append(f"took the last message {in_words(now - state.sent_at)} ago")
    else:
        parts.append("nothing was sent yet")
    if waiting := _waiting(name, records):
        parts.append(f"{waiting} waiting")
    if state.dropped:
        parts.append(f"{state.dropped} given up: too many waited")
    print(f"channel {name:12} {' · '.join(parts)}")


def _service_runs(settings: Settings) -> bool:
    record = heartbeat.read(settings.state, "alerts")
    return record is not None and heartbeat.alive(record)


def _require_alert(settings: Settings, name: str) -> None:
    names = [alert.name for alert in settings.alerts]
    if name not in names:
        raise UsageError(f"no alert is called {name!r}", f"there are {', '.join(names) or 'none'}")


def _by() -> str:
    """Who uses the command line, for the history."""
    return f"{getpass.getuser()}, command line"


def _end(settings: Settings, duration: str | None, until: str | None, now: float) -> float:
    """The end of a silence, in Unix seconds."""
    from ventes.settings.value_types import seconds_of

    if (duration is None) == (until is None):
        raise UsageError("say how long", 'either --for "2 h" or --until 2026-03-01T12:00')
    if duration is not None:
        try:
            end = now + seconds_of(duration)
        except ValueError as error:
            raise UsageError(f"--for {duration!r} {error}", 'for example --for "2 h"') from None
    else:
        try:
            moment = datetime.fromisoformat(str(until).replace("Z", "+00:00"))
        except ValueError:
            raise UsageError(f"--until {until!r} is no time", "for example --until 2026-03-01T12:00") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=settings.business_zone)
        end = moment.timestamp()
    if end <= now:
        raise UsageError(f"{_clock(end)} is over", "give a later time; `ventes alerts unsilence` ends a silence")
    return end


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
