"""The cards at the top of a page that ran without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from streamlit.testing.v1 import AppTest


@dataclass(frozen=True)
class Card:
    label: str
    value: str
    note: str


def cards_of(page: AppTest) -> list[Card]:
    """As a viewer reads them, from the HTML that the page sends."""
    bodies = [str(element.proto.body) for element in page.get("html")]
    return [Card(*map(unescape, found)) for body in bodies for found in _CARD.findall(body)]


_CARD = re.compile(
    "".join(f'data-testid="stMetric{part}">([^<]*)</div>(?s:.*?)' for part in ("Label", "Value", "Delta"))
)
