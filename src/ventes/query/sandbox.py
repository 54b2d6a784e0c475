"""SQL typed by a person: one SELECT in Spark's dialect, run by DuckDB in a child process that can do nothing else.

Three fences, independent of each other:
  1. the text: parsed, a single SELECT, over the tables, functions and pieces of SQL that are offered (translate.py);
  2. DuckDB: no file but the tables' own, no extension, no change of settings (sandbox_child.py);
  3. the process: no writing (RLIMIT_FSIZE 0), memory and CPU limits, an empty environment, killed when time is up.

This process never parses a text: one child translates it, and what came of it is kept; another one, which never sees
the text as typed, runs it. Two, because the page must know which tables a query reads before it runs anything (a result
that is kept needs no run), and because a text that is known is run without importing sqlglot. On two cores that were
busy with other work a new text takes 0.65 s, a known one 0.45 s; 0.42 s when the page parsed it itself.
"""

from __future__ import annotations

import io
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ventes.query import values
from ventes.query.child_process import Child, DataFileUnreadable, child
from ventes.query.outcome import SqlFailed, SqlRefused, TableUnreadable, Translated
from ventes.query.readable import Readable, TableToRead

__all__ = [
    "Answer",
    "Limits",
    "SqlFailed",
    "SqlRefused",
    "TableUnreadable",
    "Translated",
    "run",
    "stream",
    "translated",
]

MAX_CHARACTERS = 20_000
"""Of a query."""
TRANSLATION_SECONDS = 5.0
TRANSLATION_MB = 256
KEPT = 128
"""Translations that are kept, some 10 MB at most."""


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
    """`truncated`: there were more rows than the limit. Every value of `table` has a form in Python."""

    table: pa.Table
    truncated: bool
    seconds: float

    @property
    def nbytes(self) -> int:
        return int(self.table.nbytes)


class _Kept:
    """The translations of the last texts, refusals too. Threads may share it."""

    def __init__(self) -> None:
        self._of: OrderedDict[tuple[str, frozenset[str]], Translated | SqlRefused] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: tuple[str, frozenset[str]]) -> Translated | SqlRefused | None:
        with self._guard:
            if key in self._of:
                self._of.move_to_end(key)
            return self._of.get(key)

    def put(self, key: tuple[str, frozenset[str]], found: Translated | SqlRefused) -> None:
        with self._guard:
            self._of[key] = found
            while len(self._of) > KEPT:
                self._of.popitem(last=False)


_kept = _Kept()


def translated(query: str, tables: Collection[str]) -> Translated:
    """`query` (Spark's dialect) for DuckDB, if it is one SELECT over `tables`.

    Raises SqlRefused, and SqlFailed where that alone takes too long or too much memory.
    """
    if len(query) > MAX_CHARACTERS:
        raise SqlRefused(f"this has {len(query):,} characters", f"write it with at most {MAX_CHARACTERS:,}")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise SqlRefused("this is not UTF-8", "type it again") from None
    key = (query, frozenset(tables))
    found = _kept.get(key)
    if found is None:
        task = {"query": query, "tables": sorted(tables), **_kernel_limits(TRANSLATION_SECONDS, TRANSLATION_MB)}
        with child("translate", task, TRANSLATION_SECONDS, TRANSLATION_MB) as process:
            answer = process.out.read()
            process.wait()
        said = json.loads(answer)
        if "refused" in said:
            found = SqlRefused(*said["refused"])
        else:
            found = Translated(said["sql"], tuple(said["tables"]), tuple(said["counts"]), said["counts_only"])
        _kept.put(key, found)
    if isinstance(found, SqlRefused):
        raise SqlRefused(found.message, found.hint)
    return found


def _kernel_limits(seconds: float | None, memory_mb: int) -> dict[str, Any]:
    return {"memory_mb": memory_mb, "cpu_seconds": None if seconds is None else math.ceil(seconds * 2) + 5}


def run(query: str, tables: Mapping[str, Readable], limits: Limits) -> Answer:
    """Run `query` over `tables` (by their name in SQL). Raises SqlRefused, SqlFailed or TableUnreadable."""
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
    return Answer(values.for_python(table.slice(0, limits.rows)), truncated, time.monotonic() - started)


@contextmanager
def stream(
    query: str, tables: Mapping[str, Readable], limits: Limits
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema and the batches of the result as they come; memory stays bounded. Ends the child in any case.

    Column names differ: the second `a` is `a_2`. Raises SqlRefused, SqlFailed or TableUnreadable, the last two also
    while batches are read. `limits.rows` is not applied here.
    """
    ready = translated(query, tables)
    known = {name: _rows_only(tables[name]) if ready.counts_only else tables[name] for name in ready.tables}
    files = {path: name for name in ready.tables for path in known[name].paths()}
    task = {
        "sql": ready.sql,
        "views": {name: known[name].select() for name in ready.tables},
        "paths": list(files),
        **_kernel_limits(limits.seconds, limits.memory_mb),
    }
    with _unreadable_named(files), child("run", task, limits.seconds, limits.memory_mb) as process:
        try:
            reader = pa.ipc.open_stream(_Bounded(process.out, limits.result_mb))
        except (pa.ArrowException, OSError):
            raise process.failure() from None
        yield reader.schema, _batches(process, reader, files)


def _rows_only(table: Readable) -> Readable:
    """A table with as many rows, which the log tells: 9,000 files are not opened to count them."""
    return table if table.rows is None else TableToRead(f"SELECT NULL FROM range({table.rows})", [])


@contextmanager
def _unreadable_named(files: Mapping[str, str]) -> Iterator[None]:
    """A data file that cannot be read becomes a TableUnreadable with the name of its table."""
    try:
        yield
    except DataFileUnreadable as error:
        what = "is damaged" if Path(error.path).exists() else "is gone"
        raise TableUnreadable(
            f"data file {error.path} of the table {files.get(error.path, '?')} {what}",
            "run it again; if that does not help, `ventes doctor` says what to do",
        ) from None


def _batches(process: Child, reader: pa.RecordBatchReader, files: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    with _unreadable_named(files):
        try:
            yield from reader
        except (pa.ArrowException, OSError):
            raise process.failure() from None
        process.wait()


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
