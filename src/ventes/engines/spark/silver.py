"""The Silver job on Spark: engines.silver's loop, with Spark taking the lots.

Spark reads the rows of every lot. A large lot it also judges, splits, writes and groups; what is small enough for one
Arrow table is finished by the driver in DuckDB, with the same SQL: a Spark query of two joins and a window costs half a
second and as much CPU for ten rows, DuckDB's ten milliseconds. Both commit under ("ventes-silver", lot).

Spark is given the very files that the log names for a lot. Its own Delta reader would reconstruct the table's state in
a job of its own after each commit, which for a small lot is most of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ventes.config import Settings
from ventes.contract.dialect import sql
from ventes.contract.tables import BRONZE, CLEAN, REJETS, Table
from ventes.engines import job
from ventes.engines.silver import SilverLoop, Taken
from ventes.engines.small_lot import split, watermark_us
from ventes.engines.span import Span
from ventes.engines.spark.lock import JvmLock
from ventes.engines.spark.session import Session, open_session
from ventes.engines.spark.sink import FEW, Sink, collect
from ventes.lake import commit, tables
from ventes.lake.locks import lock_path
from ventes.lake.log import DataFile, Log
from ventes.lake.rollups import APP, PARTIALS
from ventes.lake.snapshot import Snapshot, connect
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

Ids = npt.NDArray[np.int64]


def run(settings: Settings) -> int:
    """Run the Silver job until SIGTERM; its exit code (see engines.job.run)."""
    return job.run(settings, "silver", "spark", _body)


def _body(settings: Settings, log: logging.Logger, reporter: Reporter, stopper: Stopper) -> int:
    session = open_session(settings, "silver")
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


class SparkSilver:
    """A SilverEngine. It owns the session: `close` ends it, and the JVM's end frees the lock."""

    name = "spark"

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._spark = session.spark
        self._lock = JvmLock(session.jvm, lock_path(settings, "silver"))
        self._con = connect(settings.embedded.memory_mb)

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._con.close()
        self._lock.release()
        self._session.close()

    def take(self, span: Span, lot: int) -> Taken:
        """See SilverEngine. The tables exist: the loop has recovered them."""
        bronze = Log.open(tables.path_of(self._settings, BRONZE), span.bronze_version)
        rows = self._read(BRONZE, filter(span.holds, bronze.files.values())).where(span.predicate())
        now = datetime.now(timezone.utc)
        if sum(upto - span.after.get(key, -1) for key, upto in span.upto.items()) <= FEW:
            few = collect(rows, BRONZE)
            if few is not None:
                return self._take_few(few, lot, now)
        return self._take_many(rows, lot, now)

    # -- a lot that fits one Arrow table ------------------------------------------------------------------------------

    def _take_few(self, rows: pa.Table, lot: int, now: datetime) -> Taken:
        clean = Log.open(tables.path_of(self._settings, CLEAN))
        valid = rows.filter(pc.equal(pc.list_value_length(rows["motifs"]), 0))
        ids = np.unique(valid["vente_id"].to_numpy())
        self._con.register("ids", pa.table({"vente_id": ids}))
        candidates = Snapshot.of_log(clean).select(lambda file: _may_hold(file, ids))
        connues = self._con.execute(f"SELECT * FROM ({candidates}) SEMI JOIN ids USING (vente_id)").to_arrow_table()
        self._con.unregister("ids")
        parts = split(self._con, rows, connues, self._settings, lot, now)
        failpoint("silver.before_rejets")
        if parts.rejets.num_rows:
            commit.append(tables.path_of(self._settings, REJETS), REJETS, parts.rejets, APP, lot)
        failpoint("silver.after_rejets")
        commit.append(clean, CLEAN, parts.clean, APP, lot)
        failpoint("silver.after_clean")
        return Taken(parts.clean.num_rows, parts.rejets.num_rows, parts.partials)

    # -- a large lot --------------------------------------------------------------------------------------------------

    def _take_many(self, rows: DataFrame, lot: int, now: datetime) -> Taken:
        spark = self._spark
        clean = Sink(tables.path_of(self._settings, CLEAN), CLEAN)
        ids = _ids(rows)
        # The raw text is most of a row, and only rejected rows need it: they fetch it by position below.
        rows.withColumn("value", F.lit(None).cast("binary")).createOrReplaceTempView("lot_rows")
        connues = self._connues(clean.log, ids).persist(StorageLevel.MEMORY_AND_DISK)
        connues.createOrReplaceTempView("connues")
        juges = spark.sql(sql("silver/juges", "spark")).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            rejected = juges.where("size(motifs) > 0").count()
            parameters: dict[str, Any] = {"traitement": now, "lot": lot}
            failpoint("silver.before_rejets")
            if rejected:
                _with_value(juges.where("size(motifs) > 0"), rows).createOrReplaceTempView("juges")
                rejets = spark.sql(sql("silver/rejets", "spark", **parameters))
                Sink(tables.path_of(self._settings, REJETS), REJETS).append(rejets, APP, lot, rejected)
            failpoint("silver.after_rejets")
            juges.createOrReplaceTempView("juges")
            lateness = watermark_us(self._settings)
            valid = spark.sql(sql("silver/clean", "spark", watermark_us=lateness, **parameters))
            added = clean.append(valid, APP, lot, len(ids))
            failpoint("silver.after_clean")
            valid.createOrReplaceTempView("clean")
            partials = {name: spark.sql(sql(f"silver/{file}", "spark")).toArrow() for name, file in PARTIALS.items()}
        finally:
            juges.unpersist()
            connues.unpersist()
        return Taken(added.rows, rejected, partials)

    def _connues(self, clean: Log, ids: Ids) -> DataFrame:
        """The rows of ventes_clean that have one of `ids`."""
        candidates = self._read(CLEAN, (file for file in clean.files.values() if _may_hold(file, ids)))
        wanted = self._spark.createDataFrame(pa.table({"vente_id": ids}))
        return candidates.join(F.broadcast(wanted), "vente_id", "left_semi")

    def _read(self, table: Table, files: Iterable[DataFile]) -> DataFrame:
        """The rows of some of a table's files, with the contract's columns."""
        path = tables.path_of(self._settings, table)
        schema = from_arrow_schema(table.schema)
        paths = [str(path / file.path) for file in files]
        if not paths:
            return self._spark.createDataFrame([], schema)
        return self._spark.read.schema(schema).option("basePath", str(path)).parquet(*paths)


def _ids(rows: DataFrame) -> Ids:
    """The distinct ids of the valid rows, sorted: 8 bytes each, so also those of a large lot fit the driver."""
    ids: Ids = rows.where("size(motifs) = 0").select("vente_id").toArrow()["vente_id"].to_numpy()
    return np.unique(ids)


def _may_hold(file: DataFile, ids: Ids) -> bool:
    """Whether the file's range of vente_id has one of the sorted `ids`."""
    bounds = file.bounds("vente_id")
    if bounds is None:
        return True
    low, high = np.searchsorted(ids, bounds[0], "left"), np.searchsorted(ids, bounds[1], "right")
    return bool(low < high)


def _with_value(judged: DataFrame, rows: DataFrame) -> DataFrame:
    """`judged` with the raw bytes of its messages, in the column order of silver/juges.sql."""
    values = rows.select("topic_id", "partition", "offset", "value")
    joined = judged.drop("value").join(values, ["topic_id", "partition", "offset"])
    return joined.select(judged.columns)
