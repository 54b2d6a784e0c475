"""The result of one check of `ventes doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Finding:
    """`cause` is the observation with its value; `next_step` is a command or a sentence, if it is ok '' or where
    to read on."""

    name: str
    level: Level
    cause: str
    next_step: str = ""
    symptom: bool = False
    """Whether `name` is a symptom that a user may see (the guide's Troubleshooting), not what was checked."""

    def sentence(self) -> str:
        """What is printed: a symptom must not read as an observation."""
        if not self.symptom:
            return f"{self.name}: {self.cause}"
        return f"cause of “{self.name}”: {self.cause if self.level != 'ok' else f'none here; {self.cause}'}"


def ok(name: str, cause: str, next_step: str = "") -> Finding:
    return Finding(name, "ok", cause, next_step)


def warn(name: str, cause: str, next_step: str) -> Finding:
    return Finding(name, "warn", cause, next_step)


def bad(name: str, cause: str, next_step: str) -> Finding:
    return Finding(name, "bad", cause, next_step)
