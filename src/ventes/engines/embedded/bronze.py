"""The embedded Bronze job: Kafka → verdict → Bronze, one process, no JVM.

The only state is the table. At each start, and after every error of the source, the job reads the table's position,
compares it with the topic (engines.source) and continues from there; messages that were read and not committed are
read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone

from ventes import kafka
from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.deltalog.maintenance import BACKLOG
from ventes.engines import source
from ventes.engines.bronze_edits import settle
from ventes.engines.bronze_writer import BronzeWriter, same_topic
from ventes.engines.job import Crashed, Job
from ventes.engines.job import run as run_job
from ventes.engines.kafka_reader import Batch, KafkaReader
from ventes.engines.source import Interrupted
from ventes.errors import BrokerUnavailable
from ventes.judging.judge_batch import THREADS
from ventes.lake import accepted_gaps, positions
from ventes.lake.open_tables import OpenTables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime import allocator, disk

PACE_SECONDS = 0.1
"""Shortest time in seconds between two commits. A sale after a pause is committed at once. At 1,000/s this makes 10
commits per second of 40 possible: 0.1 s more delay, a quarter of the CPU."""
LISTEN_SECONDS = 0.5
"""Seconds of one wait for messages: SIGTERM is handled within this time."""
LOOK_SECONDS = 10.0
"""Seconds between two checks of an idle topic: was it created again, has it more partitions?"""
RETRY_SECONDS = (0.2, 0.2, 0.5, 1.0)
"""Seconds between two requests to a broker that is unavailable; the last value repeats."""
QUIET_SECONDS = 1.0
"""Shortest time in seconds between two log lines about batches."""
GIVE_BACK_ROWS = 100_000
"""Messages, a backlog, after which a job without work gives free memory back. glibc keeps what DuckDB's results took:
the memory at rest grew with each backlog, from 348 to 437 MB after six of a million, and the peak to 518. Now it is
310 MB at rest, 450 at most."""
AHEAD_ROWS = 5_000
"""A batch of at least so many messages is written while the next one is judged, if that waits already. A smaller one is
not worth a commit of its own during a backlog: the pause after it lets the next one grow. And batches of few, that is
large, messages follow each other: judging and writing take several times their bytes each."""
AHEAD_THREADS = 1 if len(os.sched_getaffinity(0)) <= 2 else THREADS
"""Threads that judge while another one writes and one reads: on two cores a second one would only take turns with
these, for 0.5 µs of CPU more for each message."""


def run(settings: Settings) -> int:
    """Run the job until SIGTERM or SIGINT; the process's exit code (engines.job)."""
    allocator.use_few_arenas()
    return run_job(settings, "bronze", "embedded", _body)


def _body(job: Job) -> None:
    with WriterLock(lock_path(job.settings, "bronze"), job.wait_for) as lock:
        ingestion = Ingestion(job, lock.require)
        try:
            ingestion.run()
        finally:
            ingestion.close()


class Ingestion:
    """The job itself; the caller holds Bronze's lock."""

    def __init__(self, job: Job, require_lock: Callable[[], None]) -> None:
        self._job = job
        self._settings = job.settings
        self._log = job.log
        self._reporter = job.reporter
        self._stopper = job.stopper
        tables = OpenTables(job.settings)
        self._bronze = tables.ensure(tables.declared.bronze)
        self._database = connect(job.settings.embedded.memory_mb, threads=1)
        self._writer = BronzeWriter(job, self._bronze, self._database, require_lock)
        (self._maintenance,) = tables.maintenance([tables.declared.bronze])
        self._progress = Progress()
        self._begun: tuple[Batch, float] | None = None
        """The batch that is being written, and when its work began."""
        self._settled_at = 0.0
        self._since_given_back = 0
        """Messages since free memory was given back."""
        self._pace = job.settings.store.pace_seconds if job.settings.on_a_store else PACE_SECONDS

    def run(self) -> None:
        """Ingest until told to stop. Raises SourceChanged if a user must decide."""
        with kafka.Admin(self._settings) as admin:
            while (resume := self._wait_for_topic(admin)) is not None:
                reader = KafkaReader(
                    self._settings, resume.topic_id, resume.offsets, self._settings.embedded.max_rows_per_batch
                )
                try:
                    self._ingest(reader, resume, admin)
                except Interrupted as trouble:
                    self._job.wait_for(trouble.message)
                except BrokerUnavailable:
                    pass  # the next request to the broker reports it, or succeeds again
                finally:
                    closed = reader.close()
                if not closed:
                    raise Crashed("the Kafka client does not close")
        self._report()

    def close(self) -> None:
        self._writer.close()
        self._maintenance.close()
        self._database.close()

    # -- where to read --------------------------------------------------------------------------

    def _wait_for_topic(self, admin: kafka.Admin) -> source.Resume | None:
        """Wait until broker and topic are available, and compare them with the table; None when told to stop."""
        attempt = 0
        while not self._stopper.stopping:
            self._bronze.refresh()
            settle(self._bronze, self._settings.stream, self._log)
            table = positions.of_bronze(self._bronze)
            accepted = accepted_gaps.read(self._settings.lake)
            try:
                topic = source.confirmed(self._settings, admin, table, accepted, pause=self._stopper.wait)
            except BrokerUnavailable as error:
                self._job.wait_for(str(error))
                self._stopper.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
                continue
            resume = source.resume(topic, table, accepted, datetime.now(timezone.utc))
            if resume.unrecorded:
                accepted_gaps.record(self._settings.lake, resume.unrecorded)
            self._log.info("reading topic %s (%s) from %s", topic.name, resume.topic_id, dict(resume.offsets))
            self._job.go_on()
            return resume
        return None

    # -- reading --------------------------------------------------------------------------------

    def _ingest(self, reader: KafkaReader, resume: source.Resume, admin: kafka.Admin) -> None:
        try:
            self._read_on(reader, resume, admin)
        finally:
            self._settle()

    def _read_on(self, reader: KafkaReader, resume: source.Resume, admin: kafka.Admin) -> None:
        looked = time.monotonic()
        while not self._stopper.stopping:
            batch = reader.take(LISTEN_SECONDS)
            began = time.monotonic()
            if batch is not None:
                same_topic(resume, admin)
                self._store(batch, resume)
                if self._begun is None:
                    full = batch.raw.num_rows >= self._settings.embedded.max_rows_per_batch
                    self._stopper.wait((PACE_SECONDS if full else self._pace) - (time.monotonic() - began))
            else:
                self._settle()
                self._require_ours()
                self._give_back()
                if self._progress.pending or self._job.beat_due():
                    self._report()
                    if not disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
                        self._maintenance.run_due()
            if began - looked >= LOOK_SECONDS:
                same_topic(resume, admin)
                if len(admin.partitions()) != len(resume.offsets):
                    raise Interrupted("the number of partitions changed")
                looked = began

    def _require_ours(self) -> None:
        """Raise Interrupted if another program changed the table, or TableReplaced. Not while a batch is written."""
        self._bronze.require_in_place()
        if self._bronze.edited:
            raise Interrupted(f"another program changed {self._bronze.path}")

    def _store(self, batch: Batch, resume: source.Resume) -> None:
        """Judge a batch and commit it, or begin to if the next one waits already."""
        began, since = time.monotonic(), time.time()
        self._reporter.begin_work()
        rows = self._writer.judged(batch, THREADS if self._begun is None else AHEAD_THREADS)
        if not self._settle(working_since=since):
            return
        self._require_ours()
        self._begun = batch, began
        self._writer.begin(rows, batch, resume.topic_id)
        if not self._next_waits(batch):
            self._settle()

    def _next_waits(self, batch: Batch) -> bool:
        if self._settings.on_a_store:
            return False  # there the pause between two commits is what limits
        return batch.behind >= BACKLOG and batch.raw.num_rows >= AHEAD_ROWS

    def _settle(self, working_since: float | None = None) -> bool:
        """Wait until the batch that is being written is committed, if there is one, and do what follows a commit.

        `working_since`: of the next batch, if that has begun. False if stopped before the commit: no other may follow.
        """
        if self._begun is None:
            return True
        (batch, began), self._begun = self._begun, None
        if not self._writer.finish():
            return False
        self._maintenance.run_due(batch.behind)
        now = time.monotonic()
        took = now - max(began, self._settled_at)  # the time of two batches at once counts once
        self._settled_at = now
        self._progress.add(batch, took)
        self._since_given_back += batch.raw.num_rows
        self._job.batch_times.add(took)
        if self._progress.due or self._reporter.record.phase != "running":
            self._report(working_since)
        return True

    def _give_back(self) -> None:
        if self._since_given_back >= GIVE_BACK_ROWS:
            allocator.give_back()
            self._since_given_back = 0

    # -- reporting --------------------------------------------------------------------------------

    def _report(self, working_since: float | None = None) -> None:
        """Write the heartbeat, and one line about the batches since the last one."""
        if line := self._progress.line():
            self._log.info(line)
        self._job.go_on(working_since, **self._progress.record(), batch_times=self._job.batch_times.record())


class Progress:
    """Batches that are committed and not logged yet: under load one line summarizes one second of batches."""

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
