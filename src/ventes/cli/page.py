"""Connects the dashboard with the pipeline's status and its explanation, which the dashboard must not import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ventes.check.doctor import troubleshooting
from ventes.check.status import status as ask_status
from ventes.config import Settings
from ventes.dashboard import page
from ventes.dashboard.board import Board
from ventes.runtime.pipeline_status import Status, Symptom


def explain(settings: Settings, now: Status) -> Iterator[Symptom]:
    """The entries of the guide's troubleshooting, each with its present answer."""
    for found in troubleshooting.findings(settings, now):
        yield Symptom(found.name, found.level, found.cause, found.next_step)


def render(own_tabs: Sequence[str] = ()) -> Board:
    """Draw the page. `own_tabs`: labels of tabs that the script itself may fill; unused ones are not shown."""
    return page.render(own_tabs, ask_status)
