"""Takes large lots: Spark's tasks read, split and write them (lot_tasks.py), the driver decides and commits.

Nearly all rows of a real lot are plain: valid, with an id that occurs nowhere else. The tasks first tell the driver the
keys of the ids, 8 bytes for each row, and which of them are in the files of the index of ids. What is twice among them,
or in the index, is doubtful, and these rows come together by their key in further tasks; all others are written where
they are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ventes.config import Settings
from ventes.contract.tables import of as tables_of
from ventes.deltalog import commit
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.clean_rows import holds_any
from ventes.engines.id_index import IdIndex
from ventes.engines.id_runs import Numbers, in_order
from ventes.engines.lot_measures import LotColumns
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult
from ventes.engines.spark.lot_parts import PART_ROWS, Part
from ventes.engines.spark.lot_tasks import Keys, Lot, Written, is_in, keys_of_part, split_doubtful, split_part
from ventes.engines.spark.task_lake import TaskLake
from ventes.lake import silver_recovery
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollup_partials import partials_together
from ventes.runtime.failpoints import failpoint
from ventes.store import places

if TYPE_CHECKING:
    from pyspark import SparkContext


class LargeLots:
    """`database` and `known_ids` belong to the engine, which closes them. `require_lock` is called before each commit:
    tasks may have taken a while."""

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        context: SparkContext,
        database: RecycledDatabase,
        known_ids: IdIndex,
        require_lock: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._context = context
        self._database = database
        self._known_ids = known_ids
        self._require_lock = require_lock
        self._own = tables_of(settings)
        self._app_id = settings.stream.silver_app

    def take(self, bronze: Snapshot, parts: Sequence[Part], lot_range: LotRange, number: int) -> LotResult:
        """See SilverEngine. `bronze`: with the files of the lot, whose rows are in `parts`."""
        clean, rejets = self._tables.log(self._own.clean), self._tables.log(self._own.rejets)
        lake = self.lake()
        lot = Lot(
            self._settings.stream,
            self._settings.rules,
            self._settings.embedded.memory_mb,
            lake,
            bronze,
            replace(Snapshot.of_log(clean, self._own.clean), files=()),
            replace(Snapshot.of_log(rejets, self._own.rejets), files=()),
            None if lake.elsewhere else self._known_ids.files(clean),
            lot_range,
            number,
            datetime.now(timezone.utc),
        )
        of_parts = self._keys(lot, parts)
        keys = _merged([part.keys for part in of_parts])
        lot = self._with_doubtful(lot, keys, of_parts, clean)
        with ThreadPoolExecutor(1, "ids") as beside:  # the driver has nothing to do while tasks work
            writing = beside.submit(self._known_ids.write_due, clean)
            made = self._written(lot, parts, keys)
            writing.result()
        failpoint("silver.before_rejets")
        if rejected := [file for some in made for file in some.rejets]:
            self._commit(rejets, rejected, {}, number)
        failpoint("silver.after_rejets")
        rejects = silver_recovery.rejects_of(self._tables)
        if self._commit(clean, [file for some in made for file in some.clean], rejects, number):
            plain = keys[~is_in(lot.doubtful, keys)]
            self._known_ids.add_keys(np.concatenate([plain, *(some.keys for some in made)]), number)
        failpoint("silver.after_clean")
        return LotResult(
            sum(some.clean_rows for some in made),
            sum(some.rejected_rows for some in made),
            partials_together(self._database.con, self._settings, [some.partials for some in made]),
            LotColumns.together([some.columns for some in made]),
        )

    def lake(self) -> TaskLake:
        """The lake as the tasks of a lot reach it now."""
        mirror = places.of(self._settings.lake)
        generation = 0 if mirror is None else mirror.generation_of(self._settings.silver)
        return TaskLake.of(self._settings, self._context, generation=generation)

    def _keys(self, lot: Lot, parts: Sequence[Part]) -> list[Keys]:
        found: list[Keys] = self._context.parallelize(parts, len(parts)).map(partial(keys_of_part, lot)).collect()
        return found

    def _with_doubtful(self, lot: Lot, keys: Numbers, parts: Sequence[Keys], clean: Log) -> Lot:
        """The lot with the keys that several of its rows have, or a clean event, and where that one is."""
        again = np.zeros(len(keys), np.bool_)
        np.equal(keys[1:], keys[:-1], out=again[1:])
        if damage := next((part.damage for part in parts if part.damage), ""):
            self._known_ids.start_anew(clean, damage)
        if damage or lot.ids is None:
            found = self._known_ids.find_keys(keys[~again], clean)
        else:
            found = in_order([*(part.known for part in parts), *self._known_ids.find_in_memory(keys[~again])])
        doubtful = np.unique(np.concatenate([keys[again], found.keys]))
        lots = np.unique(found.lots)
        files = tuple(file for file in clean.files.values() if len(lots) and holds_any(file, lots))
        return replace(lot, doubtful=doubtful, known=found, clean=replace(lot.clean, files=files))

    def _written(self, lot: Lot, parts: Sequence[Part], keys: Numbers) -> list[Written]:
        """What the tasks have made of all rows."""
        rows = int(is_in(lot.doubtful, keys).sum())
        places = math.ceil(rows / PART_ROWS)
        made = self._context.parallelize(parts, len(parts)).flatMap(partial(split_part, lot, places))
        if places:
            made = made.partitionBy(places + 1, int)
        return made.mapPartitions(partial(split_doubtful, lot)).collect()

    def _commit(self, log: Log, files: Sequence[DataFile], also: Mapping[str, int], number: int) -> bool:
        """Commit the files of a lot, unless the table has the lot. Whether it did."""
        log.require_in_place()
        self._require_lock()
        if commit.has(log, self._app_id, number):
            return False
        commit.append_files(log, files, {**also, self._app_id: number})
        return True


def _merged(parts: Sequence[Numbers]) -> Numbers:
    """The keys of all parts, ascending."""
    keys = np.concatenate(parts)
    keys.sort(kind="stable")  # it merges what the tasks have sorted: linear
    return keys
