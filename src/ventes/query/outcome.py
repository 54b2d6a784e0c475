"""What becomes of a typed query before it has rows, and instead. The translating child imports it too."""

from __future__ import annotations

from dataclasses import dataclass

from ventes.errors import LakeDamaged, UsageError, VentesError


@dataclass(frozen=True)
class Translated:
    """A query for DuckDB, and the tables that it reads."""

    sql: str
    tables: tuple[str, ...]
    counts_only: bool = False
    """It reads no column: how many rows the tables have is all that it needs."""


class SqlRefused(UsageError):
    """The text is not one SELECT, made of what is offered, over the tables there are."""


class SqlFailed(VentesError):
    """DuckDB could not run it, or it took too long or too much."""


class TableUnreadable(LakeDamaged):
    """A data file of a table is gone or damaged. The query is not to blame."""
