"""The line at the top: time of the newest event, lag of each job, and problems with the next step.

It is green only with an answer of the last seconds (status_poller.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from typing import Literal

import streamlit as st

from ventes.dashboard import language, text
from ventes.dashboard.as_of import Version
from ventes.dashboard.language import tr, tr_n
from ventes.dashboard.sidebar import Choices
from ventes.dashboard.status_poller import StatusPoller
from ventes.dashboard.troubles import with_code
from ventes.dashboard.view import View
from ventes.runtime.durations import in_words
from ventes.runtime.pipeline_status import FiringAlert, ServiceStatus, Status

BEHIND_SECONDS = 20.0
"""Lag in seconds from which a job is amber."""
SHOWN_LAG_SECONDS = 5.0
"""A smaller lag is not shown: between two batches there is always one, and the line would flicker."""

Level = Literal["ok", "quiet", "warn", "bad", "unknown"]
"""quiet: every part is ready, and nothing has arrived for page.quiet_minutes."""


@dataclass(frozen=True)
class PipelineHealth:
    """`problems`: (level, sentence with the next step), for the operator. `summary`: one sentence for a reader of the
    figures, to be continued after "since …" or "…: "; "" if there is nothing to say. `down`: whether a part does not
    run as it should; without, a job is behind."""

    level: Level
    problems: tuple[tuple[Level, str], ...] = ()
    summary: str = ""
    down: bool = False


def health_of(answer: Status | None, quiet_for: float = 0.0, quiet_from: float = 0.0) -> PipelineHealth:
    """The pipeline's status as level and problems. Pure.

    `quiet_for`: seconds without an event; from `quiet_from` on that is worth saying (0: never).
    """
    if answer is None:
        return PipelineHealth("unknown")
    together: dict[tuple[Level, str], list[str]] = {}
    down = False
    for service in _with_a_cause_of_their_own(answer):
        if (found := _problem(service)) is not None:
            together.setdefault(found, []).append(service.title)
            down |= not service.ok
    problems = [(level, f"{_listed(titles)}{what}") for (level, what), titles in together.items()]
    if problems:
        worst: Level = "bad" if any(level == "bad" for level, _ in problems) else "warn"
        return PipelineHealth(worst, tuple(sorted(problems)), _summary(answer), down)
    if quiet_from and quiet_for >= quiet_from:
        return PipelineHealth("quiet", (), tr("every part is ready, but nothing arrives"))
    return PipelineHealth("ok")


def _with_a_cause_of_their_own(answer: Status) -> list[ServiceStatus]:
    """The services without those that only wait for a broker that is not there."""
    broker = next((service for service in answer.services if service.name == "broker"), None)
    if broker is None or broker.ok:
        return list(answer.services)
    return [service for service in answer.services if service.state != "waiting"]


def _summary(answer: Status) -> str:
    """The first part in the data flow that is not ready, and what becomes of the data meanwhile; else the lag."""
    by_name = {service.name: service for service in answer.services}
    meanwhile = {
        "broker": tr("nothing that has arrived is lost"),
        "bronze": tr("new messages wait in Kafka, none is lost"),
        "silver": tr("new messages wait in Bronze, none is lost"),
        "producer": "",
        "alerts": tr("the figures are right, but nobody is told when something is wrong"),
    }  # in the order of the data flow
    for name, safe in meanwhile.items():
        service = by_name.get(name)
        if service is not None and not service.ok:
            what = tr("the {service} is {state}", service=language.word(service.title), state=_state(service.state))
            return tr("{what}; {safe}", what=what, safe=safe) if safe else what
    return tr("a job is behind; it is catching up, none is lost")


def _state(state: str) -> str:
    """The state of a service, as a reader is told."""
    return {
        "stopped": tr("stopped"),
        "stopping": tr("stopping"),
        "starting": tr("starting"),
        "restarting": tr("being restarted"),
        "waiting": tr("waiting"),
        "failed": tr("stopped by an error"),
        "down": tr("down"),
    }.get(state, tr("not ready"))


def _listed(titles: list[str]) -> str:
    *first, last = titles
    listed = f"{', '.join(first)} and {last}" if first else last
    return listed[:1].upper() + listed[1:]


def _problem(service: ServiceStatus) -> tuple[Level, str] | None:
    """Level, and what is wrong, to be read after the service's name; equal for services with the same trouble."""
    if service.name == "page":
        return None  # the page runs, because it shows this line
    if not service.ok:
        reason = service.reason or "no reason is known; `ventes doctor` looks for one"
        level: Level = "warn" if service.state in ("starting", "waiting", "restarting", "stopping") else "bad"
        if service.name in ("producer", "alerts"):
            level = "warn"  # the figures stay correct without it; there are only no new events, or no messages
        return level, f" – {service.state}: {reason}"
    if service.lag_seconds is not None and service.lag_seconds > BEHIND_SECONDS and service.lag_messages:
        return "warn", (
            f" – {service.lag_messages:,} messages ({in_words(service.lag_seconds)}) "
            "behind; it is catching up, or too slow: `ventes status` shows its batches"
        )
    if service.filling:
        tables = ", ".join(
            f"{name} ({done:,} of {events:,} events)" for name, (done, events) in service.filling.items()
        )
        return "warn", f" – fills {tables}; figures that need it are computed from the events meanwhile"
    return None


def firing_of(answer: Status | None) -> tuple[FiringAlert, ...]:
    """The alerts that fire and are not silenced, the most severe first."""
    if answer is None:
        return ()
    return tuple(alert for service in answer.services for alert in service.firing if alert.silenced_until is None)


def _firing(alerts: Sequence[FiringAlert]) -> str:
    """'1 alert fires: no-sale (critical)', in the colour of the most severe one."""
    severities = {"critical": tr("critical"), "warning": tr("warning"), "info": tr("info")}
    named = ", ".join(f"{alert.name} ({severities[alert.severity]})" for alert in alerts)
    said = tr_n("{n} alert fires: {alerts}", "{n} alerts fire: {alerts}", len(alerts), alerts=named)
    return _coloured(alerts[0].severity, text.markdown(said, 600))


def _coloured(grave: str, said: str) -> str:
    """Markdown in the colour of a level, or of an alert's severity."""
    colour, icon = {"bad": ("red", "error"), "critical": ("red", "error"), "info": ("blue", "info")}.get(
        grave, ("orange", "warning")
    )
    return f":{colour}[:material/{icon}: {said}]"


def show(view: View, choices: Choices, status: StatusPoller) -> None:
    if choices.as_of is not None:
        _show_earlier(view, choices)
        return
    answer = status.latest()
    now = datetime.now(timezone.utc)
    newest = _newest(view)
    since = newest or _beginning(view, answer)
    quiet_for = (now - since).total_seconds() if since is not None else 0.0
    health = health_of(answer, quiet_for, view.settings.page.quiet_minutes * 60)
    said = [_said_of(view, newest, now)]
    technical = [_versions(view)]
    if answer is not None:
        said.append(tr("checked {age} ago", age=text.duration(now.timestamp() - answer.asked_at)))
        technical = [
            _lag("Bronze", answer.service("bronze")),
            _lag("Silver", answer.service("silver")),
            tr("{engine} engine", engine=text.markdown(answer.engine)),
            *technical,
        ]
    firing = firing_of(answer)
    _line(view, _badge(health, firing), said, technical, choices.words)
    with st.container(key="incident"):  # the style sheet keeps room for one line: the page does not move
        if health.summary or firing:
            _incident(view, health, newest, firing)
        else:
            st.html("<div>&nbsp;</div>")  # a container without an element takes no room


def _line(view: View, badge: str, said: list[str], technical: list[str], narrowed: Sequence[str]) -> None:
    """The badge, behind which the technical part folds away, and a sentence for readers of the figures."""
    with st.container(key="state", horizontal=True, vertical_alignment="center", gap="small"):
        with st.popover(badge, key="technical", type="tertiary"):
            st.markdown("  \n".join(part for part in technical if part) or tr("Not known yet."))
        st.markdown(" &nbsp; ".join(part for part in said if part), width="content")
    st.html(f'<div class="ventes-printed">{escape(_for_paper(view, narrowed))}</div>')


def _for_paper(view: View, narrowed: Sequence[str]) -> str:
    """What a printed page must say beside what is on the screen: its time, and the filters in force."""
    now = language.moment(datetime.now(view.settings.business_zone))
    said = tr("State of {time} ({zone})", time=now, zone=view.settings.rules.time_zone)
    return " · ".join((said, *narrowed))


def _badge(health: PipelineHealth, firing: Sequence[FiringAlert]) -> str:
    if health.level == "ok" and any(alert.severity != "info" for alert in firing):
        return f":orange-badge[:material/notifications_active: {tr('Live, an alert fires')}]"
    colour, icon, words = {
        "ok": ("green", "check_circle", tr("Live")),
        "quiet": ("orange", "bedtime", tr("Quiet")),
        "warn": ("orange", "warning", tr("Partly down") if health.down else tr("Behind")),
        "bad": ("red", "error", tr("Not live")),
        "unknown": ("gray", "help", tr("Asking the pipeline …")),
    }[health.level]
    return f":{colour}-badge[:material/{icon}: {words}]"


def _incident(view: View, health: PipelineHealth, newest: datetime | None, firing: Sequence[FiringAlert]) -> None:
    """One line for a reader of the figures; the causes and next steps unfold, and what the alerts say."""
    parts = [_summary_line(view, health, newest)] if health.summary else []
    if firing:
        parts.append(_firing(firing))
    sentence = " · ".join(parts)
    with st.expander(sentence, key="incident-details"):
        st.markdown(sentence)  # a phone cuts the line above
        lines = []
        for level, problem in health.problems:
            lines.append(_coloured(level, with_code(problem)))
        for alert in firing:
            lines.append(_coloured(alert.severity, text.markdown(f"{alert.name}: {alert.sentence}", 600)))
        if health.summary:
            lines.append(with_code(tr("`ventes status` shows every part, `ventes doctor` looks for causes.")))
        st.markdown("  \n".join(lines))


def _summary_line(view: View, health: PipelineHealth, newest: datetime | None) -> str:
    many = view.page.many
    last = tr("No {many} yet", many=many)
    if newest is not None:
        last = tr("No new {many} since {time}", many=many, time=_clock(view, newest))
    summary = tr("{last}: {summary}", last=last, summary=health.summary)
    return _coloured(health.level, text.markdown(summary, 300))


def _clock(view: View, moment: datetime) -> str:
    """The time of day, with the date unless it is today's."""
    zone = view.settings.business_zone
    local = moment.astimezone(zone)
    today = datetime.now(zone).date() == local.date()
    return f"{local:%H:%M}" if today else language.moment(local, "minute")


def _beginning(view: View, answer: Status | None) -> datetime | None:
    """Since when an event could have arrived, where none has: the start of the pipeline, else of the table."""
    if answer is not None and answer.supervisor_since is not None:
        return datetime.fromtimestamp(answer.supervisor_since, timezone.utc)
    clean = view.contract.clean.name
    return view.snapshots[clean].committed_at if view.snapshots.has(clean) else None


def _show_earlier(view: View, choices: Choices) -> None:
    """Paused, or as of an earlier time or version: never green."""
    then = view.snapshots.as_of
    if isinstance(choices.as_of, Version):
        table = text.markdown(choices.as_of.table)
        what = tr("As of version {n} of {table}", n=text.count(choices.as_of.number), table=table)
    else:
        assert choices.as_of is not None
        local = choices.as_of.astimezone(view.settings.business_zone)
        when = language.moment(local)
        what = tr("Paused at {time}", time=when) if choices.paused else tr("As of {time}", time=when)
    newest = _said_of(view, _newest(view), datetime.now(timezone.utc)) if then is not None else ""
    _line(view, f":blue-badge[:material/history: {what}]", [newest], [_versions(view)], choices.words)
    with st.container(key="incident"):
        st.html("<div>&nbsp;</div>")


def _newest(view: View) -> datetime | None:
    """When the newest event arrived: from the statistics of the files, without reading them."""
    clean = view.contract.clean.name
    if not view.snapshots.has(clean):
        return None
    tops = [bounds[1] for file in view.snapshots[clean].files if (bounds := file.bounds("kafka_ts"))]
    if not tops:
        return None
    newest = datetime.fromisoformat(str(max(tops)).replace("Z", "+00:00"))
    return newest if newest.tzinfo is not None else newest.replace(tzinfo=timezone.utc)


def _said_of(view: View, newest: datetime | None, now: datetime) -> str:
    """When the newest event arrived, and how long ago."""
    if newest is None:
        return tr("No {many} yet", many=view.page.many) if view.snapshots.has(view.contract.clean.name) else ""
    local = newest.astimezone(view.settings.business_zone)
    age = (now - newest).total_seconds()
    ago = tr("{age} ago", age=text.duration(age))
    if age <= -1:
        ago = tr("{age} ahead of this machine's clock", age=text.duration(-age))
    return tr("Newest {one} **{time}**, {ago}", one=view.page.one, time=language.moment(local), ago=ago)


def _lag(name: str, service: ServiceStatus) -> str:
    if service.lag_messages is None:
        return tr("{job}: lag not known", job=name)
    if service.lag_messages == 0 or (service.lag_seconds is not None and service.lag_seconds < SHOWN_LAG_SECONDS):
        return tr("{job} up to date", job=name)
    since = f" ({text.duration(service.lag_seconds)})" if service.lag_seconds else ""
    return tr("{job} {n} behind{since}", job=name, n=text.count(service.lag_messages), since=since)


def _versions(view: View) -> str:
    tables = (("Bronze", view.contract.bronze.name), ("Silver", view.contract.clean.name))
    known = [(label, name) for label, name in tables if view.snapshots.has(name)]
    return " · ".join(f"{label} v{text.count(view.snapshots[name].version)}" for label, name in known)
