"""DuckDB connections: private, in memory, in UTC, with a memory limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from weakref import WeakKeyDictionary

import duckdb
import pyarrow as pa

from ventes.runtime import scratch


def connect(
    memory_mb: int = 256, threads: int = 2, *, rereads: bool = False, spills: bool = True
) -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB in UTC, bounded in memory; its cursors too.

    What exceeds `memory_mb` goes to files in a folder of this connection alone: by DuckDB's default it would be ./.tmp,
    where the names of files are fixed and two databases read each other's. With `spills=False`, or where no such folder
    can be made, it fails with OutOfMemoryException.

    `rereads`: cache what was read, for a connection that reads the same files repeatedly. A job reads each file once,
    ten files per second: the cache would keep 50 kB of each, up to `memory_mb`.
    """
    folder = _spill_folder() if spills else ""
    con = duckdb.connect(config={"memory_limit": f"{memory_mb}MB", "threads": threads, "temp_directory": folder})
    kept = str(rereads).lower()
    for setting in ("TimeZone = 'UTC'", f"parquet_metadata_cache = {kept}", f"enable_external_file_cache = {kept}"):
        con.execute(f"SET GLOBAL {setting}")
    return con


def _spill_folder() -> str:
    """DuckDB makes it when something is spilled, and removes it at the end of the connection."""
    try:
        return str(scratch.place("spilled"))
    except OSError:
        return ""


Parameter = int | datetime
"""Of a query: CAST($name AS BIGINT) or CAST($name AS TIMESTAMPTZ) in its text. A value of another type than the query
was planned with, as DuckDB takes a small number for an INTEGER, would be planned again: 2 ms instead of 0.9."""


def run(
    con: duckdb.DuckDBPyConnection, query: str, relations: Mapping[str, pa.Table], **parameters: Parameter
) -> pa.Table:
    """The query's result over these relations. It is planned the first time only, on this connection.

    Raises duckdb.Error.
    """
    return prepared(con, query, {name: rows.schema for name, rows in relations.items()})[0].run(relations, **parameters)


def prepared(
    con: duckdb.DuckDBPyConnection, query: str, schemas: Mapping[str, pa.Schema], times: int = 1
) -> list[Prepared]:
    """The query on this connection, at least so many times: those that were not planned yet are planned now."""
    known = _PREPARED.setdefault(con, {})
    key = (query, *schemas.items())
    planned = known.pop(key, [])
    planned += [Prepared(con, query, schemas) for _ in range(times - len(planned))]
    known[key] = planned  # the last one used is at the end
    if len(known) > _MOST_PREPARED:
        del known[next(iter(known))]
    return planned


class Prepared:
    """A query that is planned once: for the few rows of a lot that takes longer than running it.

    It has a connection of its own to the database of `con`, and holds nothing of the rows or the result afterwards.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, query: str, schemas: Mapping[str, pa.Schema]) -> None:
        self._con = con.cursor()
        self._relations = {name: _Rows(schema.empty_table()) for name, schema in schemas.items()}
        for name, rows in self._relations.items():
            self._con.register(name, rows)
        self._con.execute(f"PREPARE prepared AS {query}")

    def run(self, relations: Mapping[str, pa.Table], **parameters: Parameter) -> pa.Table:
        """The result for these rows, by one thread. Not to be called by two threads at the same time."""
        given = ", ".join(f"{name} := {_literal(value)}" for name, value in parameters.items())
        for name, rows in relations.items():
            self._relations[name].table = rows
        try:
            return self._con.execute(f"EXECUTE prepared{f'({given})' if given else ''}").to_arrow_table()
        finally:
            for empty in self._relations.values():
                empty.clear()


_PREPARED: WeakKeyDictionary[duckdb.DuckDBPyConnection, dict[tuple[object, ...], list[Prepared]]] = WeakKeyDictionary()
_MOST_PREPARED = 64
"""Queries of one connection; a lot of a stream with five tables needs some twenty."""


class _Rows:
    """What DuckDB has registered as a relation, whose rows are others at each run."""

    def __init__(self, empty: pa.Table) -> None:
        self._empty = self.table = empty

    def clear(self) -> None:
        self.table = self._empty

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def _literal(value: Parameter) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f+00:00}'"
    return f"{value}::BIGINT"


class RecycledDatabase:
    """A DuckDB from `connect`, replaced by a new one after every USES lots or batches, for a job that runs for months.

    DuckDB 1.5 keeps up to 4 kB for each aggregate and join until 10,000 have been run, 45 MB per database, and frees
    them only when the database is closed. A new one takes 10 ms.

    It has one thread: a lot's queries read a few thousand rows. With two, a lot of one sale took 60 ms of CPU instead
    of 50, and a lot of 50,000 was no faster on two cores.
    """

    USES = 100

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb
        self._used = 0
        self.con = connect(memory_mb, threads=1)

    def begin(self) -> None:
        """Call before each lot or batch: `con` may be a new connection afterwards, without the earlier views."""
        if self._used >= self.USES:
            self.con.close()
            self.con = connect(self._memory_mb, threads=1)
            self._used = 0
        self._used += 1

    def close(self) -> None:
        self.con.close()
