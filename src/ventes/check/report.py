"""What a verification says: its progress, its checks, and their report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from ventes.runtime.durations import in_words

SHOWN = 5
"""Differing rows printed per comparison."""

Progress = Callable[[str], None]


@dataclass
class Check:
    """One invariant: what was compared, how many rows, and what differed."""

    invariant: str
    ok: bool
    compared: str
    rows: int
    differences: list[str] = field(default_factory=list)
    """The differences; or, if it could not be compared, the reason."""
    asked: bool = True
    """False: the comparison was not possible, so the result is unknown."""
    notes: list[str] = field(default_factory=list)
    """What is as it should be, and may be wished otherwise."""

    def line(self) -> str:
        state = "ok" if self.ok else "FAILED" if self.asked else "?"
        return f"{self.invariant:<13} {state:<6} {self.compared}"


@dataclass
class Figures:
    """The figures of the page, recomputed: Bronze's rows, and those of the declaration's `summary` from the messages
    judged again, as further fields: int, Decimal, a value of a field, or None for no event.
    """

    records: int


@dataclass
class Report:
    lot: int | None
    seconds: float
    checks: list[Check]
    figures: Figures
    unseen: list[str] = field(default_factory=list)
    """What was not looked at, one sentence each: empty for a whole verification."""
    notes: list[str] = field(default_factory=list)
    """What the reader of the result must know about this moment."""

    @property
    def ok(self) -> bool:
        """Everything was compared and nothing differs."""
        return all(check.ok for check in self.checks)

    @property
    def wrong(self) -> bool:
        """Something differs."""
        return any(check.asked and not check.ok for check in self.checks)

    def as_json(self) -> str:
        told = asdict(self)
        if not self.unseen:
            del told["unseen"]
        return json.dumps({"ok": self.ok, **told}, ensure_ascii=False, default=str)


class Remaining:
    """Reports progress, with the time that is left once that can be told."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total = progress, what, total
        self._began = time.monotonic()
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        took = time.monotonic() - self._began
        left = took * (self._total - self._done) / max(1, self._done)
        rest = f", about {in_words(left)} left" if took > 5 and self._done < self._total else ""
        self._progress(f"{self._what}: {self._done:,} of {self._total:,}{rest}")


class Differences:
    """Complaints, at most SHOWN under each label however many parts there are."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._left: dict[str, int] = {}

    def add(self, label: str, rows: Iterable[object]) -> None:
        for row in rows:
            if self._left.setdefault(label, SHOWN) > 0:
                self._left[label] -= 1
                self.found.append(f"{label}: {row}")
