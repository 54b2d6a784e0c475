"""The line at the top: time of the newest event, lag of each job, and problems with the next step.

It is green only with an answer of the last seconds (status_poller.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

import streamlit as st

from ventes.dashboard import text
from ventes.dashboard.as_of import Version
from ventes.dashboard.sidebar import Choices
from ventes.dashboard.status_poller import StatusPoller
from ventes.dashboard.view import View
from ventes.runtime.durations import in_words
from ventes.runtime.pipeline_status import ServiceStatus, Status

BEHIND_SECONDS = 20.0
"""Lag in seconds from which a job is amber."""
SHOWN_LAG_SECONDS = 5.0
"""A smaller lag is not shown: between two batches there is always one, and the line would flicker."""

Level = Literal["ok", "quiet", "warn", "bad", "unknown"]
"""quiet: every part is ready, and nothing has arrived for page.quiet_minutes."""


@dataclass(frozen=True)
class PipelineHealth:
    """`problems`: (level, sentence with the next step), for the operator. `summary`: one sentence for a reader of the
    figures, to be continued after "since …" or "…: "; "" if there is nothing to say."""

    level: Level
    problems: tuple[tuple[Level, str], ...] = ()
    summary: str = ""


def health_of(answer: Status | None, quiet_for: float = 0.0, quiet_from: float = 0.0) -> PipelineHealth:
    """The pipeline's status as level and problems. Pure.

    `quiet_for`: seconds without an event; from `quiet_from` on that is worth saying (0: never).
    """
    if answer is None:
        return PipelineHealth("unknown")
    together: dict[tuple[Level, str], list[str]] = {}
    for service in _with_a_cause_of_their_own(answer):
        if (found := _problem(service)) is not None:
            together.setdefault(found, []).append(service.title)
    problems = [(level, f"{_listed(titles)}{what}") for (level, what), titles in together.items()]
    if problems:
        worst: Level = "bad" if any(level == "bad" for level, _ in problems) else "warn"
        return PipelineHealth(worst, tuple(sorted(problems)), _summary(answer))
    if quiet_from and quiet_for >= quiet_from:
        return PipelineHealth("quiet", (), "every part is ready, but nothing arrives")
    return PipelineHealth("ok")


def _with_a_cause_of_their_own(answer: Status) -> list[ServiceStatus]:
    """The services without those that only wait for a broker that is not there."""
    broker = next((service for service in answer.services if service.name == "broker"), None)
    if broker is None or broker.ok:
        return list(answer.services)
    return [service for service in answer.services if service.state != "waiting"]


_SAFE = {
    "broker": "nothing that has arrived is lost",
    "bronze": "new messages wait in Kafka, none is lost",
    "silver": "new messages wait in Bronze, none is lost",
    "producer": "",
}
"""What becomes of the data meanwhile, in the order of the data flow."""


def _summary(answer: Status) -> str:
    """The first part in the data flow that is not ready, and what becomes of the data meanwhile; else the lag."""
    by_name = {service.name: service for service in answer.services}
    for name, safe in _SAFE.items():
        service = by_name.get(name)
        if service is not None and not service.ok:
            return f"the {service.title} is {_STATES.get(service.state, 'not ready')}{f'; {safe}' if safe else ''}"
    return "a job is behind; it is catching up, none is lost"


_STATES = {
    "stopped": "stopped",
    "stopping": "stopping",
    "starting": "starting",
    "restarting": "being restarted",
    "waiting": "waiting",
    "failed": "stopped by an error",
    "down": "down",
}
"""State of a service → what a reader is told."""


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
        if service.name == "producer":
            level = "warn"  # the figures stay correct without it; there are only no new events
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


_BADGES: dict[Level, str] = {
    "ok": ":green-badge[:material/check_circle: Live]",
    "quiet": ":orange-badge[:material/bedtime: Quiet]",
    "warn": ":orange-badge[:material/warning: Behind]",
    "bad": ":red-badge[:material/error: Not live]",
    "unknown": ":gray-badge[:material/help: Asking the pipeline …]",
}


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
    parts = [_BADGES[health.level], _said_of(view, newest, now)]
    if answer is not None:
        parts.append(f":gray[checked {in_words(now.timestamp() - answer.asked_at)} ago]")
        parts += [_lag("Bronze", answer.service("bronze")), _lag("Silver", answer.service("silver"))]
        parts.append(f":gray[{text.markdown(answer.engine)} engine]")
    parts.append(_versions(view))
    st.markdown(" &nbsp; ".join(part for part in parts if part))
    with st.container(key="incident"):  # the style sheet keeps room for one line: the page does not move
        if health.summary:
            _incident(view, health, newest)
        else:
            st.html("<div>&nbsp;</div>")  # a container without an element takes no room


def _incident(view: View, health: PipelineHealth, newest: datetime | None) -> None:
    """One line for a reader of the figures; the causes and next steps unfold."""
    many = view.page.many
    last = f"No new {many} since {_clock(view, newest)}" if newest is not None else f"No {many} yet"
    colour, icon = ("red", "error") if health.level == "bad" else ("orange", "warning")
    sentence = f":{colour}[:material/{icon}: {text.markdown(f'{last}: {health.summary}', 300)}]"
    with st.expander(sentence, key="incident-details"):
        st.markdown(sentence)  # a phone cuts the line above
        lines = []
        for level, problem in health.problems:
            colour, icon = ("red", "error") if level == "bad" else ("orange", "warning")
            lines.append(f":{colour}[:material/{icon}: {_with_code(problem)}]")
        lines.append(f":gray[{_with_code('`ventes status` shows every part, `ventes doctor` looks for causes.')}]")
        st.markdown("  \n".join(lines))


def _clock(view: View, moment: datetime) -> str:
    """The time of day, with the date unless it is today's."""
    zone = view.settings.business_zone
    local = moment.astimezone(zone)
    today = datetime.now(zone).date() == local.date()
    return f"{local:%H:%M}" if today else f"{local:%Y-%m-%d %H:%M}"


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
        what = f"As of version {choices.as_of.number:,} of {text.markdown(choices.as_of.table)}"
    else:
        assert choices.as_of is not None
        local = choices.as_of.astimezone(view.settings.business_zone)
        what = f"{'Paused at' if choices.paused else 'As of'} {local:%Y-%m-%d %H:%M:%S}"
    newest = _said_of(view, _newest(view), datetime.now(timezone.utc)) if then is not None else ""
    st.markdown(f":blue-badge[:material/history: {what}] {newest} {_versions(view)}")
    with st.container(key="incident"):
        st.html("<div>&nbsp;</div>")


def _with_code(sentence: str) -> str:
    """Escaped, but what stands between backquotes shown as a command."""
    pieces = sentence.split("`")
    return "".join(text.markdown(piece, 400) if index % 2 == 0 else f"`{piece}`" for index, piece in enumerate(pieces))


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
        return f"No {view.page.one} yet" if view.snapshots.has(view.contract.clean.name) else ""
    local = newest.astimezone(view.settings.business_zone)
    age = (now - newest).total_seconds()
    ago = f"{in_words(age)} ago" if age > -1 else f"{in_words(-age)} ahead of this machine's clock"
    return f"Newest {view.page.one} **{local:%Y-%m-%d %H:%M:%S}**, {ago}"


def _lag(name: str, service: ServiceStatus) -> str:
    if service.lag_messages is None:
        return f":gray[{name}: lag not known]"
    if service.lag_messages == 0 or (service.lag_seconds is not None and service.lag_seconds < SHOWN_LAG_SECONDS):
        return f":gray[{name} up to date]"
    since = f" ({in_words(service.lag_seconds)})" if service.lag_seconds else ""
    return f":gray[{name} {service.lag_messages:,} behind{since}]"


def _versions(view: View) -> str:
    tables = (("Bronze", view.contract.bronze.name), ("Silver", view.contract.clean.name))
    known = [(label, name) for label, name in tables if view.snapshots.has(name)]
    listed = " · ".join(f"{label} v{view.snapshots[name].version:,}" for label, name in known)
    return f":gray[{listed}]" if listed else ""
