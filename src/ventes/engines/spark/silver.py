"""The Silver job on Spark: engines.silver's loop, with Spark taking the lots.

Spark reads the rows of every lot. A large lot it also splits and writes (large_lot.py); what is small enough for one
Arrow table is finished by the driver in DuckDB, with the same SQL: a Spark query of two joins and a window costs half a
second and as much CPU for ten rows, DuckDB's ten milliseconds. Both commit under ("ventes-silver", lot).

Spark is given the very files that the log names for a lot. Its own Delta reader would reconstruct the table's state in
a job of its own after each commit, which for a small lot is most of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ventes.config import Settings
from ventes.contract.tables import BRONZE, CLEAN, REJETS, Table
from ventes.deltalog import commit
from ventes.deltalog.log import DataFile, Log
from ventes.deltalog.snapshot import Renewed, Snapshot
from ventes.engines import job
from ventes.engines.lot_range import Span
from ventes.engines.silver_loop import SilverLoop, Taken
from ventes.engines.spark.jvm_lock import JvmLock
from ventes.engines.spark.session import Session, open_session
from ventes.engines.spark.sink import FEW, Sink, collect
from ventes.engines.spark.split_in_spark import Census, may_hold, parts
from ventes.engines.split_in_duckdb import split as split_few
from ventes.lake import tables
from ventes.lake.rollups import APP, partials_of
from ventes.lake.writer_lock import lock_path
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper


def run(settings: Settings) -> int:
    """Run the Silver job until SIGTERM; its exit code (see engines.job.run)."""
    return job.run(settings, "silver", "spark", _body)


def _body(settings: Settings, log: logging.Logger, reporter: Reporter, stopper: Stopper) -> int:
    session = open_session(settings, "silver")
    try:
        reporter.update(children=[session.jvm_pid])
        for remark in session.remarks:
            log.warning("this Spark was started otherwise: %s", remark)
        rhythm = settings.spark.silver_trigger_seconds
        loop = SilverLoop(
            settings,
            SparkSilver(settings, session),
            stopper,
            reporter,
            max_rows=settings.spark.max_rows_per_batch,
            poll_seconds=rhythm,
            idle_seconds=rhythm,
        )
        return loop.run()
    finally:
        session.close()


class SparkSilver:
    """A SilverEngine in the session that its caller opened and will close."""

    name = "spark"

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._spark = session.spark
        self._lock = JvmLock(session.jvm, lock_path(settings, "silver"))
        self._database = Renewed(settings.embedded.memory_mb)

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._database.close()
        if self._session.alive:
            self._lock.release()

    def take(self, span: Span, lot: int) -> Taken:
        """See SilverEngine. The tables exist: the loop has recovered them."""
        try:
            return self._take(span, lot)
        except (PySparkException, Py4JError, OSError):
            if self._session.usable:
                raise
            raise job.Crashed(self._session.obituary) from None

    def _take(self, span: Span, lot: int) -> Taken:
        self._database.begin()
        bronze = Log.open(tables.path_of(self._settings, BRONZE), span.bronze_version)
        rows = self._read(BRONZE, filter(span.holds, bronze.files.values())).where(span.predicate())
        now = datetime.now(timezone.utc)
        if sum(upto - span.after.get(key, -1) for key, upto in span.upto.items()) <= FEW:
            few = collect(rows, BRONZE.schema)
            if few is not None:
                return self._take_few(few, lot, now)
        return self._take_many(rows, lot, now)

    # -- a lot that fits one Arrow table ------------------------------------------------------------------------------

    def _take_few(self, rows: pa.Table, lot: int, now: datetime) -> Taken:
        clean = Log.open(tables.path_of(self._settings, CLEAN))
        valid = rows.filter(pc.equal(pc.list_value_length(rows["motifs"]), 0))
        ids = np.unique(valid["vente_id"].to_numpy())
        self._database.con.register("ids", pa.table({"vente_id": ids}))
        candidates = Snapshot.of_log(clean).select(lambda file: may_hold(file, ids))
        known_rows = self._database.con.execute(
            f"SELECT * FROM ({candidates}) SEMI JOIN ids USING (vente_id)"
        ).to_arrow_table()
        self._database.con.unregister("ids")
        split = split_few(self._database.con, rows, known_rows, self._settings, lot, now)
        failpoint("silver.before_rejets")
        if split.rejets.num_rows:
            commit.append(tables.path_of(self._settings, REJETS), REJETS, split.rejets, APP, lot)
        failpoint("silver.after_rejets")
        commit.append(clean, CLEAN, split.clean, APP, lot)
        failpoint("silver.after_clean")
        return Taken(split.clean.num_rows, split.rejets.num_rows, split.partials)

    # -- a large lot --------------------------------------------------------------------------------------------------

    def _take_many(self, rows: DataFrame, lot: int, now: datetime) -> Taken:
        clean = Sink(tables.path_of(self._settings, CLEAN), CLEAN)
        census = Census.of(rows)
        candidates = self._read(CLEAN, (file for file in clean.log.files.values() if may_hold(file, census.ids)))
        wanted = self._spark.createDataFrame(pa.table({"vente_id": census.ids}))
        known_rows = candidates.join(F.broadcast(wanted), "vente_id", "left_semi")
        try:
            split = parts(self._spark, self._database.con, rows, census, known_rows, self._settings, lot, now)
            failpoint("silver.before_rejets")
            if split.rejected_rows:
                rejets = Sink(tables.path_of(self._settings, REJETS), REJETS)
                rejets.append(split.rejets, APP, lot)
            failpoint("silver.after_rejets")
            added = clean.append(split.clean, APP, lot)
            failpoint("silver.after_clean")
        finally:
            self._spark.catalog.clearCache()
        return Taken(split.clean_rows, split.rejected_rows, self._partials(clean.log, added.paths))

    def _partials(self, clean: Log, paths: frozenset[str]) -> dict[str, pa.Table]:
        """What the files just written add to the roll-ups: DuckDB groups 400,000 rows in a tenth of a second."""
        Snapshot.of_log(clean).view(self._database.con, "clean", lambda file: file.path in paths)
        found = partials_of(self._database.con)
        self._database.con.execute("DROP VIEW clean")
        return found

    def _read(self, table: Table, files: Iterable[DataFile]) -> DataFrame:
        """The rows of some of a table's files, with the contract's columns."""
        path = tables.path_of(self._settings, table)
        schema = from_arrow_schema(table.schema)
        paths = [str(path / file.path) for file in files]
        if not paths:
            return self._spark.createDataFrame([], schema)
        return self._spark.read.schema(schema).option("basePath", str(path)).parquet(*paths)
