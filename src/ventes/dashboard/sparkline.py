"""The small bars of a card: HTML over a baseline of zero, a gap where there is no value. Pure.

Streamlit's own sparkline has no baseline (84, 83, 84 becomes a sawtooth of the full height) and no gaps; and it lets no
SVG into a page. Colours and sizes are in the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def html(values: Sequence[float | None], said: Sequence[str], below: str) -> str:
    """A bar for each value, with `said[i]` under the pointer, and `below` under them. The same room without values."""
    known = [value for value in values if value is not None]
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    bars = "".join(_bar(value, low, high, words) for value, words in zip(values, said, strict=False))
    return f'<div class="ventes-line">{bars}</div><div class="ventes-span">{escape(below) or "&nbsp;"}</div>'


def _bar(value: float | None, low: float, high: float, words: str) -> str:
    """In percent of the height between `low` and `high`."""
    bar = ""
    if value is not None:
        full = (high - low) or 1.0
        foot, height = (min(value, 0.0) - low) / full * 100, abs(value) / full * 100
        bar = f'<b style="bottom:{foot:.1f}%;height:{height:.1f}%"></b>'
    return f'<i title="{escape(words)}">{bar}</i>'
