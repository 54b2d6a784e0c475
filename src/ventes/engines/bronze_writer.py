"""Messages of a KafkaReader → judged rows in Bronze, committed with the last offset read.

During a backlog a batch is written by a thread while the next one is judged: judging is DuckDB's work and writing
Parquet's, so together they keep the cores busy. Commits stay in order, one at a time: the writing of a batch begins
when the one before it is committed, and after an error no further one is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone

import duckdb
import pyarrow as pa

from ventes import kafka
from ventes.contract import tables as contract
from ventes.deltalog import commit, data_files
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.engines import source
from ventes.engines.job import Crashed, Job
from ventes.engines.kafka_reader import Batch, KafkaReader
from ventes.judging.judge_batch import THREADS, judge_batch
from ventes.lake import positions
from ventes.runtime import disk
from ventes.runtime.failpoints import failpoint

DISK_SECONDS = 2.0
"""Seconds between two checks of a full disk."""


@dataclass(frozen=True)
class _Begun:
    """A batch that is being written, and the shortage of the disk with which that ends, '' if it is committed."""

    rows: pa.Table
    batch: Batch
    topic_id: str
    shortage: Future[str]


class BronzeWriter:
    """Judges and commits batches: `store`, or `judged`, `finish`, `begin` for each one, and `finish` after the last.

    Between `begin` and `finish` the table's Log belongs to the thread that commits.
    """

    def __init__(
        self, job: Job, bronze: Log, database: duckdb.DuckDBPyConnection, require_lock: Callable[[], None]
    ) -> None:
        """`require_lock` raises LockLost if the process does not hold Bronze's lock any more."""
        self._job = job
        self._settings = job.settings
        self._bronze = bronze
        self._table = contract.of(job.settings).bronze
        self._database = database
        self._require_lock = require_lock
        self._thread = ThreadPoolExecutor(1, "writer")
        self._begun: _Begun | None = None

    def store(self, batch: Batch, topic_id: str) -> bool:
        """Judge and commit a batch; waits while the disk is full. False if stopped before it was committed.

        For a batch without rows only the last offset read is committed (transaction markers, aborted messages).
        """
        rows = self.judged(batch, THREADS)
        return self._committed(self._commit(rows, batch, topic_id), rows, batch, topic_id)

    def judged(self, batch: Batch, threads: int) -> pa.Table:
        """Bronze's rows of a batch, by so many threads. The batch before may be in the middle of being written."""
        return judge_batch(self._database, batch.raw, self._settings, datetime.now(timezone.utc), threads=threads)

    def begin(self, rows: pa.Table, batch: Batch, topic_id: str) -> None:
        """Begin to write the `judged` rows of a batch; the one before is finished."""
        assert self._begun is None
        self._begun = _Begun(rows, batch, topic_id, self._thread.submit(self._commit, rows, batch, topic_id))

    def finish(self) -> bool:
        """Wait until what was begun is committed, also while the disk is full. False if stopped before it was.

        Raises what its commit raised. True if nothing was begun.
        """
        begun, self._begun = self._begun, None
        if begun is None:
            return True
        return self._committed(begun.shortage.result(), begun.rows, begun.batch, begun.topic_id)

    def close(self) -> None:
        """Wait for the thread, before the lock is released. A batch that was not finished may be committed or not."""
        self._thread.shutdown(wait=True)

    def _committed(self, shortage: str, rows: pa.Table, batch: Batch, topic_id: str) -> bool:
        """Whether the rows are committed: at once if there is no `shortage`, else when it is over."""
        while shortage:
            self._job.wait_for(shortage)
            if self._job.stopper.wait(DISK_SECONDS):
                return False
            shortage = self._commit(rows, batch, topic_id)
        return True

    def _commit(self, rows: pa.Table, batch: Batch, topic_id: str) -> str:
        """Commit the rows; returns the error if the disk is full, else ''."""
        if shortage := disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
            return shortage
        failpoint("bronze.before_commit")
        try:
            self._require_lock()
            self._bronze.require_in_place()
            written = data_files.write(self._bronze.path, self._table, rows)
            read = positions.as_transactions(self._settings.stream, topic_id, batch.last)
            commit.append_files(self._bronze, written, read)
        except OSError as error:
            if not disk.is_full(error):
                raise
            return disk.reason(error)
        failpoint("bronze.after_commit")
        return ""


def same_topic(resume: source.Resume, admin: kafka.Admin) -> None:
    """Raise Interrupted unless the messages read so far came from the topic of `resume`.

    A topic id is never used again: if it is the same after the reading, all messages came from that topic.
    """
    found = admin.topic_id()
    if found != resume.kafka_id:
        raise source.Interrupted(f"the topic's id was {resume.kafka_id}, now it is {found or 'gone'}")


def read_range(
    job: Job,
    bronze: Log,
    resume: source.Resume,
    admin: kafka.Admin,
    ends: Mapping[int, int],
    require_lock: Callable[[], None],
) -> None:
    """Read from the offsets of `resume` until each partition has reached its (exclusive) end, and commit to Bronze.

    Raises Interrupted, BrokerUnavailable.
    """
    left = {number for number, end in ends.items() if resume.offsets.get(number, 0) < end}
    reader = KafkaReader(job.settings, resume.topic_id, resume.offsets, job.settings.embedded.max_rows_per_batch)
    try:
        with connect(job.settings.embedded.memory_mb, threads=1) as database:
            writer = BronzeWriter(job, bronze, database, require_lock)
            while left and not job.stopper.stopping:
                batch = reader.take(0.5)
                if batch is None:
                    continue
                same_topic(resume, admin)
                if not writer.store(batch, resume.topic_id):
                    return
                left -= {number for number, last in batch.last.items() if last + 1 >= ends.get(number, 0)}
    finally:
        closed = reader.close()
    if not closed:
        raise Crashed("the Kafka client does not close")
