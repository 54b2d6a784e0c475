"""The cards at the top of a page, without a browser."""

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
    """As a viewer reads them."""
    return [card for element in page.get("html") for card in cards_in(str(element.proto.body))]


def cards_in(html: str) -> list[Card]:
    """Those in the HTML that the page sends."""
    return [Card(*map(unescape, found)) for found in _CARD.findall(html)]


_CARD = re.compile(
    "".join(f'data-testid="stMetric{part}">([^<]*)</div>(?s:.*?)' for part in ("Label", "Value", "Delta"))
)
