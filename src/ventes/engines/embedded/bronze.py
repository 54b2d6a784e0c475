"""The embedded Bronze job: Kafka → verdict → Bronze, one process, no JVM.

The table is the only memory. At each start, and after every trouble with the source, the job asks the table where it
is, compares that with the topic (engines.source) and reads on from there; what it had read and not committed it reads
again.
"""

from __future__ import annotations

import errno
import time
from datetime import datetime, timezone

import pyarrow as pa

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import BRONZE
from ventes.deltalog import commit, data_files
from ventes.deltalog.database import connect
from ventes.engines import source
from ventes.engines.embedded.intake import Batch, Intake, Interrupted
from ventes.engines.job import Job
from ventes.engines.job import run as run_job
from ventes.errors import BrokerUnavailable
from ventes.judging.judge_batch import judged
from ventes.lake import accepted_gaps, positions
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime import disk
from ventes.runtime.failpoints import failpoint

PACE_SECONDS = 0.1
"""Shortest time from one commit to the next. A sale that comes after a pause is committed at once; at 1,000/s this
makes 10 commits a second of 40 possible, for a tenth of a second's freshness and a quarter of the CPU."""
LISTEN_SECONDS = 0.5
"""How long one wait for messages lasts: the time in which SIGTERM is noticed."""
BEAT_SECONDS = 5.0
LOOK_SECONDS = 10.0
"""How often the topic is looked at while nothing comes: has it been created anew, has it more partitions?"""
RETRY_SECONDS = (0.2, 0.2, 0.5, 1.0)
"""Pauses between two questions to a broker that is not there; the last one repeats."""
DISK_SECONDS = 2.0
"""How often a full disk is looked at again."""
QUIET_SECONDS = 1.0
"""Shortest time between two log lines about batches."""


def run(settings: Settings) -> int:
    """Run the job until SIGTERM or SIGINT; the process's exit code (engines.job)."""
    return run_job(settings, "bronze", "embedded", _body)


def _body(job: Job) -> None:
    with WriterLock(lock_path(job.settings, "bronze")):
        ingestion = Ingestion(job)
        try:
            ingestion.run()
        finally:
            ingestion.close()


class Ingestion:
    """The job itself; the caller holds Bronze's lock."""

    def __init__(self, job: Job) -> None:
        self._settings = job.settings
        self._log = job.log
        self._reporter = job.reporter
        self._stopper = job.stopper
        tables = OpenTables(job.settings)
        self._bronze = tables.ensure(BRONZE)
        self._database = connect(job.settings.embedded.memory_mb)
        (self._maintenance,) = tables.maintenance([BRONZE])
        self._progress = Progress()

    def run(self) -> None:
        """Ingest until told to stop. Raises SourceChanged where a person must decide."""
        with kafka.Admin(self._settings) as admin:
            while (resume := self._wait_for_topic(admin)) is not None:
                with Intake(
                    self._settings, resume.topic_id, resume.offsets, self._settings.embedded.max_rows_per_batch
                ) as intake:
                    try:
                        self._ingest(intake, resume, admin)
                    except (Interrupted, BrokerUnavailable) as trouble:
                        self._wait_for(trouble.message)
        self._report()

    def close(self) -> None:
        self._maintenance.close()
        self._database.close()

    # -- where to read --------------------------------------------------------------------------

    def _wait_for_topic(self, admin: kafka.Admin) -> source.Resume | None:
        """Wait until broker and topic are there, and compare them with the table; None when told to stop."""
        attempt = 0
        while not self._stopper.stopping:
            try:
                topic = source.look(self._settings, admin)
            except BrokerUnavailable as error:
                self._wait_for(str(error))
                self._stopper.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
                continue
            self._bronze.refresh()
            now = datetime.now(timezone.utc)
            ledger = accepted_gaps.read(self._settings.lake)
            resume = source.resume(topic, positions.of_log(self._bronze), ledger, now)
            if resume.unrecorded:
                accepted_gaps.record(self._settings.lake, resume.unrecorded)
            self._log.info("reading topic %s (%s) from %s", topic.name, resume.topic_id, dict(resume.offsets))
            self._reporter.update(phase="running", reason="", working_since=None)
            return resume
        return None

    def _same(self, resume: source.Resume, admin: kafka.Admin) -> None:
        """Make sure that what was read so far came from the topic that `resume` is about.

        An id never comes back, so an answer given after the reading vouches for all of it.
        """
        found = admin.topic_id()
        if found != resume.kafka_id:
            raise Interrupted(f"the topic's id was {resume.kafka_id}, now it is {found}")

    # -- reading --------------------------------------------------------------------------------

    def _ingest(self, intake: Intake, resume: source.Resume, admin: kafka.Admin) -> None:
        looked = beaten = time.monotonic()
        while not self._stopper.stopping:
            batch = intake.take(LISTEN_SECONDS)
            began = time.monotonic()
            if batch is not None:
                self._same(resume, admin)
                self._store(batch, resume)
                self._stopper.wait(PACE_SECONDS - (time.monotonic() - began))
            elif self._progress.pending or began - beaten >= BEAT_SECONDS:
                self._report()
                if not disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
                    self._maintenance.run_due()
                beaten = began
            if began - looked >= LOOK_SECONDS:
                self._same(resume, admin)
                if len(admin.partitions()) != len(resume.offsets):
                    raise Interrupted("the number of partitions changed")
                looked = began

    def _store(self, batch: Batch, resume: source.Resume) -> None:
        """Judge and commit a batch. As long as the disk is too full for it, wait; only stopping gives it up then."""
        began = time.monotonic()
        self._reporter.begin_work()
        rows = judged(self._database, batch.raw, self._settings, datetime.now(timezone.utc))
        while shortage := self._commit(rows, batch, resume):
            self._wait_for(shortage)
            if self._stopper.wait(DISK_SECONDS):
                return
        self._maintenance.run_due(batch.behind)
        self._progress.add(batch, time.monotonic() - began)
        if self._progress.due or self._reporter.record.phase != "running":
            self._report()

    def _commit(self, rows: pa.Table, batch: Batch, resume: source.Resume) -> str:
        """Commit the rows; returns why the disk does not allow it, or nothing."""
        if shortage := disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
            return shortage
        failpoint("bronze.before_commit")
        transactions = {f"ventes-bronze:{resume.topic_id}:{number}": last for number, last in batch.last.items()}
        try:
            written = data_files.write(self._bronze.path, BRONZE, rows)
            commit.append_files(self._bronze, written, transactions)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return f"disk full: {error}; free some space, it goes on by itself"
        failpoint("bronze.after_commit")
        return ""

    # -- reporting --------------------------------------------------------------------------------

    def _wait_for(self, reason: str) -> None:
        if (self._reporter.record.phase, self._reporter.record.reason) != ("waiting", reason):
            self._log.warning("waiting: %s", reason)
        self._reporter.update(phase="waiting", reason=reason)

    def _report(self) -> None:
        """Write the heartbeat, and one line about the batches since the last one."""
        if line := self._progress.line():
            self._log.info(line)
        self._reporter.update(phase="running", reason="", working_since=None, **self._progress.record())


class Progress:
    """Batches that were done and not logged yet: under load one line sums up a second's batches."""

    def __init__(self) -> None:
        self._logged_at = 0.0
        self._number = self._total = self._rows = self._behind = 0
        self._took = self._at = 0.0
        self._pending: list[tuple[int, float]] = []

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._logged_at >= QUIET_SECONDS

    def add(self, batch: Batch, took: float) -> None:
        self._number += 1
        self._rows, self._took, self._at, self._behind = batch.raw.num_rows, took, time.time(), batch.behind
        self._total += self._rows
        self._pending.append((self._rows, took))

    def line(self) -> str:
        """The line about all batches since the last line; empty if there was none."""
        if not self._pending:
            return ""
        first = self._number - len(self._pending) + 1
        name = f"batch {self._number}" if first == self._number else f"batches {first}-{self._number}"
        rows, took = (sum(values) for values in zip(*self._pending, strict=True))
        self._pending, self._logged_at = [], time.monotonic()
        return f"{name}: {rows} rows in {took:.3f} s, lag {self._behind}"

    def record(self) -> dict[str, int | float]:
        """The heartbeat's fields about batches."""
        if not self._number:
            return {}
        return {
            "batch": self._number,
            "batch_at": self._at,
            "rows": self._rows,
            "duration": round(self._took, 4),
            "total": self._total,
            "lag": self._behind,
        }
