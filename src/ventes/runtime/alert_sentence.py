"""What an alert says: its sentence with the values of a check, in messages, in the history, on the page, in a terminal.

Text of the data stays text: one line, no control characters.
"""

from __future__ import annotations

from ventes.runtime.durations import in_words
from ventes.runtime.logs import printable
from ventes.settings.alerts import MEASURES, Alert
from ventes.stream.page import Page

LONGEST = 2_000


def sentence(alert: Alert, value: str, detail: str, shown: Page) -> str:
    """The alert's sentence with its values; one made of the measure if it has none. `shown` names the events."""
    if alert.sentence:
        values = {"value": value or "unknown", "limit": alert.limit, "detail": detail, "name": alert.name}
        return _line(alert.sentence.format_map(values))
    if not value:
        return _line(f"{alert.name}: nobody knows whether it still holds. {detail}")
    return _line(_usual(alert, value, detail, shown))


def over(alert: Alert, value: str) -> str:
    """The sentence of an alert that is over: its own says that the condition holds."""
    limit = f"; {alert.limit_said}" if alert.limit_said else ""
    said = f"{value}{alert.unit}{limit}" if value else "unknown"
    return _line(f"The condition no longer holds: the value is {said}.")


def _usual(alert: Alert, value: str, detail: str, shown: Page) -> str:
    if not alert.measure:
        return (
            f"{alert.name} is {value}; {alert.limit_said}." if alert.limit else f"The condition of {alert.name} holds."
        )
    said = MEASURES[alert.measure].said.format(
        value=value, detail=detail, within=in_words(alert.within), one=shown.one, many=shown.many
    )
    return f"{said.replace(' ()', '')}; {alert.limit_said}."


def _line(said: str) -> str:
    return printable(" ".join(said.split()))[:LONGEST]
