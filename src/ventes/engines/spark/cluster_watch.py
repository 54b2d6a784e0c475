"""Watches what a cluster gives a running job: executors got and lost, and what the job waits for without any.

A job without executors hangs inside of Spark, without an error: the watch reports it from a thread of its own, and
takes the job's session away where waiting cannot end (the master forgot the application), so that a new process asks
again. On a cluster the driver uses no CPU while the executors work; the watch then renews the heartbeat, which the
supervisor's watchdog would miss.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from py4j.protocol import Py4JError
from pyspark import SparkContext

from ventes.config import Settings
from ventes.engines.job import Job
from ventes.engines.spark import master_page
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.runtime.durations import in_words

LOOK_SECONDS = 2.0
GRACE_SECONDS = 5.0
"""An executor's JVM needs 2 to 5 s to start: until then nothing is said."""
START_SECONDS = 60.0
"""An executor that got its cores and did not report for this long cannot reach the driver, or cannot run."""
FORGOTTEN_LOOKS = 3
"""So many looks in a row without the application in the master's list: one may come while it registers again."""
SILENT_MASTER_SECONDS = 300.0
"""Without executors and without a master for so long, a new process registers anew: a master that lost its state
does not know this one."""
TASK_SECONDS = 1800.0
"""A task that has not ended for so long does not renew the heartbeat any more."""


@dataclass(frozen=True)
class Executor:
    """One executor, as the driver knows it."""

    id: str
    active: bool
    cores: int
    running: int
    """Tasks."""
    done: int
    """Tasks that have ended."""


class Executors(Protocol):
    """The driver's side of a cluster."""

    @property
    def application(self) -> str: ...
    def all(self) -> Sequence[Executor]: ...
    def stop(self) -> None: ...


class DriverExecutors:
    """Asks the driver's SparkContext. Raises Py4JError or OSError once it has ended."""

    def __init__(self, spark: SparkContext) -> None:
        self._context: Any = spark._jsc.sc()
        self.application = str(spark.applicationId)

    def all(self) -> Sequence[Executor]:
        found = self._context.statusStore().executorList(False)
        every = (found.apply(number) for number in range(found.size()))
        return [
            Executor(str(one.id()), one.isActive(), one.totalCores(), one.activeTasks(), one.completedTasks())
            for one in every
            if one.id() != "driver"
        ]

    def stop(self) -> None:
        """End the application; what runs in it fails."""
        self._context.stop()


class ClusterWatch:
    """Call `look` regularly; `start` does so in a thread."""

    def __init__(
        self,
        job: Job,
        settings: Settings,
        plan: ClusterPlan,
        executors: Executors,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = job
        self._settings = settings
        self._plan = plan
        self._executors = executors
        self._monotonic = monotonic
        self._lost: set[str] = set()
        self._without_since: float | None = monotonic()
        self._granted_since: float | None = None
        self._silent_since: float | None = None
        self._forgotten = 0
        self._done, self._done_at = 0, monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)
        self.gave_up = ""
        """Why the session was taken away; '' if it was not."""

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            with contextlib.suppress(Py4JError, OSError):  # of a JVM that has ended the job's own thread hears
                self.look()

    def look(self) -> bool:
        """Ask the driver, and the master where something is missing; True if there is an executor."""
        every = self._executors.all()
        there = [one for one in every if one.active]
        self._lost.update(one.id for one in every if not one.active)
        cores = sum(one.cores for one in there)
        if there:
            self._without_since = self._granted_since = None
            self._job.hindered_by("")
            self._renew(there)
        elif self._without_since is None:
            self._without_since = self._monotonic()
        if self._plan.cores and cores < self._plan.cores and not self._closing.is_set():
            self._ask_master(bool(there))
        elif not there and not self._plan.cores:
            self._wait(f"waits for executors of {self._plan.master}")
        if not there and self._job.stopper.stopping:
            self._give_up("was told to stop while it had no executor")  # what runs in it would hang
        self._job.uses_cluster(
            application=self._executors.application,
            cores=cores,
            asked=self._plan.cores,
            executors=len(there),
            lost=len(self._lost),
        )
        return bool(there)

    def _renew(self, there: Sequence[Executor]) -> None:
        """Renew the heartbeat while tasks run."""
        now, done = self._monotonic(), sum(one.done for one in there)
        running = any(one.running for one in there)
        if done != self._done or not running:
            self._done, self._done_at = done, now
        if running and now - self._done_at < TASK_SECONDS:
            self._job.reporter.update()

    def _ask_master(self, working: bool) -> None:
        """Say why there is no executor; give the session up if there will be none."""
        now = self._monotonic()
        try:
            cluster = master_page.read(self._settings)
        except master_page.Unanswered as error:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if not working:
                self._wait(f"waits for executors: Spark's master does not answer ({error})")
                if now - self._silent_since > SILENT_MASTER_SECONDS:
                    self._give_up(f"has had no executor and no master for {in_words(SILENT_MASTER_SECONDS)}")
            return
        self._silent_since = None
        own = cluster.application(self._executors.application)
        self._forgotten = self._forgotten + 1 if own is None and cluster.status == master_page.ALIVE else 0
        if self._forgotten >= FORGOTTEN_LOOKS:
            self._give_up(f"is not known to the master {cluster.url} any more, which was started anew")
        elif not working and (own is None or not own.cores):
            self._granted_since = None
            self._wait(master_page.shortage(cluster, self._plan.cores, self._plan.memory_mb))
        elif not working and own is not None:
            self._granted_since = now if self._granted_since is None else self._granted_since
            if now - self._granted_since > START_SECONDS:
                self._wait(
                    f"waits for its executors: the cluster gave {own.cores} cores, and none has reported for "
                    f"{START_SECONDS:.0f} s; they must reach this machine at spark.driver_host = "
                    f"{self._plan.driver_host}, and the worker's folder work/{own.id} has their logs"
                )

    def _wait(self, reason: str) -> None:
        since = self._without_since
        if since is not None and self._monotonic() - since > GRACE_SECONDS:
            self._job.hindered_by(reason)

    def _give_up(self, why: str) -> None:
        if not self.gave_up:
            self.gave_up = why
            self._closing.set()
            self._executors.stop()
