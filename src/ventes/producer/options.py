"""The options of a producer run, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ventes.errors import UsageError

FASTEST = "max"


@dataclass(frozen=True)
class Options:
    rate: float
    """Sales per second; infinity is as fast as the machine can."""
    count: int | None = None
    """End after this many sales; None goes on until stopped."""
    seed: int | None = None
    """The same seed makes the same sales (ids and times aside)."""
    bad: float = 0.0
    """Percent of the sales sent malformed."""
    late: float = 0.0
    """Percent of the sales that are older than the watermark."""
    duplicates: float = 0.0
    """Percent of the sales after which an earlier sale is sent again."""

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise UsageError(f"--rate {self.rate:g} sells nothing", f"give sales per second, or {FASTEST}")
        if self.count is not None and self.count < 0:
            raise UsageError(f"--count {self.count} is negative", "leave it out to go on until stopped")
        for name, value in (("--bad", self.bad), ("--late", self.late), ("--duplicates", self.duplicates)):
            if not 0 <= value <= 100:
                raise UsageError(f"{name} {value:g} is no percentage", "give a number from 0 to 100")


def read_rate(text: str) -> float:
    """A rate as typed: `0.5`, `2000` or `max`. Raises UsageError."""
    if text.strip().lower() == FASTEST:
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not math.isfinite(rate):
        raise UsageError(f"--rate {text!r} is neither a number nor {FASTEST!r}", "for example --rate 0.5 or --rate max")
    return rate
