"""A scratch database of `verify`, and short questions to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ventes.check.report import SHOWN

MEMORY_MB = 1024
"""Of DuckDB. What needs more goes through the disk: slower, with the same result."""


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    """The first SHOWN rows."""
    return con.execute(f"SELECT * FROM ({query}) LIMIT {SHOWN}").fetchall()


def columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in con.execute(f"SELECT column_name FROM (DESCRIBE {relation})").fetchall()]


def count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def database(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch database on disk, so that a table larger than memory can be verified."""
    con = duckdb.connect(
        str(folder / "verify.duckdb"),
        config={
            "temp_directory": str(folder),
            "memory_limit": f"{MEMORY_MB}MB",
            "preserve_insertion_order": False,
        },
    )
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    try:
        yield con
    finally:
        con.close()
