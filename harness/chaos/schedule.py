"""The steps of a run, derived from a seed and an engine only, not from clock or machine.

Kinds of steps are drawn from shuffled decks: each deck holds every kind that the engine has, some of them several
times, so that each kind occurs within the first deck. The targets of a kill and other variants are drawn the same way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENGINES = ("embedded", "spark", "both")
ROUND = 10
"""Steps between two checks."""

TARGETS = ("bronze", "silver", "broker", "producer", "page", "supervisor", "page child")
JVMS = ("bronze jvm", "silver jvm")
SIGNALS = ("KILL", "KILL", "TERM", "STOP")
COMMANDS = (
    "start",
    "stop",
    "restart",
    "stop, start",
    "start and start",
    "stop and start",
    "restart and start",
    "restart and restart",
    "start, then Ctrl-C",
)
"""`a, b`: one after the other. `a and b`: b begins a moment after a."""
RUBBISH = ("bad json", "huge", "headers", "tombstones", "committed transaction", "aborted transaction", "keys")
EDITS = ("optimize bronze", "optimize clean", "optimize aggregate", "restore aggregate")
CHECKPOINT_DAMAGE = ("truncate", "garbage", "delete folder")
FILLS = ("to the last byte", "almost", "below min_free_mb")
DISKS = ("lake", "state")

WAITS = {"embedded": (0.0, 0.5, 2.0, 6.0), "spark": (0.0, 1.0, 5.0, 15.0), "both": (0.0, 1.0, 5.0, 15.0)}
"""Engine → the maximum pauses between two steps, in seconds; each step draws one. A job on Spark takes 10 s to
start: with shorter pauses it would be down at most steps."""
DOWN = 2
"""Steps after which a pipeline that a step has stopped is started again."""

EVERY_ENGINE = {
    "kill": 12,
    "command": 6,
    "disk": 3,
    "cut": 2,
    "rubbish": 4,
    "edit": 3,
    "topic": 1,
    "rebuild": 2,
    "page": 3,
}
"""Kind → number of its cards in a deck."""
SPARK_ONLY = {"checkpoint": 2}
BOTH_ONLY = {"switch": 3}


@dataclass(frozen=True)
class Step:
    """One step. `wait`: seconds after the step before it."""

    number: int
    wait: float
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join([self.kind, *(f"{name} {value}" for name, value in self.options.items() if value != "")])


def kinds(engine: str) -> dict[str, int]:
    """The kinds of steps for this engine, and the number of cards of each in a deck."""
    spark = SPARK_ONLY if engine != "embedded" else {}
    return {**EVERY_ENGINE, **spark, **(BOTH_ONLY if engine == "both" else {})}


def schedule(seed: int, engine: str) -> Iterator[Step]:
    """The steps of this seed, without end."""
    return _Dealer(seed, engine).steps()


class Deck:
    """Deals cards in random order; shuffles again when it is empty."""

    def __init__(self, rng: random.Random, cards: Sequence[Any]) -> None:
        self._rng = rng
        self._cards = list(cards)
        self._left: list[Any] = []

    def deal(self) -> Any:
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()


class _Dealer:
    def __init__(self, seed: int, engine: str) -> None:
        rng = self._rng = random.Random(f"{engine} {seed}")
        self._kinds = Deck(rng, [kind for kind, count in kinds(engine).items() for _ in range(count)])
        targets = TARGETS if engine == "embedded" else TARGETS + JVMS
        self._kills = Deck(rng, [(target, number) for target in targets for number in SIGNALS])
        self._commands = Deck(rng, COMMANDS)
        self._rubbish = Deck(rng, RUBBISH)
        self._edits = Deck(rng, EDITS)
        self._damage = Deck(rng, CHECKPOINT_DAMAGE)
        self._fills = Deck(rng, [(disk, how) for disk in DISKS for how in FILLS])
        self._engines = Deck(rng, ("embedded", "spark"))
        self._waits = WAITS[engine]
        self._down: int | None = None
        """Steps since the last stop; None if the pipeline runs, according to the schedule."""
        self._options: dict[str, Callable[[], dict[str, Any]]] = {
            "kill": self._kill,
            "command": self._command,
            "disk": self._disk,
            "cut": lambda: {"seconds": self._seconds(1, 12)},
            "rubbish": lambda: {"what": self._rubbish.deal(), "seed": self._rng.randrange(10**6)},
            "edit": lambda: {
                "what": self._edits.deal(),
                "which": self._rng.randrange(5),
                "back": self._rng.randint(1, 5),
            },
            "topic": lambda: {"kill": self._rng.choice(("", "", "bronze", "silver", "broker"))},
            "rebuild": lambda: {
                "kill": self._rng.choice(("", "", "rebuild", "supervisor")),
                "after": self._seconds(0.5, 4),
            },
            "page": lambda: {"sessions": self._rng.randint(1, 6), "seconds": self._seconds(0.5, 8)},
            "checkpoint": lambda: {"what": self._damage.deal(), "kill": self._rng.choice(("bronze", "bronze jvm"))},
            "switch": lambda: {"engine": self._engines.deal()},
        }

    def steps(self) -> Iterator[Step]:
        number = 0
        while True:
            number += 1
            step = self._next(number)
            yield step
            self._note(step)

    def _next(self, number: int) -> Step:
        if self._down is not None and self._down >= DOWN:
            return Step(number, self._wait(), "command", {"what": "start", "after": 0.0})
        kind = self._kinds.deal()
        return Step(number, self._wait(), kind, self._options[kind]())

    def _note(self, step: Step) -> None:
        """Whether the step leaves the pipeline stopped."""
        asked = step.options.get("then") or (step.options["what"] if step.kind == "command" else "")
        if asked == "stop":
            self._down = 0
        elif asked or step.kind in ("switch", "topic") or step.number % ROUND == 0:
            self._down = None
        elif self._down is not None:
            self._down += 1

    def _wait(self) -> float:
        """Often 0: faults are most effective while the step before still has effects."""
        longest = self._rng.choice(self._waits)
        return round(self._rng.uniform(0.0, longest), 2)

    def _seconds(self, least: float, most: float) -> float:
        return round(self._rng.uniform(least, most), 1)

    def _kill(self) -> dict[str, Any]:
        target, number = self._kills.deal()
        options = {"target": target, "signal": number}
        if number == "STOP":
            options["seconds"] = self._seconds(0.5, 20)
        return {**options, "then": self._rng.choice(("", "", "", "start", "restart", "stop"))}

    def _command(self) -> dict[str, Any]:
        return {"what": self._commands.deal(), "after": self._seconds(0, 4)}

    def _disk(self) -> dict[str, Any]:
        disk, how = self._fills.deal()
        return {"which": disk, "how": how, "seconds": self._seconds(2, 12)}
