"""What all parts of a declaration share: the line they stand on, and the names they may have."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ventes.errors import ConfigError

_HERE = str(Path(__file__).parent)

RESERVED = frozenset(
    {
        "motifs", "_extra", "topic_id", "partition", "offset", "kafka_ts", "date_ingestion", "date_traitement", "lot",
        "en_retard", "signalements", "key", "value", "headers", "jour",
    }
)  # fmt: skip
"""Columns that every stream has; no field, quotient, grain or measure may have their name."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


class DeclarationError(ConfigError):
    """A declaration that cannot be used. Its message names the file, the line and the mistake."""

    def __init__(self, what: str, line: int = 0, hint: str = "correct the declaration") -> None:
        super().__init__(f"line {line}: {what}" if line else what, hint)
        self.what = what
        self.line = line


@dataclass(frozen=True)
class Declared:
    """A part of a declaration. `line` is its line in the file that declares it, for messages."""

    line: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", _line_of_caller())
        for name, value in vars(self).items():
            if isinstance(value, list):  # so that a declaration can be hashed
                object.__setattr__(self, name, tuple(value))
        self.check()

    def check(self) -> None:
        """Raise DeclarationError for a mistake that this part shows on its own."""

    def refuse(self, what: str) -> DeclarationError:
        return DeclarationError(what, self.line)

    def require_name(self, name: Any, what: str) -> None:
        """Raise DeclarationError for a name that a column or a folder cannot have in every engine."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self.refuse(
                f"{what} {name!r}: use a letter, then letters, digits and _, without accents, at most 63 in all"
            )

    def require_own_name(self, name: Any, what: str) -> None:
        """The same, also for the name of a column that every stream has."""
        self.require_name(name, what)
        if name.lower() in RESERVED:
            raise self.refuse(f"{what} {name!r}: every stream has a column of this name; choose another one")


def refuse_twice(what: str, named: Iterable[tuple[str, Declared]]) -> None:
    """Raise DeclarationError at the second of two parts whose names differ by case at most."""
    first: dict[str, Declared] = {}
    for name, part in named:
        before = first.setdefault(name.lower(), part)
        if before is not part:
            raise part.refuse(f"{what} {name!r}: line {before.line} has this name too; choose another one")


def _line_of_caller() -> int:
    """The line in the nearest file that is no part of this package: the declaration."""
    frame = sys._getframe(2)
    while frame is not None and (frame.f_code.co_filename.startswith((_HERE, "<string>"))):
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_lineno if frame is not None else 0
