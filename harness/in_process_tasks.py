"""Spark's tasks without Spark: as much of a SparkContext as the large lots use. Arguments and results are pickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.database import RecycledDatabase
from ventes.engines.bronze_row_groups import BronzeRowGroups
from ventes.engines.id_index import index_of
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult
from ventes.engines.spark.large_lots import LargeLots
from ventes.engines.spark.lot_parts import parts_of
from ventes.lake.open_tables import OpenTables

Measured = Callable[[], AbstractContextManager[None]]
"""Entered while a task works."""


class Rdd:
    def __init__(self, partitions: Sequence[Sequence[Any]], measured: Measured) -> None:
        self._partitions = partitions
        self._measured = measured

    def map(self, function: Callable[[Any], Any]) -> Rdd:
        return self.mapPartitions(partial(map, function))

    def flatMap(self, function: Callable[[Any], Iterable[Any]]) -> Rdd:
        return self.mapPartitions(lambda some: (made for one in some for made in function(one)))

    def mapPartitions(self, function: Callable[[Any], Iterable[Any]]) -> Rdd:
        with self._measured():
            task = pickle.loads(pickle.dumps(function)) if isinstance(function, partial) else function
            return Rdd([list(task(iter(some))) for some in self._partitions], self._measured)

    def partitionBy(self, count: int, place: Callable[[Any], int]) -> Rdd:
        parts: list[list[Any]] = [[] for _ in range(count)]
        for one in self._sent():
            parts[place(one[0])].append(pickle.loads(one[1]))
        return Rdd(parts, self._measured)

    def collect(self) -> list[Any]:
        return [pickle.loads(one[1]) for one in self._sent()]

    def _sent(self) -> list[tuple[Any, bytes]]:
        """(key, pickled) of every element."""
        with self._measured():
            return [
                (one[0] if isinstance(one, tuple) else None, pickle.dumps(one))
                for some in self._partitions
                for one in some
            ]


class Context:
    def __init__(self, measured: Measured = nullcontext, master: str = "local[2]") -> None:
        self._measured = measured
        self.master = master

    def parallelize(self, values: Sequence[Any], _slices: int) -> Rdd:
        return Rdd([[pickle.loads(pickle.dumps(value))] for value in values], self._measured)


class LargeLotsInProcess:
    """A SilverEngine that takes every lot as a large one, without Spark."""

    name = "in process"
    merging = None

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        measured: Measured = nullcontext,
        cores: int = 2,
        require_lock: Callable[[], None] = lambda: None,
        master: str = "local[2]",
    ) -> None:
        self._bronze = contract.of(settings).bronze
        self._tables = tables
        self._cores = cores
        self._row_groups = BronzeRowGroups()
        self.database = RecycledDatabase(settings.embedded.memory_mb)
        self.known_ids = index_of(settings, self.database)
        context: Any = Context(measured, master)
        self.lots = LargeLots(settings, tables, context, self.database, self.known_ids, require_lock)

    def lock(self) -> None:
        pass

    def require_lock(self) -> None:
        pass

    def close(self) -> None:
        self.known_ids.close()
        self.database.close()

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        self.database.begin()
        bronze = self._tables.snapshot(self._bronze)
        files = list(filter(lot_range.holds, bronze.files))
        groups = self._row_groups.of_each(bronze.path, files)
        parts = parts_of(files, groups, lot_range, self._cores)
        return self.lots.take(replace(bronze, files=tuple(files)), parts, lot_range, lot)
