"""Arithmetic of sums: sums are exact, means are rounded half up (away from zero), shares to 0.1 %.

The page and the command line compute means and shares only here, the tables with stream/sql_text.py. `verify` has its
own way to both (`expected` in stream/measures.py), and tests divide fractions: both would show a mistake.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

PERMILLE = Decimal("0.001")
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
"""A quotient of a sum with at most 9 decimals by a count below 10^19 that is no tie differs from one by more than
10^-30. So for a sum below 10^30 it changes nothing to round it to 60 digits first."""


def mean(total: Decimal, count: int, scale: int = 2) -> Decimal | None:
    """`total` / `count`, half up to `scale` decimals (cents); None for no row. `total` has at most 9 decimals."""
    return _EXACT.quantize(_EXACT.divide(total, Decimal(count)), Decimal(1).scaleb(-scale)) if count else None


def share(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """`part` / `whole` as a fraction, half up to 0.001 (0.1 %); None where `whole` is 0."""
    return _EXACT.quantize(_EXACT.divide(Decimal(part), Decimal(whole)), PERMILLE) if whole else None
