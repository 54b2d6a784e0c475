"""What a Python worker of Spark keeps from one task to the next. It runs one task after the other.

A DuckDB with its planned statements: opening one, planning and closing it were 40 ms of CPU of each task.

And what was loaded is taken out of the garbage collector: Spark's daemon calls gc.collect() after each task, which took
50 ms with the modules of this project, Arrow and pyspark in memory. A task of 50,000 sales takes 250.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
from pyspark import TaskContext

from ventes.deltalog.database import RecycledDatabase

_kept: dict[int, list[RecycledDatabase]] = {}
"""Limit of memory → databases that no task uses: one, unless a task has used two at the same time."""
_frozen = False


@contextmanager
def database(memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """For one task. It, and Arrow, have one thread: each other core runs its own task."""
    pa.set_cpu_count(1)
    kept = _kept.setdefault(memory_mb, [])
    try:
        own = kept.pop()
    except IndexError:
        own = RecycledDatabase(memory_mb)
    try:
        own.begin()
        yield own.con
    except BaseException:  # also of a task that is abandoned: its query may not have come to its end
        own.close()
        raise
    kept.append(own)
    _freeze()


def _freeze() -> None:
    """Once, at the end of the first task: everything that tasks need is loaded then."""
    global _frozen
    if _frozen or TaskContext.get() is None:
        return
    _frozen = True
    gc.collect()  # what is garbage now would stay for ever
    gc.freeze()
