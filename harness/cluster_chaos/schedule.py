"""The steps of a run, derived from a seed only. Pure. Each fault ends by itself after `seconds`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from harness.chaos.schedule import Deck, Step

ROUND = 4
"""Steps between two checks: a check takes as long as several of them."""
PAUSES = (0.0, 2.0, 10.0, 20.0)
"""The longest pauses between two steps, in seconds; each step draws one. A job starts in 10 s on an idle machine."""
CARDS = {
    "broker": 4,
    "worker": 3,
    "workers": 1,
    "executor": 3,
    "master": 2,
    "store": 4,
    "kill": 5,
}
"""Kind → number of its cards in a deck."""
BROKER = ("KILL", "STOP")
STORE = ("restart", "stop", "cut", "errors")
"""Killed and started again with what it held; suspended; every connection cut; a fifth of the requests get 503."""
KILLS = tuple((job, number) for job in ("bronze", "silver", "bronze jvm", "silver jvm") for number in ("KILL", "STOP"))
KILLS += (("supervisor", "KILL"),)


def schedule(seed: int) -> Iterator[Step]:
    """The steps of this seed, without end."""
    rng = random.Random(f"cluster {seed}")
    kinds = Deck(rng, [kind for kind, count in CARDS.items() for _ in range(count)])
    variants = {
        "broker": Deck(rng, [(node, signal) for node in (1, 2, 3) for signal in BROKER]),
        "worker": Deck(rng, [(worker, signal) for worker in (1, 2) for signal in BROKER]),
        "executor": Deck(rng, [(job, signal) for job in ("bronze", "silver") for signal in BROKER]),
        "store": Deck(rng, STORE),
        "kill": Deck(rng, KILLS),
    }

    def seconds() -> float:
        return round(rng.uniform(1, 25), 1)

    def options(kind: str) -> dict[str, Any]:
        if kind in ("workers", "master"):
            return {"seconds": seconds()}
        drawn = variants[kind].deal()
        if kind == "store":
            return {"how": drawn, "seconds": seconds()}
        what, signal = drawn
        target = "target" if kind == "kill" else "which"
        found = {target: what, "signal": signal, "seconds": seconds()}
        if kind == "kill":
            # a supervisor that was killed is started by a user; the jobs it starts itself
            found["then"] = "start" if what == "supervisor" else ""
        return found

    number = 0
    while True:
        number += 1
        kind = kinds.deal()
        yield Step(number, round(rng.uniform(0.0, rng.choice(PAUSES)), 2), kind, options(kind))
