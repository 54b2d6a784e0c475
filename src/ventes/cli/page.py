"""Connects the dashboard with the status function, which the dashboard must not import."""

from __future__ import annotations

from collections.abc import Sequence

from ventes.check.status import status as ask_status
from ventes.dashboard import page
from ventes.dashboard.board import Board


def render(own_tabs: Sequence[str] = ()) -> Board:
    """Draw the page. `own_tabs`: labels of tabs that the script itself may fill; unused ones are not shown."""
    return page.render(own_tabs, ask_status)
