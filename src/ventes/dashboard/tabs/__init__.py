"""The tabs. bars, ranking, timeline and raw draw what a declaration describes: `render(tab, view)`. rejects, delays and
sql are on every page: LABEL, `render(view)`, and LIVE = False if an automatic refresh must not draw it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ventes.dashboard.view import View


@dataclass(frozen=True)
class Tab:
    """One tab of the page. `live`: drawn again at each refresh, not only after an interaction."""

    label: str
    render: Callable[[View], None]
    live: bool = True
