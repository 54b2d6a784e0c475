"""One micro-batch of the Bronze query: check the topic, judge the messages, append them, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql import DataFrame

from ventes import kafka
from ventes.contract import tables as contract
from ventes.deltalog import commit, data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import TableMaintenance
from ventes.engines import source
from ventes.engines.job import Job
from ventes.engines.source import Interrupted
from ventes.engines.spark import bronze_files, checkpoint
from ventes.engines.spark.frames import FEW, collect
from ventes.errors import BrokerUnavailable
from ventes.judging.judge_batch import judge_batch
from ventes.judging.messages import RAW
from ventes.lake import positions
from ventes.runtime import disk
from ventes.runtime.failpoints import failpoint

DISK_SECONDS = 2.0
"""Seconds between two checks of a full disk."""


class Stopping(Exception):
    """A stop was requested: a batch that has not begun its work does not begin it."""


class MicroBatches:
    """The function that foreachBatch calls, for one query with its epoch, topic and table."""

    def __init__(
        self,
        job: Job,
        admin: kafka.Admin,
        require_lock: Callable[[], None],
        resume: source.Resume,
        epoch: Path,
        bronze: Log,
        maintenance: TableMaintenance,
    ) -> None:
        self._job = job
        self._settings = job.settings
        self._log = job.log
        self._reporter = job.reporter
        self._stopper = job.stopper
        self._admin = admin
        self._require_lock = require_lock
        self._resume = resume
        self._epoch = epoch
        self._bronze = bronze
        self._maintenance = maintenance
        self._database = connect(job.settings.embedded.memory_mb)
        self._app_id = ""
        self.following: Mapping[int, int] = resume.offsets
        """partition → first offset that Bronze does not have."""
        self.begun = 0
        """Batches that have begun."""
        self.failure: Exception | None = None
        """The exception raised here that ended the query: Spark's own exception only quotes its text."""

    def close(self) -> None:
        self._database.close()

    def __call__(self, frame: DataFrame, batch: int) -> None:
        self.begun += 1
        try:
            self._ingest(frame, batch)
        except Exception as error:
            self.failure = error
            raise

    def _ingest(self, frame: DataFrame, batch: int) -> None:
        began = time.monotonic()
        self._wait_for_disk()
        self._bronze.require_in_place()
        if self._bronze.edited:
            raise Interrupted(f"another program changed {self._bronze.path}")
        planned = checkpoint.batch_offsets(self._epoch, self._settings.topic, batch)
        if planned == self.following:
            return  # Spark begins an epoch with a batch, even an empty one
        self._reporter.begin_work()
        messages = sum(end - self.following.get(partition, 0) for partition, end in planned.items())
        made: Sequence[DataFile] = ()
        if not commit.has(self._bronze, self._transaction(), batch):
            made = self._files(frame, messages)
            failpoint("bronze.before_commit")
            # asked after the reading: the same topic id proves that all messages came from this topic
            self._same_topic(self._admin.topic_id())
            self._require_lock()
            ends = {number: end - 1 for number, end in planned.items() if end > 0}
            read = positions.as_transactions(self._settings.stream, self._resume.topic_id, ends)
            commit.append_files(self._bronze, made, {self._transaction(): batch, **read})
            failpoint("bronze.after_commit")
        self.following = planned
        lag = self._lag()
        self._report(batch, made, time.monotonic() - began, lag)
        self._maintenance.run_due()  # also during a backlog: its commits are few and have many files
        # a batch of this epoch is committed in table and checkpoint: older epochs are not needed any more
        if batch > 0:
            checkpoint.retire(self._epoch.parent, self._epoch)

    def _files(self, frame: DataFrame, messages: int) -> list[DataFile]:
        """Bronze's rows, in files. Workers give the same verdicts as the driver, but take 0.2 s for ten messages."""
        now, topic_id = datetime.now(timezone.utc), self._resume.topic_id
        few = collect(bronze_files.as_raw(frame, topic_id), RAW) if messages <= FEW else None
        if few is None:
            return bronze_files.write(frame, topic_id, self._settings, now)
        rows = judge_batch(self._database, few, self._settings, now)
        return data_files.write(self._settings.bronze, contract.of(self._settings).bronze, rows)

    def _transaction(self) -> str:
        """The application id of this query's commits: Spark's query id is in the checkpoint once it runs."""
        if not self._app_id:
            self._app_id = f"{self._settings.stream.bronze_app}:{checkpoint.query_id(self._epoch)}"
        return self._app_id

    def _wait_for_disk(self) -> None:
        while shortage := disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
            if self._stopper.stopping:
                break
            self._job.wait_for(shortage)
            self._stopper.wait(DISK_SECONDS)
        if self._stopper.stopping:
            raise Stopping

    def _lag(self) -> int | None:
        """The lag in messages, or None while the broker does not answer."""
        try:
            topic = source.read_topic(self._settings, self._admin)
        except BrokerUnavailable:
            return None  # the next batch, or the check while idle, reports it
        self._same_topic(topic.kafka_id)
        return source.lag(topic, self.following)

    def _same_topic(self, kafka_id: str | None) -> None:
        if kafka_id != self._resume.kafka_id:
            raise Interrupted(f"the topic's id was {self._resume.kafka_id}, now it is {kafka_id or 'gone'}")

    def _report(self, batch: int, made: Sequence[DataFile], seconds: float, lag: int | None) -> None:
        now = time.time()
        self._job.batch_times.add(seconds)
        rows = sum(file.rows or 0 for file in made)
        newest = _newest(made)
        age = f", newest {now - newest.timestamp():.1f} s old" if newest else ""
        behind = "unknown" if lag is None else f"{lag} messages"
        self._log.info("batch %d: %d rows in %.2f s, lag %s%s", batch, rows, seconds, behind, age)
        self._job.go_on(
            batch=batch,
            batch_at=now,
            rows=rows,
            duration=seconds,
            total=self._reporter.record.total + rows,
            lag=lag,
            batch_times=self._job.batch_times.record(),
        )


def _newest(made: Sequence[DataFile]) -> datetime | None:
    """The latest kafka_ts in these files, to the millisecond; None for no rows."""
    tops = [bounds[1] for file in made if (bounds := file.bounds("kafka_ts"))]
    return datetime.fromisoformat(max(tops).replace("Z", "+00:00")) if tops else None
