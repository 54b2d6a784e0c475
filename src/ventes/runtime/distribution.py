"""Counts of measured values between fixed bounds, as a Prometheus histogram has them. Standard library only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for the time of a batch or lot."""
FRESHNESS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Bounds for the time from an event to its commit: an idle embedded pipeline to a backlog of hours."""
REFRESH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for the time of drawing a part of the page."""


class Distribution:
    """How many values were at most as large as each of `bounds` (ascending) and larger than the one before."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """The last one is of values above all bounds."""
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_counts(self, counts: Sequence[int], total: float) -> None:
        """Add values that are counted already; `total` is their sum."""
        self.counts = [one + other for one, other in zip(self.counts, counts, strict=True)]
        self.sum += total

    def record(self) -> dict[str, Any]:
        """For a heartbeat: bounds, counts, sum."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": round(self.sum, 6)}
