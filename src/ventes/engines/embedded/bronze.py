"""The embedded Bronze job: Kafka → verdict → Bronze, one process, no JVM.

The table is the only memory. At each start, and after every trouble with the source, the job asks the table where it
is, compares that with the topic (engines.source) and reads on from there; what it had read and not committed it reads
again.
"""

from __future__ import annotations

import errno
import logging
import time
from datetime import datetime, timezone

import pyarrow as pa

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import BRONZE
from ventes.deltalog import commit, data_files
from ventes.deltalog.log import Log, transaction
from ventes.deltalog.maintenance import Caretaker, one_worker
from ventes.deltalog.snapshot import connect
from ventes.engines import job, source
from ventes.engines.embedded.intake import Batch, Intake, Interrupted
from ventes.errors import BrokerUnavailable
from ventes.judging.judge_batch import judged
from ventes.lake import accepted_gaps, positions
from ventes.lake.tables import ensure
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

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
    return job.run(settings, "bronze", "embedded", _body)


def _body(settings: Settings, log: logging.Logger, reporter: Reporter, stopper: Stopper) -> None:
    with WriterLock(lock_path(settings, "bronze")):
        ingestion = Ingestion(settings, log, reporter, stopper)
        try:
            ingestion.run()
        finally:
            ingestion.close()


class Ingestion:
    """The job itself; the caller holds Bronze's lock."""

    def __init__(self, settings: Settings, log: logging.Logger, reporter: Reporter, stopper: Stopper) -> None:
        self._settings = settings
        self._log = log
        self._reporter = reporter
        self._stopper = stopper
        ensure(settings, BRONZE)
        self._table = Log.open(settings.bronze)
        self._database = connect(settings.embedded.memory_mb)
        self._caretaker = Caretaker(settings, BRONZE, self._table, one_worker())
        self._told = Told()

    def run(self) -> None:
        """Ingest until told to stop. Raises SourceChanged where a person must decide."""
        with kafka.Admin(self._settings) as admin:
            while (resume := self._settle(admin)) is not None:
                with Intake(
                    self._settings, resume.topic_id, resume.offsets, self._settings.embedded.max_rows_per_batch
                ) as intake:
                    try:
                        self._ingest(intake, resume, admin)
                    except (Interrupted, BrokerUnavailable) as trouble:
                        self._wait_for(trouble.message)
        self._tell()

    def close(self) -> None:
        self._caretaker.close()
        self._database.close()

    # -- where to read --------------------------------------------------------------------------

    def _settle(self, admin: kafka.Admin) -> source.Resume | None:
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
            self._table.refresh()
            now = datetime.now(timezone.utc)
            ledger = accepted_gaps.read(self._settings.lake)
            resume = source.resume(topic, positions.of_log(self._table), ledger, now)
            if resume.unrecorded:
                accepted_gaps.record(self._settings.lake, resume.unrecorded)
            self._log.info("reading topic %s (%s) from %s", topic.name, resume.topic_id, dict(resume.offsets))
            self._reporter.update(phase="running", reason="")
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
            elif self._told.waiting or began - beaten >= BEAT_SECONDS:
                self._tell()
                if not job.disk_shortage(self._settings, self._settings.lake):
                    self._caretaker.tend()
                beaten = began
            if began - looked >= LOOK_SECONDS:
                self._same(resume, admin)
                if len(admin.partitions()) != len(resume.offsets):
                    raise Interrupted("the number of partitions changed")
                looked = began

    def _store(self, batch: Batch, resume: source.Resume) -> None:
        """Judge and commit a batch. As long as the disk is too full for it, wait; only stopping gives it up then."""
        began = time.monotonic()
        rows = judged(self._database, batch.raw, self._settings, datetime.now(timezone.utc))
        while shortage := self._commit(rows, batch, resume):
            self._wait_for(shortage)
            if self._stopper.wait(DISK_SECONDS):
                return
        self._caretaker.tend(batch.behind)
        self._told.add(batch, time.monotonic() - began)
        if self._told.due or self._reporter.record.phase != "running":
            self._tell()

    def _commit(self, rows: pa.Table, batch: Batch, resume: source.Resume) -> str:
        """Commit the rows; returns why the disk does not allow it, or nothing."""
        if shortage := job.disk_shortage(self._settings, self._settings.lake):
            return shortage
        failpoint("bronze.before_commit")
        stamps = [
            transaction(f"ventes-bronze:{resume.topic_id}:{partition}", last) for partition, last in batch.last.items()
        ]
        try:
            written = data_files.write(self._table.path, BRONZE, commit.conform(BRONZE, rows))
            self._table.commit([*stamps, *(file.add(True) for file in written)], "WRITE")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return f"disk full: {error}; free some space, it goes on by itself"
        failpoint("bronze.after_commit")
        return ""

    # -- telling --------------------------------------------------------------------------------

    def _wait_for(self, reason: str) -> None:
        if (self._reporter.record.phase, self._reporter.record.reason) != ("waiting", reason):
            self._log.warning("waiting: %s", reason)
        self._reporter.update(phase="waiting", reason=reason)

    def _tell(self) -> None:
        """Write the heartbeat, and one line about the batches since the last one."""
        if line := self._told.line():
            self._log.info(line)
        self._reporter.update(phase="running", reason="", **self._told.record())


class Told:
    """What was done and not said yet: under load one line sums up a second's batches."""

    def __init__(self) -> None:
        self._said_at = 0.0
        self._number = self._total = self._rows = self._behind = 0
        self._took = self._at = 0.0
        self._pending: list[tuple[int, float]] = []

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._said_at >= QUIET_SECONDS

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
        self._pending, self._said_at = [], time.monotonic()
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
