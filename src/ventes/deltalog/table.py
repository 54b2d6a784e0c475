"""The definition of a Delta table: name, columns, key, partition and statistics. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

WIDENED = "ventes.widened"
"""Property of a table that got columns which its older files lack."""


@dataclass(frozen=True)
class Table:
    """A Delta table. `stats` are the columns whose minimum and maximum the log keeps for each file."""

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()

    @property
    def stored(self) -> pa.Schema:
        """The columns that its data files hold: that of the partition is in their path."""
        return pa.schema([field for field in self.schema if field.name not in self.partition_by])
