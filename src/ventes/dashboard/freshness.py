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

Level = Literal["ok", "warn", "bad", "unknown"]


@dataclass(frozen=True)
class PipelineHealth:
    """`problems`: (level, sentence with the next step)."""

    level: Level
    problems: tuple[tuple[Level, str], ...] = ()


def health_of(answer: Status | None) -> PipelineHealth:
    """The pipeline's status as level and problems. Pure."""
    if answer is None:
        return PipelineHealth("unknown")
    together: dict[tuple[Level, str], list[str]] = {}
    for service in answer.services:
        if (found := _problem(service)) is not None:
            together.setdefault(found, []).append(service.title)
    problems = [(level, f"{_listed(titles)}{what}") for (level, what), titles in together.items()]
    worst: Level = "bad" if any(level == "bad" for level, _ in problems) else "warn" if problems else "ok"
    return PipelineHealth(worst, tuple(sorted(problems)))


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
    "warn": ":orange-badge[:material/warning: Behind]",
    "bad": ":red-badge[:material/error: Not live]",
    "unknown": ":gray-badge[:material/help: Asking the pipeline …]",
}


def show(view: View, choices: Choices, status: StatusPoller) -> None:
    if choices.as_of is not None:
        _show_earlier(view, choices)
        return
    answer = status.latest()
    health = health_of(answer)
    parts = [_BADGES[health.level], _newest(view, datetime.now(timezone.utc))]
    if answer is not None:
        parts += [_lag("Bronze", answer.service("bronze")), _lag("Silver", answer.service("silver"))]
        parts.append(f":gray[{text.markdown(answer.engine)} engine]")
    parts.append(_versions(view))
    st.markdown(" &nbsp; ".join(part for part in parts if part))
    lines = []
    for level, sentence in health.problems:
        colour, icon = ("red", "error") if level == "bad" else ("orange", "warning")
        lines.append(f":{colour}[:material/{icon}: {_with_code(sentence)}]")
    if lines:
        st.markdown("  \n".join(lines))


def _show_earlier(view: View, choices: Choices) -> None:
    """Paused, or as of an earlier time or version: never green."""
    then = view.snapshots.as_of
    if isinstance(choices.as_of, Version):
        what = f"As of version {choices.as_of.number:,} of {text.markdown(choices.as_of.table)}"
    else:
        assert choices.as_of is not None
        local = choices.as_of.astimezone(view.settings.business_zone)
        what = f"{'Paused at' if choices.paused else 'As of'} {local:%Y-%m-%d %H:%M:%S}"
    newest = _newest(view, then) if then is not None else ""
    st.markdown(f":blue-badge[:material/history: {what}] {newest} {_versions(view)}")


def _with_code(sentence: str) -> str:
    """Escaped, but what stands between backquotes shown as a command."""
    pieces = sentence.split("`")
    return "".join(text.markdown(piece, 400) if index % 2 == 0 else f"`{piece}`" for index, piece in enumerate(pieces))


def _newest(view: View, now: datetime) -> str:
    """When the newest event arrived, and how long ago: from the statistics of the files, without reading them."""
    clean = view.contract.clean.name
    if not view.snapshots.has(clean):
        return ""
    tops = [bounds[1] for file in view.snapshots[clean].files if (bounds := file.bounds("kafka_ts"))]
    if not tops:
        return f"No {view.page.one} yet"
    newest = datetime.fromisoformat(str(max(tops)).replace("Z", "+00:00"))
    if newest.tzinfo is None:
        newest = newest.replace(tzinfo=timezone.utc)
    local = newest.astimezone(view.settings.business_zone)
    age = (now - newest).total_seconds()
    ago = f"{in_words(age)} ago" if age > -1 else f"{in_words(-age)} ahead of this machine's clock"
    return f"Newest {view.page.one} **{local:%Y-%m-%d %H:%M:%S}**, {ago}"


def _lag(name: str, service: ServiceStatus) -> str:
    if service.lag_messages is None:
        return f":gray[{name}: lag not known]"
    if service.lag_messages == 0:
        return f":gray[{name} up to date]"
    since = f" ({in_words(service.lag_seconds)})" if service.lag_seconds else ""
    return f":gray[{name} {service.lag_messages:,} behind{since}]"


def _versions(view: View) -> str:
    tables = (("Bronze", view.contract.bronze.name), ("Silver", view.contract.clean.name))
    known = [(label, name) for label, name in tables if view.snapshots.has(name)]
    listed = " · ".join(f"{label} v{view.snapshots[name].version:,}" for label, name in known)
    return f":gray[{listed}]" if listed else ""
