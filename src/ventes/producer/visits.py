"""Which client buys next.

Clients follow Zipf's law: a few buy often, most seldom. With purely random draws the number of different clients
after a minute or an hour would vary widely between runs; so for the first hours a curve decides *when* a new client
appears, and Zipf's law only *which* one. The curve is that of "Expected data growth" in the dashboard guide: 7 or 8
clients after 30 sales, 18 or 19 after 150, 26 or 27 after 300, 71 or 72 after 1,800.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from random import Random

EXPONENT = 1.9
"""Zipf's s. Without the curve it gives 65 to 70 different clients in 1,800 sales, close to the end of the curve."""
HELD_SALES = 3600
"""Number of sales during which new clients follow the curve: two hours at the default rate."""


def different_clients(sales: int) -> float:
    """Number of different clients after this many sales."""
    return 26.7 * math.pow(sales / 300, 0.55)


class Visits:
    """An endless sequence of client numbers from 1 to `population`."""

    def __init__(self, rng: Random, population: int) -> None:
        self._random = rng.random
        self._weights = list(accumulate(rank**-EXPONENT for rank in range(1, population + 1)))
        self._all = self._weights[-1]
        self._sales = 0
        self._phase = rng.random()
        """Shifts the curve, so that runs differ in when a new client comes."""
        self._seen: set[int] = set()
        self._held = True

    def next(self) -> int:
        """The client of the next sale."""
        if self._held:
            return self._next_on_curve()
        return self._draw()

    def _draw(self) -> int:
        return bisect_right(self._weights, self._random() * self._all, hi=len(self._weights) - 1) + 1

    def _next_on_curve(self) -> int:
        self._sales += 1
        new = not self._seen or len(self._seen) < int(different_clients(self._sales) + self._phase)
        while True:
            client = self._draw()
            if (client not in self._seen) == new:
                break
        self._seen.add(client)
        self._held = self._sales < HELD_SALES and len(self._seen) < len(self._weights)
        return client
