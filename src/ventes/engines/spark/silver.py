"""The Silver job on Spark: engines.silver_loop, with Spark's tasks processing the large lots (large_lots.py).

A small lot is taken by the driver as the embedded engine does (duckdb_lots.py), without Spark, whose jobs would cost
more than the rows do. Both ways commit with the transaction (Stream.silver_app, lot).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from ventes.config import Settings
from ventes.contract.tables import of as tables_of
from ventes.deltalog.database import RecycledDatabase
from ventes.engines.bronze_row_groups import BronzeRowGroups
from ventes.engines.duckdb_lots import DuckDBLots
from ventes.engines.id_index import index_of
from ventes.engines.job import Crashed, Job, while_the_store_answers
from ventes.engines.job import run as run_job
from ventes.engines.lot_range import LOT_BYTES, LotRange, RowGroup
from ventes.engines.silver_loop import LotResult, SilverLoop, paces
from ventes.engines.spark.jvm_lock import JvmLock
from ventes.engines.spark.large_lots import LargeLots
from ventes.engines.spark.lot_parts import parts_of
from ventes.engines.spark.merging import TaskMerging
from ventes.engines.spark.session import Session, open_session
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import lock_path
from ventes.runtime import disk

MOST_BYTES = 160_000_000
"""Bytes of the messages of a lot, before compression: those of 400,000 sales."""
FEW, FEW_BYTES = 20_000, LOT_BYTES
"""Rows, and bytes before compression, of a lot that the driver takes without Spark: it needs memory as the embedded
engine does."""


def run(settings: Settings) -> int:
    """Run the Silver job until SIGTERM; its exit code (see engines.job.run)."""
    return run_job(settings, "silver", "spark", _body)


def _body(job: Job) -> int | None:
    settings = job.settings
    session = open_session(settings, "silver", job)
    try:
        job.reporter.update(children=[session.jvm_pid])
        for remark in session.remarks:
            job.log.warning("this Spark was started otherwise: %s", remark)
        # an outage of the store of the lake is waited for with the same JVM
        return while_the_store_answers(job, partial(_run, session))
    finally:
        session.close()


def _run(session: Session, job: Job) -> int:
    settings = job.settings
    rhythm = settings.spark.silver_trigger_seconds
    tables = OpenTables(settings)
    loop = SilverLoop(
        job,
        SparkSilver(settings, tables, session, progress=job.reporter.begin_work, waits=job.wait_for),
        tables,
        max_rows=settings.spark.max_rows_per_batch,
        max_bytes=MOST_BYTES,
        poll_seconds=rhythm,
        idle_seconds=rhythm,
        **paces(settings),
    )
    return loop.run()


class SparkSilver:
    """A SilverEngine in a session that the caller opens and closes.

    `progress` is called while the index of ids is built, `waits` while the lock is waited for.
    """

    name = "spark"

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        session: Session,
        *,
        progress: Callable[[], None] = lambda: None,
        waits: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._tables = tables
        self._session = session
        self._bronze = tables_of(settings).bronze
        self._lock = JvmLock(session.jvm, lock_path(settings, "silver"), waits)
        self.database = RecycledDatabase(settings.embedded.memory_mb)
        self.known_ids = index_of(settings, self.database, progress)
        self._row_groups = BronzeRowGroups()
        self._small_lots = DuckDBLots(settings, tables, self.database, self.known_ids)
        context = session.spark.sparkContext
        self._large_lots = LargeLots(settings, tables, context, self.database, self.known_ids, self.require_lock)
        self.merging = TaskMerging(context, self._large_lots.lake) if settings.spark.on_cluster else None

    def lock(self) -> None:
        self._lock.acquire()

    def require_lock(self) -> None:
        """See SilverEngine. Raises Crashed if the JVM has ended, and the lock with it: a small lot does not need it."""
        if not self._session.alive:
            raise Crashed(self._session.exit_reason)
        self._lock.require()

    def close(self) -> None:
        self.known_ids.close()
        self.database.close()
        self._lock.release(jvm=self._session.alive)

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        """See SilverEngine. The tables exist: the loop has recovered them."""
        try:
            return self._take(lot_range, lot)
        except (PySparkException, Py4JError, OSError) as error:
            if not self._session.usable:
                raise Crashed(self._session.exit_reason) from None
            if isinstance(error, OSError):
                raise
            said = str(error)  # now: Spark's errors have no text without a session
            lake = self._large_lots.lake()
            if told := lake.told(said):
                raise told from None
            if disk.is_told_full(said):
                raise OSError(errno.ENOSPC, "a task of Spark found its disk full") from None
            raise RuntimeError(lake.as_named_here(said)) from None

    def _take(self, lot_range: LotRange, lot: int) -> LotResult:
        self.database.begin()
        bronze = self._tables.snapshot(self._bronze)
        files = list(filter(lot_range.holds, bronze.files))
        groups = self._row_groups.of_each(bronze.path, files)
        if self._is_small(lot_range, groups):
            return self._small_lots.take(lot_range, lot)
        parts = parts_of(files, groups, lot_range, self._session.spark.sparkContext.defaultParallelism)
        return self._large_lots.take(replace(bronze, files=tuple(files)), parts, lot_range, lot)

    def _is_small(self, lot_range: LotRange, groups: Iterable[Iterable[RowGroup]]) -> bool:
        """Whether a lot has few rows and bytes; row groups that it has only a part of count as a whole."""
        inside = [group for of_file in groups for group in of_file if lot_range.meets(group.bounds)]
        rows = min(lot_range.messages, sum(group.rows for group in inside))  # offsets may be without a message
        return rows <= FEW and sum(group.size for group in inside) <= FEW_BYTES
