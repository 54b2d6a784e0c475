"""What becomes of a typed query before it has rows, and instead. The translating child imports it too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from ventes.errors import LakeDamaged, UsageError, VentesError


@dataclass(frozen=True)
class Translated:
    """A query for DuckDB, and the tables that it reads."""

    sql: str
    tables: tuple[str, ...]
    counts: tuple[str, ...] = ()
    """Names (lower case) that the text gives to counts and sums."""
    counts_only: bool = False
    """It reads no column: how many rows the tables have is all that it needs."""


def perhaps(name: str, offered: Iterable[str]) -> str:
    """What was probably meant by `name`, to be added to a next step; "" if nothing is like it."""
    alike = get_close_matches(name.lower(), offered, 1)
    return f"; perhaps {alike[0]} is meant" if alike else ""


class SqlRefused(UsageError):
    """The text is not one SELECT, made of what is offered, over the tables there are."""


class SqlFailed(VentesError):
    """DuckDB could not run it, or it took too long or too much."""


class TableUnreadable(LakeDamaged):
    """A data file of a table is gone or damaged. The query is not to blame."""
