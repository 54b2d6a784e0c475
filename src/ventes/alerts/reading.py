"""A value as it was measured, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from ventes.settings.alerts import Alert

Value = bool | int | float | Decimal


@dataclass(frozen=True)
class Reading:
    """`value` is None if it is unknown: `detail` says why, else what it is made of."""

    value: Value | None
    detail: str = ""
    problem: str = ""
    """Why there is no value until somebody corrects the declaration."""


def holds(alert: Alert, reading: Reading) -> bool | None:
    """Whether the condition holds; None if it is not known."""
    value = reading.value
    if value is None:
        return None
    if alert.above is not None:
        return value > alert.above
    if alert.below is not None:
        return value < alert.below
    return bool(value)


def unfit(alert: Alert, value: object) -> str:
    """Why the answer of a SELECT cannot be compared with the alert's limit; '' if it can."""
    if isinstance(value, bool):
        return "its answer is true or false: leave above and below out" if alert.limit else ""
    if not isinstance(value, int | float | Decimal):
        return f"its answer is no number and no boolean but {type(value).__name__}"
    return "" if alert.limit else "its answer is a number: give above or below"


def written(value: Value | None) -> str:
    """A value as text: 4 digits behind the point at most; '' for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = f"{value:,.4f}"
    return text.rstrip("0").rstrip(".")
