"""The Silver job on Spark: engines.silver_loop, with Spark processing the lots.

Spark reads the rows of every lot, and splits and writes a large lot (split_in_spark.py). A lot that fits in one Arrow
table is processed by the driver in DuckDB, with the same SQL: for ten rows a Spark query of two joins and a window
takes half a second, DuckDB ten milliseconds. Both commit with the transaction (Stream.silver_app, lot).

Spark reads exactly the files that the log lists for a lot. Its own Delta reader would run a job to reconstruct the
table's state after each commit, which for a small lot is most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ventes.config import Settings
from ventes.contract.tables import of as tables_of
from ventes.deltalog import commit
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.engines.clean_rows import Known, known_rows
from ventes.engines.id_index import index_of
from ventes.engines.job import Crashed, Job
from ventes.engines.job import run as run_job
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult, SilverLoop
from ventes.engines.spark import write_files
from ventes.engines.spark.frames import FEW, collect
from ventes.engines.spark.jvm_lock import JvmLock
from ventes.engines.spark.session import Session, open_session
from ventes.engines.spark.split_in_spark import LotIds, split_in_spark
from ventes.engines.split_in_duckdb import split_in_duckdb, valid_ids
from ventes.lake import silver_recovery
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollups import partials_of
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import lock_path
from ventes.runtime.failpoints import failpoint

LOT_BYTES = 160_000_000
"""Bytes of the messages of a lot, before compression: those of 400,000 sales."""


def run(settings: Settings) -> int:
    """Run the Silver job until SIGTERM; its exit code (see engines.job.run)."""
    return run_job(settings, "silver", "spark", _body)


def _body(job: Job) -> int:
    settings = job.settings
    session = open_session(settings, "silver")
    try:
        job.reporter.update(children=[session.jvm_pid])
        for remark in session.remarks:
            job.log.warning("this Spark was started otherwise: %s", remark)
        rhythm = settings.spark.silver_trigger_seconds
        tables = OpenTables(settings)
        loop = SilverLoop(
            job,
            SparkSilver(settings, tables, session, progress=job.reporter.begin_work),
            tables,
            max_rows=settings.spark.max_rows_per_batch,
            max_bytes=LOT_BYTES,
            poll_seconds=rhythm,
            idle_seconds=rhythm,
        )
        return loop.run()
    finally:
        session.close()


class SparkSilver:
    """A SilverEngine in a session that the caller opens and closes.

    `progress` is called while the index of ids is built.
    """

    name = "spark"

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        session: Session,
        *,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._session = session
        self._spark = session.spark
        self._own = tables_of(settings)
        self._app_id = settings.stream.silver_app
        self._id = settings.stream.event.field(settings.stream.event.id)
        self._lock = JvmLock(session.jvm, lock_path(settings, "silver"))
        self.database = RecycledDatabase(settings.embedded.memory_mb)
        self.known_ids = index_of(settings, self.database, progress)

    def lock(self) -> None:
        self._lock.acquire()

    def require_lock(self) -> None:
        self._lock.require()

    def close(self) -> None:
        self.known_ids.close()
        self.database.close()
        if self._session.alive:
            self._lock.release()

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        """See SilverEngine. The tables exist: the loop has recovered them."""
        try:
            return self._take(lot_range, lot)
        except (PySparkException, Py4JError, OSError):
            if self._session.usable:
                raise
            raise Crashed(self._session.exit_reason) from None

    def _take(self, lot_range: LotRange, lot: int) -> LotResult:
        self.database.begin()
        bronze = self._tables.log(self._own.bronze)
        rows = self._read(self._own.bronze, filter(lot_range.holds, bronze.files.values())).where(lot_range.predicate())
        now = datetime.now(timezone.utc)
        if lot_range.messages <= FEW:
            few = collect(rows, self._own.bronze.schema)
            if few is not None:
                return self._take_few(few, lot, now)
        return self._take_many(rows, lot, now)

    # -- a lot that fits one Arrow table ------------------------------------------------------------------------------

    def _take_few(self, rows: pa.Table, lot: int, now: datetime) -> LotResult:
        clean = self._tables.log(self._own.clean)
        known = self.known_ids.find(valid_ids(self._settings.stream, rows), clean)
        found = known_rows(self.database.con, clean, self._own.clean, self._id.clean_name, known)
        split = split_in_duckdb(self.database.con, rows, found, self._settings, lot, now)
        failpoint("silver.before_rejets")
        if split.rejets.num_rows:
            self._append_rejects(split.rejets, lot)
        failpoint("silver.after_rejets")
        rejects = silver_recovery.rejects_of(self._tables)
        if commit.append(clean, self._own.clean, split.clean, self._app_id, lot, rejects) is not None:
            self.known_ids.add(split.clean[self._id.clean_name], lot)
        failpoint("silver.after_clean")
        return LotResult(split.clean.num_rows, split.rejets.num_rows, split.partials)

    # -- a large lot --------------------------------------------------------------------------------------------------

    def _take_many(self, rows: DataFrame, lot: int, now: datetime) -> LotResult:
        clean = self._tables.log(self._own.clean)
        lot_ids = LotIds.of(rows, self._id.name)
        found = self._known_rows(clean, self.known_ids.find(lot_ids.valid, clean))
        try:
            split = split_in_spark(self._spark, self.database.con, rows, lot_ids, found, self._settings, lot, now)
            failpoint("silver.before_rejets")
            if split.rejected_rows:
                self._append_rejects(split.rejets, lot)
            failpoint("silver.after_rejets")
            rejects = silver_recovery.rejects_of(self._tables)
            added = write_files.append(clean, self._own.clean, split.clean, self._app_id, lot, rejects)
            failpoint("silver.after_clean")
        finally:
            self._spark.catalog.clearCache()
        return LotResult(split.clean_rows, split.rejected_rows, self._partials(clean, added))

    def _append_rejects(self, rows: DataFrame | pa.Table, lot: int) -> None:
        table = self._own.rejets
        log = self._tables.log(table)
        if isinstance(rows, pa.Table):
            commit.append(log, table, rows, self._app_id, lot)
        else:
            write_files.append(log, table, rows, self._app_id, lot)

    def _known_rows(self, clean: Log, known: Known) -> DataFrame:
        """The clean rows that have an id of `known`."""
        table, name = self._own.clean, self._id.clean_name
        if not known:
            return self._read(table, [])
        wanted = F.broadcast(self._spark.createDataFrame(pa.table({name: known.ids})))
        return self._read(table, known.files(clean)).where(known.condition).join(wanted, name, "left_semi")

    def _partials(self, clean: Log, added: Iterable[DataFile]) -> dict[str, pa.Table]:
        """The partials of the files just written, computed by DuckDB: 400,000 rows in 0.1 s."""
        paths = {file.path for file in added}
        Snapshot.of_log(clean, self._own.clean).view(self.database.con, "clean", lambda file: file.path in paths)
        found = partials_of(self.database.con, self._settings)
        self.database.con.execute("DROP VIEW clean")
        return found

    def _read(self, table: Table, files: Iterable[DataFile]) -> DataFrame:
        """The rows of some of a table's files, with the contract's columns."""
        path = path_of(self._settings, table)
        schema = from_arrow_schema(table.schema)
        paths = [str(path / file.path) for file in files]
        if not paths:
            return self._spark.createDataFrame([], schema)
        return self._spark.read.schema(schema).option("basePath", str(path)).parquet(*paths)
