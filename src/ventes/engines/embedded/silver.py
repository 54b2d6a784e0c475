"""The embedded Silver job: engines.silver_loop, with DuckDB processing the lots in this process."""

from __future__ import annotations

from collections.abc import Callable

from ventes.config import Settings
from ventes.deltalog.database import RecycledDatabase
from ventes.engines.duckdb_lots import DuckDBLots
from ventes.engines.id_index import index_of
from ventes.engines.job import Job
from ventes.engines.job import run as run_job
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult, SilverLoop, paces
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path


def run(settings: Settings) -> int:
    """Run the job until SIGTERM or SIGINT; the process's exit code (engines.job)."""
    return run_job(settings, "silver", "embedded", _body)


def _body(job: Job) -> int:
    tables = OpenTables(job.settings)
    engine = EmbeddedSilver(job.settings, tables, progress=job.reporter.begin_work, waits=job.wait_for)
    most = job.settings.embedded.max_rows_per_batch
    return SilverLoop(job, engine, tables, max_rows=most, **paces(job.settings)).run()


class EmbeddedSilver:
    """A SilverEngine in DuckDB.

    `rejudge`: compute the verdict again from the raw bytes, instead of using the one in Bronze (for a rebuild
    after a rule changed). `progress` is called while the index of ids is built, `waits` while the lock is waited for.
    """

    name = "embedded"
    merging = None

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        *,
        rejudge: bool = False,
        progress: Callable[[], None] = lambda: None,
        waits: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._lock = WriterLock(lock_path(settings, "silver"), waits)
        self.database = RecycledDatabase(settings.embedded.memory_mb)
        self.known_ids = index_of(settings, self.database, progress)
        self._lots = DuckDBLots(settings, tables, self.database, self.known_ids, rejudge=rejudge)

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
        self.database.begin()
        return self._lots.take(lot_range, lot)
