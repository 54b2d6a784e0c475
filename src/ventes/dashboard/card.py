"""A card: the value of a figure, below it the change, the target, the small line. HTML, no Streamlit. Pure.

One piece of HTML for all of it: each element of Streamlit costs time and bytes at every refresh, and with st.metric a
browser would load and run 0.8 MB of a library for charts before the first value stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from ventes.contract.arithmetic import share
from ventes.dashboard import language
from ventes.dashboard.language import tr


@dataclass(frozen=True)
class Change:
    """The change against an earlier window. `by`: a fraction, None where there is none. `points`: of a share.

    `than`: what it is compared with; `said`: both values, under the pointer.
    """

    by: Decimal | None
    than: str
    said: str
    points: bool = False

    @property
    def words(self) -> str:
        """`▲ 12.3%`, `▼ 1.2 pp`, `= 0.0%`, `–`."""
        if self.by is None:
            return "–"
        sign = "▲" if self.by > 0 else "▼" if self.by < 0 else "="
        size = self.by.copy_abs() * 100
        tenths = language.decimal(Decimal(f"{size:.1f}"))
        return f"{sign} {tr('{n} pp', n=tenths) if self.points else tr('{n}%', n=tenths)}"


@dataclass(frozen=True)
class Target:
    """What a figure is to reach in a day; `reached` so far. `words`: both, as people read them. `below`: what stands
    beside the bar, with {share}."""

    reached: Decimal | int | None
    target: Decimal
    words: str
    below: str = "{share}"

    @property
    def progress(self) -> Decimal:
        """As a fraction, half up to 0.1 %; 0 of nothing, and of less than nothing."""
        return max(Decimal(0), share(self.reached or 0, self.target) or Decimal(0))


def value(label: str, shown: str, note: str) -> str:
    """The figure: its name, its value, and a few words about it. With the test ids of st.metric, by which other
    programs find them."""
    return (
        f'<div class="ventes-figure" data-testid="stMetric" role="group" aria-label="{escape(label)}">'
        f'<div class="ventes-label" data-testid="stMetricLabel">{escape(label)}</div>'
        f'<div class="ventes-value" data-testid="stMetricValue">{escape(shown)}</div>'
        f'<div class="ventes-note" data-testid="stMetricDelta">{escape(note)}</div></div>'
    )


def changes(found: Sequence[Change]) -> str:
    """One line; without changes it has the same room."""
    parts = [
        f'<span title="{escape(change.said)}" class="{_direction(change)}"><b>{escape(change.words)}</b> '
        f"vs {escape(change.than)}</span>"
        for change in found
    ]
    return f'<div class="ventes-change">{" ".join(parts) or "&nbsp;"}</div>'


def _direction(change: Change) -> str:
    return "" if not change.by else "ventes-up" if change.by > 0 else "ventes-down"


def target(found: Target | None, room: bool = False) -> str:
    """A bar up to the target, and the share of it that is reached. Without a target "", or as much `room`."""
    if found is None:
        return '<div class="ventes-target">&nbsp;</div>' if room else ""
    below = found.below.format(share=language.percent(found.progress))
    width = min(found.progress, Decimal(1)) * 100
    full = " ventes-reached" if found.progress >= 1 else ""
    return (
        f'<div class="ventes-target{full}" title="{escape(found.words)}"><i><b style="width:{width:.1f}%"></b></i>'
        f"<span>{escape(below)}</span></div>"
    )
