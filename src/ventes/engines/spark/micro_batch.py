"""What one micro-batch of the Bronze query does: check the topic, judge the messages, append them, say so."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql import DataFrame

from ventes import kafka
from ventes.config import Settings
from ventes.contract.tables import BRONZE
from ventes.deltalog import commit, data_files
from ventes.deltalog.log import DataFile
from ventes.deltalog.maintenance import Caretaker
from ventes.deltalog.snapshot import connect
from ventes.engines import job, source
from ventes.engines.embedded.intake import RAW
from ventes.engines.spark import bronze_files, checkpoint
from ventes.engines.spark.sink import FEW, Appended, Sink, collect
from ventes.errors import BrokerUnavailable, SourceChanged
from ventes.judging.judge_batch import judged
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

DISK_SECONDS = 2.0
"""How often a full disk is looked at again."""


class Stopping(Exception):
    """The process shall end: a batch that has not begun its work does not begin it."""


class Ingest:
    """The function that foreachBatch calls for one query: epoch, topic and sink stay the same."""

    def __init__(
        self,
        settings: Settings,
        admin: kafka.Admin,
        resume: source.Resume,
        epoch: Path,
        sink: Sink,
        caretaker: Caretaker,
        log: logging.Logger,
        reporter: Reporter,
        stopper: Stopper,
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._resume = resume
        self._epoch = epoch
        self._sink = sink
        self._caretaker = caretaker
        self._log = log
        self._reporter = reporter
        self._stopper = stopper
        self._database = connect(settings.embedded.memory_mb)
        self._app_id = ""
        self.following: Mapping[int, int] = resume.offsets
        """partition → first offset that Bronze does not hold."""
        self.failure: Exception | None = None
        """What ended the query, if it was this: Spark's own exception only quotes it."""

    def close(self) -> None:
        self._database.close()

    def __call__(self, frame: DataFrame, batch: int) -> None:
        try:
            self._ingest(frame, batch)
        except Exception as error:
            self.failure = error
            raise

    def _ingest(self, frame: DataFrame, batch: int) -> None:
        began = time.monotonic()
        self._wait_for_disk()
        planned = checkpoint.batch_offsets(self._epoch, self._settings.kafka.topic, batch)
        if planned == self.following:
            return  # Spark begins an epoch with a batch, even of nothing
        messages = sum(end - self.following.get(partition, 0) for partition, end in planned.items())
        added = Appended(0, None)
        if not self._sink.has(self._transaction(), batch):
            made = self._files(frame, messages)
            failpoint("bronze.before_commit")
            self._same_topic(self._admin.topic_id())  # asked after the reading: it vouches for all that was read
            added = self._sink.add(made, self._transaction(), batch)
            failpoint("bronze.after_commit")
        self.following = planned
        lag = self._look_after()
        self._report(batch, added, time.monotonic() - began, lag)
        self._caretaker.tend()  # also in a backlog: its commits are few and of many files
        if batch > 0:  # a batch of this epoch is committed in table and checkpoint: older epochs are history
            checkpoint.retire(self._epoch.parent, self._epoch)

    def _files(self, frame: DataFrame, messages: int) -> list[DataFile]:
        """Bronze's rows, in files. Workers give the same verdicts as the driver, but cost 0.2 s for ten messages."""
        now, topic_id = datetime.now(timezone.utc), self._resume.topic_id
        few = collect(bronze_files.as_raw(frame, topic_id), RAW) if messages <= FEW else None
        if few is None:
            return bronze_files.write(frame, topic_id, self._settings, now)
        rows = judged(self._database, few, self._settings, now)
        return data_files.write(self._settings.bronze, BRONZE, commit.conform(BRONZE, rows))

    def _transaction(self) -> str:
        """The application id of this query's commits: Spark's query id stands in the checkpoint once it runs."""
        if not self._app_id:
            self._app_id = f"ventes-bronze:{checkpoint.query_id(self._epoch)}"
        return self._app_id

    def _wait_for_disk(self) -> None:
        waited = False
        while shortage := job.disk_shortage(self._settings, self._settings.lake):
            if self._stopper.stopping:
                break
            if not waited:
                self._log.error("bronze waits: %s", shortage)
            waited = True
            self._reporter.update(phase="waiting", reason=shortage)
            self._stopper.wait(DISK_SECONDS)
        if self._stopper.stopping:
            raise Stopping
        if waited:
            self._reporter.update(phase="running", reason="")

    def _look_after(self) -> int | None:
        """The messages still to read, or None while the broker does not answer."""
        try:
            topic = source.look(self._settings, self._admin)
        except BrokerUnavailable:
            return None  # the next batch, or the idle watch, says so
        self._same_topic(topic.kafka_id)
        return source.lag(topic, self.following)

    def _same_topic(self, kafka_id: str | None) -> None:
        if kafka_id != self._resume.kafka_id:
            raise SourceChanged(
                f"topic {self._settings.kafka.topic!r} was deleted or created anew: its id was "
                f"{self._resume.kafka_id}, now it is {kafka_id or 'gone'}",
                source.RECOVER,
            )

    def _report(self, batch: int, added: Appended, seconds: float, lag: int | None) -> None:
        now = time.time()
        age = f", newest {now - added.newest.timestamp():.1f} s old" if added.newest else ""
        behind = "unknown" if lag is None else f"{lag} messages"
        self._log.info("batch %d: %d rows in %.2f s, lag %s%s", batch, added.rows, seconds, behind, age)
        self._reporter.update(
            phase="running",
            reason="",
            batch=batch,
            batch_at=now,
            rows=added.rows,
            duration=seconds,
            total=self._reporter.record.total + added.rows,
            lag=lag,
        )
