"""What an alert says: its sentence with the values of a check, in messages, in the history, on the page, in a terminal.

Text of the data stays text: one line, no control characters.
"""

from __future__ import annotations

from ventes.alert_settings import MEASURES, Alert
from ventes.runtime.logs import printable

LONGEST = 2_000


def sentence(alert: Alert, value: str, detail: str) -> str:
    """The alert's sentence with its values; one made of the measure if it has none."""
    template = alert.sentence or _usual(alert)
    shown = {"value": value or "unknown", "limit": alert.limit, "detail": detail, "name": alert.name}
    return printable(" ".join(template.format_map(shown).split()))[:LONGEST]


def _usual(alert: Alert) -> str:
    if alert.sql:
        return "The condition of {name} holds." if not alert.limit else "{name} is {value} (fires {limit})."
    unit = MEASURES[alert.measure].unit
    of = f" of {alert.of}" if alert.of else ""
    return f"{alert.measure}{of} is {{value}}{f' {unit}' if unit else ''} (fires {{limit}}). {{detail}}"
