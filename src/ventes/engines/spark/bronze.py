"""The Bronze job on Spark: Kafka → verdict → Bronze, by Structured Streaming.

The steps of a run: start Spark, take the writer lock in the JVM, get the offsets from source.resume, start the query
there, and watch it. A query that fails is started again from the table's position, with back-off; a topic that changed
ends the job.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from ventes import kafka
from ventes.config import Settings
from ventes.deltalog.log import Log
from ventes.engines import source
from ventes.engines.bronze_edits import settle
from ventes.engines.bronze_row_groups import recent_message_bytes
from ventes.engines.bronze_writer import read_range
from ventes.engines.job import Crashed, Job, while_the_store_answers
from ventes.engines.job import run as run_job
from ventes.engines.source import Interrupted
from ventes.engines.spark import checkpoint, kafka_source
from ventes.engines.spark.error_text import first_line
from ventes.engines.spark.jvm_lock import JvmLock
from ventes.engines.spark.merging import TaskMerging
from ventes.engines.spark.micro_batch import MicroBatches, Stopping
from ventes.engines.spark.session import Session, open_session
from ventes.engines.spark.task_lake import TaskLake
from ventes.errors import BrokerUnavailable, VentesError
from ventes.lake import accepted_gaps, damage
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import of_bronze
from ventes.lake.writer_lock import lock_path
from ventes.runtime.durations import in_words

LOOK_SECONDS = 0.2
"""Seconds between two checks of the query and the stop signal."""
ASK_SECONDS = 3.0
"""Seconds between two checks that broker and topic are still the same."""
STOP_SECONDS = 6.0
"""Seconds a running batch may take after SIGTERM; then it is aborted, and run again at the next start."""
STUCK_SECONDS = 1800.0
"""If one batch takes longer than this, the query and its JVM are ended."""
SET_BACK_SECONDS = 1.0
"""Spark's trigger waits until the wall clock comes to the next batch's time. Set back by as much or more, the query is
started again: its trigger then goes by the new time."""
HEALTHY_SECONDS = 60.0
"""After a query that ran this long the back-off is reset."""


def run(settings: Settings) -> int:
    """Run the Bronze job until SIGTERM; its exit code (see engines.job.run)."""
    return run_job(settings, "bronze", "spark", _body)


def _body(job: Job) -> None:
    settings = job.settings
    with kafka.Admin(settings) as admin:
        session = open_session(settings, "bronze", job)
        try:
            job.reporter.update(children=[session.jvm_pid])
            lock = JvmLock(session.jvm, lock_path(settings, "bronze"), job.wait_for)
            lock.acquire()  # until the JVM has ended: it may still write the checkpoint after Python has ended
            for remark in session.remarks:
                job.log.warning("this Spark was started otherwise: %s", remark)
            try:
                # an outage of the store of the lake is waited for with the same JVM
                while_the_store_answers(job, lambda job: Bronze(job, session, admin, lock.require).run())
            finally:
                lock.release_lease()
        finally:
            session.close()


@dataclass(frozen=True)
class Comparison:
    """Topic, checkpoint and table, compared."""

    topic: source.Topic
    newest: checkpoint.Checkpoint | None
    resume: source.Resume

    @property
    def lag(self) -> int:
        return source.lag(self.topic, self.resume.offsets)


def compare(settings: Settings, bronze: Log, admin: kafka.Admin) -> Comparison:
    """Topic, checkpoint and table, compared. Raises BrokerUnavailable, or SourceChanged if a user must decide."""
    newest = checkpoint.newest(settings.checkpoints / "bronze", settings.topic)
    gaps = accepted_gaps.read(settings.lake)
    table, seen = of_bronze(bronze), checkpoint.seen(newest)
    topic = source.confirmed(settings, admin, table, gaps, seen)
    return Comparison(topic, newest, source.resume(topic, table, gaps, datetime.now(timezone.utc), seen))


class Bronze:
    """The loop that runs the query."""

    def __init__(self, job: Job, session: Session, admin: kafka.Admin, require_lock: Callable[[], None]) -> None:
        self._job = job
        self._settings = job.settings
        self._session = session
        self._admin = admin
        self._require_lock = require_lock
        self._log = job.log
        self._reporter = job.reporter
        self._stopper = job.stopper
        self._tables = OpenTables(job.settings)
        self._table = self._tables.declared.bronze
        self._epochs = job.settings.checkpoints / "bronze"
        self._failed_at: Mapping[int, int] | None = None
        """The offsets at which the last failed query would have continued."""
        self._distrusted: Path | None = None
        """The epoch with which queries fail, although its files look complete."""

    def run(self) -> None:
        """Run until stopped. Raises VentesError for errors that a user must fix."""
        pause = first = self._settings.supervisor.backoff_seconds
        while not self._stopper.stopping:
            began = time.monotonic()
            try:
                self._run_query()
            except Interrupted as error:
                self._job.wait_for(error.message)
                pause = first
            except BrokerUnavailable as error:
                self._job.wait_for(str(error))
                pause = first  # waiting for a broker is not a failure: ask again soon
            except (PySparkException, Py4JError, OSError) as error:
                if not self._session.usable:  # only a new process can start a new JVM
                    raise Crashed(self._session.exit_reason) from None
                if damaged := damage.of_error(error.__cause__ or error):
                    raise damaged from None
                reason = first_line(error.__cause__ or error)
                self._reporter.error(reason)
                self._job.wait_for(f"the query failed: {reason}; it starts again by itself")
                self._read_failing_messages()
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause = first
            self._stopper.wait(pause)
            pause = min(2 * pause, self._settings.supervisor.backoff_max_seconds)

    def _read_failing_messages(self) -> None:
        """If the query failed twice at the same offsets, read these messages without Spark, or give its epoch up.

        Spark's Kafka source fails at a message that it cannot represent (a record time that overflows in nanoseconds),
        on each attempt. After the commit made here the next query begins after that message.
        """
        try:
            comparison = compare(self._settings, self._tables.ensure(self._table), self._admin)
        except BrokerUnavailable:
            return
        again = comparison.resume.offsets == self._failed_at
        self._failed_at = comparison.resume.offsets
        if again and comparison.newest is not None and comparison.newest.end == comparison.resume.offsets:
            self._distrusted = comparison.newest.path  # there is nothing to read before its end: it is the checkpoint
            return
        if again and comparison.newest is not None and comparison.lag:
            end = comparison.newest.end or {number: high for number, (_, high) in comparison.topic.ranges.items()}
            self._log.warning("reading the messages that the query fails at without Spark")
            with contextlib.suppress(BrokerUnavailable, Interrupted):  # the next query reports it
                read_range(
                    self._job, self._tables.log(self._table), comparison.resume, self._admin, end, self._require_lock
                )

    def _run_query(self) -> None:
        """Decide where to continue, run the query until it fails or a stop is requested."""
        bronze = self._tables.ensure(self._table)
        settle(bronze, self._settings.stream, self._log)
        comparison = compare(self._settings, bronze, self._admin)
        resume = comparison.resume
        accepted_gaps.record(self._settings.lake, resume.unrecorded)
        newest = comparison.newest
        if newest is not None and newest.path == self._distrusted:
            newest = replace(newest, damage=(*newest.damage, "Spark fails with it"))
        epoch = self._prepare_epoch(checkpoint.decide(self._epochs, newest, resume))
        context = self._session.spark.sparkContext
        on_cluster = self._settings.spark.on_cluster
        merging = TaskMerging(context, partial(TaskLake.of, self._settings, context)) if on_cluster else None
        (maintenance,) = self._tables.maintenance([self._table], merging=merging)
        with contextlib.closing(maintenance):
            batches = MicroBatches(self._job, self._admin, self._require_lock, resume, epoch, bronze, maintenance)
            query = self._start(batches, resume, epoch)
            try:
                self._job.go_on(lag=comparison.lag)
                self._watch(query, batches, resume, bronze)
            finally:
                query.stop()
                batches.close()

    def _prepare_epoch(self, decision: checkpoint.Continue | checkpoint.NewEpoch) -> Path:
        if isinstance(decision, checkpoint.NewEpoch):
            checkpoint.begin(decision)
            offsets = ", ".join(f"{partition}:{offset}" for partition, offset in decision.offsets.items())
            self._log.info("%s starts at %s: %s", decision.path.name, offsets, decision.why)
        else:
            again = "" if decision.replays is None else f", batch {decision.replays} once more"
            self._log.info("%s continues%s", decision.path.name, again)
            checkpoint.remove_unfinished(decision.path)
        return decision.path

    def _start(self, batches: MicroBatches, resume: source.Resume, epoch: Path) -> StreamingQuery:
        options = kafka_source.options(
            self._settings, resume.offsets, recent_message_bytes(self._tables.log(self._table))
        )
        messages = self._session.spark.readStream.format("kafka").options(**options).load()
        seconds = self._settings.spark.bronze_trigger_seconds
        if self._settings.on_a_store:
            seconds = max(seconds, self._settings.store.pace_seconds)
        return (
            messages.writeStream.foreachBatch(batches)
            .option("checkpointLocation", str(epoch))
            .trigger(processingTime=f"{seconds:g} seconds")
            .start()
        )

    def _watch(self, query: StreamingQuery, batches: MicroBatches, resume: source.Resume, bronze: Log) -> None:
        """Return when a stop is requested or the topic has changed; raise the error that ended the query."""
        asked = time.monotonic()
        turned, batch = asked, batches.begun
        ahead = _wall_clock_ahead()
        while query.isActive:
            stopping = self._stopper.wait(LOOK_SECONDS)
            before, ahead = ahead, _wall_clock_ahead()
            if stopping or before - ahead >= SET_BACK_SECONDS:
                if stopping:
                    self._reporter.update(phase="stopping", reason=self._stopper.signal or "")
                else:
                    self._log.warning("the clock was set back by %s: a new query", in_words(before - ahead))
                self._finish(query)
                return
            if not self._session.usable:  # a query without new messages would not notice
                raise Crashed(self._session.exit_reason)
            active = bool(query.status["isTriggerActive"])
            if batches.begun != batch or not active or self._job.hindrance:
                turned, batch = time.monotonic(), batches.begun
            if time.monotonic() - turned >= STUCK_SECONDS:
                raise Crashed(f"Spark has not come to the end of a batch for {in_words(STUCK_SECONDS)}")
            if time.monotonic() - asked >= ASK_SECONDS:
                asked = time.monotonic()
                bronze.require_in_place()
                since = time.time() - (time.monotonic() - turned) if active else None
                if not self._report_lag_and_check_topic(batches, resume, since):
                    return
        if isinstance(batches.failure, Stopping):
            return
        # Interrupted, BrokerUnavailable, or an error that a user must fix
        if isinstance(batches.failure, VentesError):
            raise batches.failure
        error = query.exception()
        if error is not None:
            raise error from batches.failure

    def _finish(self, query: StreamingQuery) -> None:
        """Wait until the running batch is committed in table and checkpoint."""
        until = time.monotonic() + STOP_SECONDS
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < until:
            time.sleep(LOOK_SECONDS / 2)

    def _report_lag_and_check_topic(
        self, batches: MicroBatches, resume: source.Resume, working_since: float | None
    ) -> bool:
        """Write the lag to the heartbeat; False if the topic is not the same any more.

        `working_since`: when the batch in progress began; Spark plans it before MicroBatches hears of it.
        """
        try:
            topic = source.read_topic(self._settings, self._admin)
        except BrokerUnavailable as error:
            self._job.wait_for(str(error))
            return True  # the query waits for the broker too
        self._job.go_on(working_since=working_since, lag=source.lag(topic, batches.following))
        return topic.kafka_id == resume.kafka_id


def _wall_clock_ahead() -> float:
    """Seconds of the wall clock less those of the clock that nobody sets: less than before = it was set back."""
    return time.time() - time.monotonic()
