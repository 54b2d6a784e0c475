"""The embedded Silver job: engines.silver_loop, with DuckDB processing the lots.

A lot reads only the Bronze files and columns it needs, and of the clean events only rows that may have one of its ids
(engines.id_index), so its cost depends on the lot and not on the size of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract.tables import POSITION
from ventes.contract.tables import of as tables_of
from ventes.deltalog import commit, data_files
from ventes.deltalog.data_files import with_columns
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.clean_rows import known_rows
from ventes.engines.embedded.bronze_rows import days_of, pieces, with_values
from ventes.engines.id_index import index_of
from ventes.engines.job import Job
from ventes.engines.job import run as run_job
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult, SilverLoop
from ventes.engines.split_in_duckdb import split_in_duckdb, valid_ids
from ventes.errors import LakeDamaged
from ventes.judging.judge_batch import judge_batch
from ventes.judging.messages import RAW
from ventes.lake import silver_recovery
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.failpoints import failpoint

_RAW_COLUMNS = ("key", "value", "headers")
"""The raw message: the largest part of a row."""


def run(settings: Settings) -> int:
    """Run the job until SIGTERM or SIGINT; the process's exit code (engines.job)."""
    return run_job(settings, "silver", "embedded", _body)


def _body(job: Job) -> int:
    tables = OpenTables(job.settings)
    engine = EmbeddedSilver(job.settings, tables, progress=job.reporter.begin_work)
    return SilverLoop(job, engine, tables, max_rows=job.settings.embedded.max_rows_per_batch).run()


class EmbeddedSilver:
    """A SilverEngine in DuckDB.

    `rejudge`: compute the verdict again from the raw bytes, instead of using the one in Bronze (for a rebuild
    after a rule changed). `progress` is called while the index of ids is built.
    """

    name = "embedded"

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        *,
        rejudge: bool = False,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._rejudge = rejudge
        self._lock = WriterLock(lock_path(settings, "silver"))
        self.database = RecycledDatabase(settings.embedded.memory_mb)
        self._own = tables_of(settings)
        self._app_id = settings.stream.silver_app
        self._id = settings.stream.event.field(settings.stream.event.id)
        self.known_ids = index_of(settings, self.database, progress)

    def lock(self) -> None:
        self._lock.acquire()

    def require_lock(self) -> None:
        self._lock.require()

    def close(self) -> None:
        self.known_ids.close()
        self.database.close()
        self._lock.release()

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        """See SilverEngine."""
        now = datetime.now(timezone.utc)
        self.database.begin()
        bronze = self._tables.snapshot(self._own.bronze)
        clean = self._tables.log(self._own.clean)
        rows = self._rows_rejudged(bronze, lot_range) if self._rejudge else self._rows(bronze, lot_range)
        parts = split_in_duckdb(self.database.con, rows, self._known_rows(rows, clean), self._settings, lot, now)
        failpoint("silver.before_rejets")
        if parts.rejets.num_rows:
            # a day that was computed again need not be the one of the file
            days = None if self._rejudge else days_of(parts.rejets, rows)
            self._commit_rejects(parts.rejets, bronze, lot_range, lot, days)
        failpoint("silver.after_rejets")
        rejects = silver_recovery.rejects_of(self._tables)
        if commit.append(clean, self._own.clean, parts.clean, self._app_id, lot, rejects) is not None:
            self.known_ids.add(parts.clean[self._id.clean_name], lot)
        failpoint("silver.after_clean")
        return LotResult(parts.clean.num_rows, parts.rejets.num_rows, parts.partials)

    # -- the input of a lot ---------------------------------------------------------------------

    def _rows(self, bronze: Snapshot, lot_range: LotRange) -> pa.Table:
        """Bronze's rows of the range, without columns that may be large and are not needed yet."""
        needed = [name for name in self._own.bronze.schema.names if name not in (*POSITION, *_RAW_COLUMNS)]
        return self._together(self._lighter(piece) for piece in pieces(bronze, lot_range, needed))

    def _rows_rejudged(self, bronze: Snapshot, lot_range: LotRange) -> pa.Table:
        """The same with a new verdict; date_ingestion is unchanged."""
        return self._together(
            self._lighter(_replaced(self._judged(piece), "date_ingestion", piece["date_ingestion"]))
            for piece in pieces(bronze, lot_range, ("value", "kafka_ts", "date_ingestion"))
        )

    def _judged(self, piece: pa.Table) -> pa.Table:
        raw = with_columns(piece, RAW)
        return judge_batch(self.database.con, raw, self._settings, datetime.now(timezone.utc))

    def _known_rows(self, rows: pa.Table, clean: Log) -> pa.Table:
        """The clean rows that have an id of the lot."""
        known = self.known_ids.find(valid_ids(self._settings.stream, rows), clean)
        return known_rows(self.database.con, clean, self._own.clean, self._id.clean_name, known)

    def _commit_rejects(
        self, rows: pa.Table, bronze: Snapshot, lot_range: LotRange, lot: int, days: Collection[date | None] | None
    ) -> None:
        """Append the rejected rows (of `days`, if known) with their raw bytes, which are read from Bronze in pieces."""
        log = self._tables.log(self._own.rejets)
        if commit.has(log, self._app_id, lot):
            return
        table = self._own.rejets
        file = data_files.write_stream(log.path, table, table.schema, with_values(rows, bronze, lot_range, days), {})
        if file.rows != rows.num_rows:
            raise LakeDamaged(
                f"Bronze gave the raw bytes of {file.rows} rejected rows of {rows.num_rows}", "ventes verify says which"
            )
        commit.append_files(log, [file], {self._app_id: lot})

    def _together(self, parts: Iterable[pa.Table]) -> pa.Table:
        return pa.concat_tables([self._own.bronze.schema.empty_table(), *parts])

    def _lighter(self, rows: pa.Table) -> pa.Table:
        """Bronze rows without the raw message, which few need, and without unknown fields if the row is rejected."""
        rows = rows.drop([name for name in _RAW_COLUMNS if name in rows.column_names])
        rows = with_columns(rows, self._own.bronze.schema)
        extra = rows["_extra"]
        if extra.null_count == len(extra):
            return rows
        valid = pc.equal(pc.list_value_length(rows["motifs"]), 0).to_pylist()
        # in Python, because take and if_else would allocate as much memory as all texts together
        kept = [text if wanted else None for text, wanted in zip(extra.to_pylist(), valid, strict=True)]
        return _replaced(rows, "_extra", pa.array(kept, pa.string()))


def _replaced(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
