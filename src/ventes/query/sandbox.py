"""SQL typed by a person: one SELECT in Spark's dialect, run by DuckDB in a child process that can do nothing else.

Three barriers, independent of each other:
  1. the text: parsed, a single SELECT, over the tables that are offered and nothing else (`translated`);
  2. DuckDB: no file but the tables' own, no extension, no change of settings (sandbox_child.py);
  3. the process: no writing (RLIMIT_FSIZE 0), memory and CPU limits, an empty environment, killed when time is up.
"""

from __future__ import annotations

import io
import json
import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from ventes.errors import UsageError, VentesError
from ventes.query.readable import Readable
from ventes.runtime.child_environment import variables

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it would log what people type

CHILD = Path(__file__).with_name("sandbox_child.py")
MAX_CHARACTERS = 20_000
"""Of a query: the page parses some 70 kB per second, and everybody waits meanwhile."""
START_SECONDS = 30.0
"""How long a child may take until it is ready, on a busy machine."""
TABLE_FUNCTIONS = frozenset(
    {"RANGE", "EXPLODE", "EXPLODE_OUTER", "POSEXPLODE", "UNNEST", "GENERATE_SERIES", "SEQUENCE"}
)
"""What may stand in FROM, beside tables: functions that read no file."""
_FORBIDDEN = (exp.Command, exp.DDL, exp.DML, exp.Into, exp.Set, exp.Pragma, exp.Attach, exp.Copy, exp.Use, exp.Drop)


class SqlRefused(UsageError):
    """The text is not one SELECT over the tables there are."""


class SqlFailed(VentesError):
    """DuckDB could not run it, or it took too long or too much."""


@dataclass(frozen=True)
class Limits:
    """None is no limit."""

    seconds: float | None = 2.0
    rows: int | None = 10_000
    memory_mb: int = 512
    result_mb: int | None = 64
    """Of the result as Arrow: a single cell can be as large as the child's memory."""


@dataclass(frozen=True)
class Answer:
    """`truncated`: there were more rows than the limit."""

    table: pa.Table
    truncated: bool
    seconds: float

    @property
    def nbytes(self) -> int:
        return int(self.table.nbytes)


@dataclass(frozen=True)
class Translated:
    """A query for DuckDB and the tables that it reads."""

    sql: str
    tables: tuple[str, ...]


@lru_cache(maxsize=64)
def translated(query: str, tables: frozenset[str]) -> Translated:
    """`query` (Spark's dialect) for DuckDB, if it is one SELECT over `tables`. Raises SqlRefused."""
    if len(query) > MAX_CHARACTERS:
        raise SqlRefused(f"this has {len(query):,} characters", f"write it with at most {MAX_CHARACTERS:,}")
    try:
        statements = [statement for statement in sqlglot.parse(query, read="spark") if statement is not None]
        if len(statements) != 1:
            raise SqlRefused(f"this holds {len(statements)} statements", "one SELECT is allowed")
        (statement,) = statements
        if not isinstance(statement, exp.Query) or statement.find(*_FORBIDDEN):
            raise SqlRefused("only a SELECT is allowed", "the tables can be read, not changed")
        used = _tables_used(statement, tables)
        return Translated(statement.sql("duckdb", identify=True), tuple(sorted(used)))
    except SqlglotError as error:
        raise SqlRefused(f"this cannot be run here: {_first_line(error)}", "correct it, or write it simpler") from None
    except RecursionError:
        raise SqlRefused("this is nested too deeply", "write it with fewer brackets") from None


def _tables_used(statement: exp.Expr, tables: frozenset[str]) -> set[str]:
    """Raises SqlRefused for a table that is not offered, and for a function in FROM that is not in TABLE_FUNCTIONS."""
    for source in statement.find_all(exp.Table, exp.Lateral):
        if isinstance(source.this, exp.Func):
            function = source.this.name if isinstance(source.this, exp.Anonymous) else source.this.sql_name()
            if function.upper() not in TABLE_FUNCTIONS:
                raise SqlRefused(f"the table function {function} is not allowed", f"there are {_listed(tables)}")
    own = _names_of_own(statement)
    used = set()
    for table in statement.find_all(exp.Table):
        if id(table) in own or isinstance(table.this, exp.Func):
            continue
        name = table.name.lower()
        if table.db or table.catalog or name not in tables:
            raise SqlRefused(f"there is no table {table.sql('spark')}", f"there are {_listed(tables)}")
        used.add(name)
    return used


def _names_of_own(statement: exp.Expr) -> set[int]:
    """Ids of the nodes that name no table but a WITH query of the statement, where they stand."""
    return {
        id(node)
        for scope in traverse_scope(statement)
        for node, source in scope.selected_sources.values()
        if isinstance(source, Scope)
    }


def run(query: str, tables: Mapping[str, Readable], limits: Limits) -> Answer:
    """Run `query` over `tables` (by their name in SQL). Raises SqlRefused or SqlFailed."""
    started = time.monotonic()
    batches: list[pa.RecordBatch] = []
    rows = 0
    with stream(query, tables, limits) as (schema, reader):
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if limits.rows is not None and rows > limits.rows:
                break
    table = pa.Table.from_batches(batches, schema)
    truncated = limits.rows is not None and rows > limits.rows
    return Answer(table.slice(0, limits.rows), truncated, time.monotonic() - started)


@contextmanager
def stream(
    query: str, tables: Mapping[str, Readable], limits: Limits
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema and the batches of the result as they come; memory stays bounded. Ends the child in any case.

    Raises SqlRefused or SqlFailed, the latter also while batches are read. `limits.rows` is not applied here.
    """
    ready = translated(query, frozenset(tables))
    task = {
        "sql": ready.sql,
        "views": {name: tables[name].select() for name in ready.tables},
        "paths": [path for name in ready.tables for path in tables[name].paths()],
        "memory_mb": limits.memory_mb,
        "cpu_seconds": None if limits.seconds is None else math.ceil(limits.seconds * 2) + 5,
    }
    child = _Child(task, limits)
    try:
        yield child.schema(), child.batches()
    finally:
        child.end()


class _Child:
    """One sandbox_child.py, its deadline and its result."""

    def __init__(self, task: dict[str, Any], limits: Limits) -> None:
        self._limits = limits
        self._expired = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables({}),
            cwd="/",
            start_new_session=True,
        )
        self._errors = b""
        self._error_reader = threading.Thread(target=self._read_errors, daemon=True)
        self._error_reader.start()
        self._timer = self._deadline(START_SECONDS)
        try:
            assert self._process.stdin is not None
            with self._process.stdin as pipe:
                pipe.write(json.dumps(task).encode())
        except BrokenPipeError:
            pass  # it has ended already; its stderr has the cause

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors = self._process.stderr.read(100_000)

    def _deadline(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def schema(self) -> pa.Schema:
        assert self._process.stdout is not None
        if self._process.stdout.read(1) != b"R":
            raise self._failure()
        self._timer.cancel()
        if self._limits.seconds is not None:
            self._timer = self._deadline(self._limits.seconds)
        try:
            self._reader = pa.ipc.open_stream(_Bounded(self._process.stdout, self._limits.result_mb))
        except (pa.ArrowException, OSError):
            raise self._failure() from None
        return self._reader.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._reader
        except (pa.ArrowException, OSError):
            raise self._failure() from None
        if self._process.wait() != 0:
            raise self._failure()

    def _failure(self) -> SqlFailed:
        self._process.stdout.close()  # type: ignore[union-attr]
        status = self._process.wait()
        self._error_reader.join(5)
        if self._expired:
            return SqlFailed(
                f"the query took longer than {self._limits.seconds:g} s and was ended"
                if self._limits.seconds is not None
                else "the query could not be started in time",
                "narrow it (a WHERE on jour helps), or export the table",
            )
        said = self._errors.decode("utf-8", "replace").strip()
        if status < 0 or "Out of Memory" in said or "bad_alloc" in said or "std::" in said:
            return SqlFailed(
                f"the query needs more than the {self._limits.memory_mb} MB it may use",
                "aggregate earlier or read fewer columns",
            )
        return SqlFailed(_first_line(said) or f"the query ended with status {status}", "correct the query")

    def end(self) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        self._error_reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class _Bounded(io.RawIOBase):
    """A pipe that refuses to give more than so many MB."""

    def __init__(self, pipe: Any, limit_mb: int | None) -> None:
        self._pipe = pipe
        self._left = None if limit_mb is None else limit_mb << 20
        self._limit_mb = limit_mb

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left is not None:
            if size > self._left:
                raise SqlFailed(f"the result is larger than {self._limit_mb} MB", "read fewer or shorter columns")
            self._left -= max(0, size)
        data: bytes = self._pipe.read(size)
        return data


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else ""


def _listed(tables: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(tables))
