"""The line at the top: how new the newest sale is, how far behind each job is, and what to do where something is wrong.

Green only on an answer of the last seconds. The pipeline is asked by one thread for all sessions, while somebody looks.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone

import streamlit as st

from ventes.check.status import ServiceStatus, Status, status
from ventes.config import Settings
from ventes.contract.tables import BRONZE, CLEAN
from ventes.dashboard import text
from ventes.dashboard.as_of import Version
from ventes.dashboard.sidebar import Choices
from ventes.dashboard.view import View
from ventes.runtime.durations import in_words

ASK_SECONDS = 3.0
"""Between two askings."""
JUST_NOW = 8.0
"""An answer older than this is no answer."""
LOOKING_SECONDS = 45.0
"""Nobody looks any more if nobody asked for so long; the slowest page asks every 30 s."""
FIRST_WAIT = 2.5
BEHIND_SECONDS = 20.0
"""A job this far behind is amber."""

_log = logging.getLogger("ventes.page")


@dataclass(frozen=True)
class Verdict:
    """`level`: ok, warn, bad, unknown. `problems`: (level, sentence with the next step)."""

    level: str
    problems: tuple[tuple[str, str], ...] = ()


class Asker:
    """Asks for the pipeline's status in the background. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._answered = threading.Event()
        self._answer: Status | None = None
        self._wanted = 0.0
        self._thread: threading.Thread | None = None

    def latest(self) -> Status | None:
        """The last answer, at most JUST_NOW old, or None. Waits a moment for the first."""
        with self._guard:
            self._wanted = time.monotonic()
            if self._thread is None:
                self._answered.clear()
                self._thread = threading.Thread(target=self._ask, name="status", daemon=True)
                self._thread.start()
        self._answered.wait(FIRST_WAIT)
        answer = self._answer
        return answer if answer is not None and time.time() - answer.asked_at <= JUST_NOW else None

    def _ask(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._answer = status(self._settings)
            except Exception as error:  # the line then says that nothing is known; it must go on asking
                if isinstance(error, RuntimeError) and "shutdown" in str(error):
                    return  # the process is ending
                _log.exception("the status of the pipeline could not be asked")
            self._answered.set()
            pause.wait(ASK_SECONDS)
            with self._guard:
                if time.monotonic() - self._wanted > LOOKING_SECONDS:
                    self._thread = None
                    return


def verdict(answer: Status | None) -> Verdict:
    """What the answer means for a viewer. Pure."""
    if answer is None:
        return Verdict("unknown")
    together: dict[tuple[str, str], list[str]] = {}
    for service in answer.services:
        if (found := _problem(service)) is not None:
            together.setdefault(found, []).append(service.title)
    problems = [(level, f"{_listed(titles)}{what}") for (level, what), titles in together.items()]
    worst = "bad" if any(level == "bad" for level, _ in problems) else "warn" if problems else "ok"
    return Verdict(worst, tuple(sorted(problems)))


def _listed(titles: list[str]) -> str:
    *first, last = titles
    listed = f"{', '.join(first)} and {last}" if first else last
    return listed[:1].upper() + listed[1:]


def _problem(service: ServiceStatus) -> tuple[str, str] | None:
    """Level, and what is wrong, to be read after the service's name; equal for services with the same trouble."""
    if service.name == "page":
        return None  # whoever reads this sees it
    if not service.ok:
        reason = service.reason or "no reason is known; `ventes doctor` looks for one"
        level = "warn" if service.state in ("starting", "waiting", "restarting", "stopping") else "bad"
        if service.name == "producer":
            level = "warn"  # the figures stay true without it; only nothing new comes
        return level, f" – {service.state}: {reason}"
    if service.lag_seconds is not None and service.lag_seconds > BEHIND_SECONDS and service.lag_messages:
        return "warn", (
            f" – {service.lag_messages:,} messages ({in_words(service.lag_seconds)}) "
            "behind; it is catching up, or too slow: `ventes status` shows its batches"
        )
    return None


_BADGES = {
    "ok": ":green-badge[:material/check_circle: Live]",
    "warn": ":orange-badge[:material/warning: Behind]",
    "bad": ":red-badge[:material/error: Not live]",
    "unknown": ":gray-badge[:material/help: Asking the pipeline …]",
}


def show(view: View, choices: Choices) -> None:
    zone = view.settings.business_zone
    if choices.as_of is not None:
        then = view.moment.as_of
        if isinstance(choices.as_of, Version):
            what = f"As of version {choices.as_of.number:,} of {text.markdown(choices.as_of.table)}"
        else:
            what = f"{'Paused at' if choices.paused else 'As of'} {choices.as_of.astimezone(zone):%Y-%m-%d %H:%M:%S}"
        newest = _newest(view, then) if then is not None else ""
        st.markdown(f":blue-badge[:material/history: {what}] {newest} {_versions(view)}")
        return
    answer = asker_of(view).latest()
    found = verdict(answer)
    parts = [_BADGES[found.level], _newest(view, datetime.now(timezone.utc))]
    if answer is not None:
        parts += [_lag("Bronze", answer.service("bronze")), _lag("Silver", answer.service("silver"))]
        parts.append(f":gray[{text.markdown(answer.engine)} engine]")
    parts.append(_versions(view))
    st.markdown(" &nbsp; ".join(part for part in parts if part))
    lines = []
    for level, sentence in found.problems:
        colour, icon = ("red", "error") if level == "bad" else ("orange", "warning")
        lines.append(f":{colour}[:material/{icon}: {_with_code(sentence)}]")
    if lines:
        st.markdown("  \n".join(lines))


def asker_of(view: View) -> Asker:
    lake = view.moment.lake
    return lake.keep("asker", lambda: Asker(view.settings))


def _with_code(sentence: str) -> str:
    """Escaped, but what stands between backquotes shown as a command."""
    pieces = sentence.split("`")
    return "".join(text.markdown(piece, 400) if index % 2 == 0 else f"`{piece}`" for index, piece in enumerate(pieces))


def _newest(view: View, now: datetime) -> str:
    """When the newest sale arrived, and how long ago: from the statistics of the files, without reading them."""
    if not view.moment.has(CLEAN.name):
        return ""
    tops = [bounds[1] for file in view.moment[CLEAN.name].files if (bounds := file.bounds("kafka_ts"))]
    if not tops:
        return "No sale yet"
    newest = datetime.fromisoformat(str(max(tops)).replace("Z", "+00:00"))
    if newest.tzinfo is None:
        newest = newest.replace(tzinfo=timezone.utc)
    local = newest.astimezone(view.settings.business_zone)
    return f"Newest sale **{local:%Y-%m-%d %H:%M:%S}**, {in_words((now - newest).total_seconds())} ago"


def _lag(name: str, service: ServiceStatus) -> str:
    if service.lag_messages is None:
        return f":gray[{name}: lag not known]"
    if service.lag_messages == 0:
        return f":gray[{name} up to date]"
    since = f" ({in_words(service.lag_seconds)})" if service.lag_seconds else ""
    return f":gray[{name} {service.lag_messages:,} behind{since}]"


def _versions(view: View) -> str:
    known = [
        (label, name) for label, name in (("Bronze", BRONZE.name), ("Silver", CLEAN.name)) if view.moment.has(name)
    ]
    listed = " · ".join(f"{label} v{view.moment[name].version:,}" for label, name in known)
    return f":gray[{listed}]" if listed else ""
