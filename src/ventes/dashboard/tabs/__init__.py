"""One module for each tab: LABEL, `render(view)`, and LIVE = False where a refresh must not draw it anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ventes.dashboard.view import View


@dataclass(frozen=True)
class Tab:
    """What the page needs to know of a tab. `live`: drawn anew at each refresh, not only after an interaction."""

    label: str
    render: Callable[[View], None]
    live: bool = True
