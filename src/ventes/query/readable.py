"""What a query or an export needs to know of a table: how to select its rows, and the files that this reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Readable(Protocol):
    """A table at one version; a Snapshot is one."""

    @property
    def rows(self) -> int | None:
        """How many rows it has; None if only reading them tells."""

    def select(self) -> str:
        """A SELECT of all rows, in DuckDB's dialect."""

    def paths(self) -> list[str]:
        """Absolute paths of the files that this SELECT reads."""


@dataclass(frozen=True)
class TableToRead:
    """A Readable as plain data, to be given to another process."""

    sql: str
    files: list[str]
    rows: int | None = None

    @classmethod
    def of(cls, table: Readable) -> TableToRead:
        return cls(table.select(), table.paths(), table.rows)

    def select(self) -> str:
        return self.sql

    def paths(self) -> list[str]:
        return self.files
