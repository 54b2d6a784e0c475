"""Alerts: what fires, the state of each, a silence until a time, and the history."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import streamlit as st

from ventes.dashboard import language, states, text
from ventes.dashboard.language import tr
from ventes.dashboard.login import gate
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View
from ventes.deltalog.log import TableMissing
from ventes.errors import VentesError
from ventes.lake import alert_history
from ventes.runtime import alert_records, heartbeat
from ventes.runtime.alert_records import FIRING, AlertState, Records, Silence
from ventes.runtime.alert_sentence import sentence
from ventes.settings.value_types import seconds_of

LABEL = "Alerts"
SHOWN = 100
"""Events of the history."""
OLD_SECONDS = 180.0
"""States that were written so long ago are not those of now: a SELECT is checked once a minute by default."""
DURATIONS = ("30 min", "2 h", "8 h", "1 d", "7 d")
_ICONS = {"critical": ":material/error:", "warning": ":material/warning:", "info": ":material/info:"}


def render(view: View) -> None:
    settings = view.settings
    now = time.time()
    records = alert_records.read(settings.state)
    names = [alert.name for alert in settings.alerts]
    silences = alert_records.silences(settings.state, names, now)
    view.say_unfiltered(tr("alerts are about all events, and about now"))
    _say_old(view, records, now)
    _firing(view, records, silences, now)
    _channels(records)
    st.subheader(tr("All alerts"))
    view.table(_without_empty([_row(view, alert.name, records, silences) for alert in settings.alerts]), "alerts")
    _silence(view, names, silences)
    st.subheader(tr("History"))
    _history(view)


def _say_old(view: View, records: Records, now: float) -> None:
    record = heartbeat.read(view.settings.state, "alerts")
    if record is None or not heartbeat.alive(record):
        states.warn(tr("The alerts service does not run: nothing is checked, and nothing is sent."))
    elif now - records.written_at > OLD_SECONDS:
        states.warn(tr("The alerts were checked {age} ago.", age=text.duration(now - records.written_at)))


def _firing(view: View, records: Records, silences: dict[str, Silence], now: float) -> None:
    fire = [alert for alert in view.settings.alerts if _state(alert.name, records).state == FIRING]
    if not fire:
        states.good(tr("No alert fires."))
    for alert in fire:
        state = _state(alert.name, records)
        said = f"{alert.name}: {sentence(alert, state.value, state.detail, view.settings.stream.shown)}"
        said += "" if said.endswith((".", "!", "?")) else "."
        quiet = ""
        if alert.name in silences:
            quiet = f" {tr('Silenced until {time}.', time=_time(view, silences[alert.name].until))}"
        show = st.error if alert.severity == "critical" else st.warning if alert.severity == "warning" else st.info
        since = tr("Since {time} ({age}).", time=_time(view, state.since), age=text.duration(now - state.since))
        show(f"{text.markdown(said, 600)} {since}{quiet}", icon=_ICONS[alert.severity])


def _channels(records: Records) -> None:
    for name, state in records.channels.items():
        if state.failures:
            waiting = sum(message.channel == name for message in records.waiting)
            said = tr(
                "Channel {channel} does not take messages: {error}. {n} waiting.",
                channel=name,
                error=state.error,
                n=waiting,
            )
            states.warn(text.markdown(said, 600))


def _row(view: View, name: str, records: Records, silences: dict[str, Silence]) -> Row:
    alert = next(alert for alert in view.settings.alerts if alert.name == name)
    state = _state(name, records)
    silence = silences.get(name)
    detail = {tr("detail"): text.cell(state.problem or state.detail)} if gate.person().analyst else {}
    return {
        tr("alert"): name,
        tr("state"): state.state,
        tr("since"): _cell(view, state.since or None),
        tr("value"): text.cell(state.value),
        tr("fires"): alert.limit or tr("when true"),
        tr("severity"): alert.severity,
        tr("silenced until"): _cell(view, silence.until if silence else None),
        tr("next reminder"): _cell(view, state.remind_at),
        **detail,  # it may name paths of the server; last, because it may be long
    }


def _without_empty(rows: list[Row]) -> list[Row]:
    """Without the columns of times in which no row has one: there is not much room on a small screen."""
    empty = [name for name in (tr("silenced until"), tr("next reminder")) if all(row[name] == "–" for row in rows)]
    return [{name: cell for name, cell in row.items() if name not in empty} for row in rows]


def _silence(view: View, names: list[str], silences: dict[str, Silence]) -> None:
    """Choose an alert and a duration. While an alert is silenced the button ends that. Not for viewers."""
    if not gate.person().analyst:
        return
    columns = st.columns([3, 2, 2], vertical_alignment="bottom")
    name = columns[0].selectbox(tr("Alert"), names, key="_silence-name")
    duration = columns[1].selectbox(tr("Silence for"), DURATIONS, index=1, key="_silence-for")
    silenced = name in silences
    columns[2].button(
        tr("End its silence") if silenced else tr("Silence it"),
        key="_silence",
        icon=":material/notifications_active:" if silenced else ":material/notifications_paused:",
        on_click=_change_silence,
        args=(view.settings.state, name, None if silenced else duration),
    )
    if problem := st.session_state.pop(_PROBLEM, ""):
        states.wrong(problem)


_PROBLEM = f"{__name__}.problem"


def _change_silence(state: Path, name: str, duration: str | None) -> None:
    """Silence an alert for so long; None ends its silence."""
    if not gate.person().analyst:
        return
    gate.note("silence", alert=name, seconds=str(seconds_of(duration)) if duration is not None else "ended")
    try:
        if duration is None:
            alert_records.unsilence(state, name, _by())
        else:
            alert_records.silence(state, name, time.time() + seconds_of(duration), _by())
    except OSError as error:
        st.session_state[_PROBLEM] = tr("It could not be written: {problem}", problem=error.strerror)


def _by() -> str:
    """Who uses the page, for the history: stored, so not in the viewer's language."""
    name = gate.person().name
    return f"{name}, page" if name else "the page"


def _history(view: View) -> None:
    try:
        rows = alert_history.newest(view.settings, SHOWN)
    except TableMissing:
        st.caption(tr("Nothing has happened yet."))
        return
    except (VentesError, OSError, pa.ArrowException) as error:
        if gate.person().analyst:  # the problem names paths of the server
            states.waiting(tr("The history cannot be read now: {problem}", problem=text.markdown(str(error), 300)))
        else:
            states.waiting(tr("The history cannot be read now."))
        return
    shown = [
        {
            tr("time"): view.local(row["at"]),
            tr("alert"): text.cell(row["alert"]),
            tr("what"): row["event"],
            tr("severity"): row["severity"],
            tr("since"): _cell(view, row["since"].timestamp() if row["since"] else None),
            tr("sent to"): ", ".join(row["channels"] or []) or "–",
            tr("by"): text.cell(row["by"] or ""),
            tr("sentence"): text.cell(row["sentence"]),  # last, because it may be long
        }
        for row in rows
    ]
    view.table(shown, "alert-history", height=380 if len(shown) > 10 else "auto")
    zone = view.settings.rules.time_zone
    if gate.person().analyst:
        path = alert_history.path_of(view.settings)
        st.caption(tr("The newest {n} of `{path}`, times in {zone}.", n=len(shown), path=path, zone=zone))
    else:
        st.caption(tr("The newest {n} events, times in {zone}.", n=len(shown), zone=zone))


def _state(name: str, records: Records) -> AlertState:
    return records.alerts.get(name) or AlertState(name)


def _time(view: View, moment: float) -> str:
    """A time in the business zone, which is named."""
    return f"{_cell(view, moment)} {text.markdown(view.settings.rules.time_zone)}"


def _cell(view: View, moment: float | None) -> str:
    """A time in the business zone, for tables whose zone is said below."""
    if moment is None:
        return "–"
    local = view.local(datetime.fromtimestamp(moment, timezone.utc))
    return "–" if local is None else language.moment(local)
