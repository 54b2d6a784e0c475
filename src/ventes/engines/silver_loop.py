"""The loop of the Silver job, for both engines: takes lots from Bronze by its positions.

There is no checkpoint. A lot takes the Bronze rows of a LotRange and is committed in this order:

    <stream>_rejets (if any) → <stream>_clean (always: its transaction is the lot's commit point)

The roll-ups follow when they are due, several lots together (silver_publication.py). Each commit has the transaction
("<stream>-silver", lot), so an interrupted lot is found and repaired on start (`silver_recovery.recover`): rejects of a
lot without its commit point are deleted, roll-ups that lack lots are completed from the clean events. Silver's position
is max(offset) over both tables. See
docs/decisions/0001-silver-without-checkpoint.md and 0010-roll-ups-when-due.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypedDict

import pyarrow as pa

from ventes.config import Settings
from ventes.deltalog.compaction import Merging
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import FilesGone, Log, TableMissing, TableReplaced, VersionGone
from ventes.deltalog.maintenance import TableMaintenance
from ventes.engines.bronze_row_groups import BronzeRowGroups, oldest
from ventes.engines.job import Job
from ventes.engines.lot_measures import LotColumns, LotMeasures
from ventes.engines.lot_range import LOT_BYTES, LotRange, next_lot_range
from ventes.engines.silver_publication import Publication
from ventes.errors import LakeDamaged
from ventes.lake import damage, silver_recovery
from ventes.lake.doubled_rows import surplus_of
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import Position, behind, furthest, of_log, read_through
from ventes.lake.rollups import Publisher
from ventes.lake.tables import path_of
from ventes.runtime import disk
from ventes.runtime.failpoints import failpoint


@dataclass(frozen=True)
class LotResult:
    """The result of a lot: rows written to <stream>_clean and <stream>_rejets, and what the roll-ups get of them.

    `partials`: what lake.rollup_partials.partials_of_lot makes of the clean ones. `columns`: for the metrics.
    """

    clean: int
    rejected: int
    partials: Mapping[str, pa.Table]
    columns: LotColumns


class SilverEngine(Protocol):
    """The operations that each engine implements."""

    name: str
    database: RecycledDatabase
    """The loop publishes the roll-ups with it, between two lots of the engine."""

    @property
    def merging(self) -> Merging | None:
        """Where files of the tables are merged; None for the process of the loop."""

    def lock(self) -> None:
        """Take <lake>/locks/silver.lock in the process that commits, or raise AlreadyRunning. `close` releases it."""

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        """Split the rows of `lot_range` and commit them: rejects if there are any, then clean events, always.

        Passes the failpoints silver.before_rejets, silver.after_rejets, silver.after_clean. Repeating a lot that is
        committed changes nothing.
        """

    def require_lock(self) -> None:
        """Raise LockLost if the lock is not held any more."""

    def close(self) -> None:
        """Release all resources, the lock last."""


class Paces(TypedDict, total=False):
    """Arguments of SilverLoop."""

    pace_seconds: float
    rollup_seconds: float


def paces(settings: Settings) -> Paces:
    """Those for a lake on an object store, where each request costs; none for a folder."""
    if not settings.on_a_store:
        return {}
    return {"pace_seconds": settings.store.pace_seconds, "rollup_seconds": settings.store.rollup_seconds}


class SilverLoop:
    """Runs an engine over Bronze until told to stop."""

    def __init__(
        self,
        job: Job,
        engine: SilverEngine,
        tables: OpenTables,
        *,
        max_rows: int,
        max_bytes: int = LOT_BYTES,
        poll_seconds: float = 0.02,
        idle_seconds: float = 0.25,
        pace_seconds: float = 0.0,
        rollup_seconds: float | None = None,
    ) -> None:
        """`tables`: the same that `engine` writes with. `max_rows`, `max_bytes`: of Kafka messages per lot at most.

        `pace_seconds`: from a lot to the next one, unless that is as large as a lot may be. `rollup_seconds`: from a
        lot to the publication of its roll-ups.

        Bronze is polled (one stat call) `poll_seconds` after a lot, then at growing intervals up to `idle_seconds`
        while there is nothing new; equal values make a fixed interval.
        """
        self._job = job
        self._settings = job.settings
        self._engine = engine
        self._tables = tables
        self._stopper = job.stopper
        self._reporter = job.reporter
        self._log = job.log
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._row_groups = BronzeRowGroups()
        self._poll = poll_seconds
        self._idle = max(idle_seconds, poll_seconds)
        self._pause = poll_seconds
        self._pace = pace_seconds
        self._rollup_seconds = rollup_seconds
        self._took_at = -math.inf
        """When the last lot began; monotonic."""
        self._bronze: Log | None = None
        self._head: Position = {}
        self._head_version = -1
        self._position: Position = {}
        self._lot = 0
        self._rollups: Publication | None = None
        self._maintenance: list[TableMaintenance] = []
        self._room_known_until = 0.0
        self._measures = LotMeasures(job.settings.stream)

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> int:
        """Run until the stopper is set; returns the exit code 0. engines.job reports its errors."""
        try:
            self._engine.lock()
            while not self._stopper.stopping:
                if not self._step():
                    self._rest()
            self._finish()
        finally:
            self._release()
            self._engine.close()
        self._reporter.update(phase="stopped", reason=self._stopper.signal or "")
        self._log.info("stopped after lot %d", self._lot)
        return 0

    def _step(self) -> bool:
        """Process one lot, or a step of the roll-ups, if there is one. False if nothing can be done now."""
        return self._room() and self._attempt(self._go_on)

    def _finish(self) -> None:
        """Publish the roll-ups of the last lots, if possible: else the next start completes them."""
        if self._rollups is not None and not self._edited(self._rollups.publisher):
            self._attempt(self._publish_all)

    def _publish_all(self) -> bool:
        assert self._rollups is not None
        self._engine.require_lock()
        self._rollups.finish()
        self._reporter.update(**self._rollups.record())
        return True

    def _attempt(self, work: Callable[[], bool]) -> bool:
        """The result of `work`; if a table changed under it or the disk is full, the state is read again next time."""
        try:
            return work()
        except (FilesGone, TableReplaced) as error:  # a table was optimized, restored or replaced during this lot
            self._release()
            self._log.warning(f"{error.message}: starting from the tables again")
            return True
        except Exception as error:
            if isinstance(error, OSError) and disk.is_full(error):
                self._release()  # the state in memory may be ahead of the tables: read it from them again
                self._job.wait_for(disk.reason(error))
                return False
            if not isinstance(gone := damage.of_error(error), VersionGone):
                raise
            self._release()  # another program vacuumed files that this lot reads
            self._log.warning(f"{gone.message}: starting from the tables again")
            return True

    def _go_on(self) -> bool:
        if self._rollups is not None and self._edited(self._rollups.publisher):
            self._release()  # the state in memory may be wrong now
        if self._rollups is None:
            self._reporter.begin_work()
            self._rollups = self._recover()
        bronze = self._look()
        lot_range = None
        if bronze is not None:
            lot_range = next_lot_range(
                self._position,
                self._head,
                bronze.files.values(),
                self._max_rows,
                self._max_bytes,
                partial(self._row_groups.of, bronze.path),
                partial(oldest, bronze.path),
            )
        waits = lot_range is not None and self._paced()
        if lot_range is not None and not waits:
            self._take(lot_range, self._rollups)
        due = self._rollups.pause(1.0) == 0
        if due:
            self._publish_some(self._rollups)
        if lot_range is None and bronze is not None:
            self._idle_beat()
        return due or (lot_range is not None and not waits)

    def _paced(self) -> bool:
        """Whether the next lot waits for more rows."""
        if time.monotonic() - self._took_at >= self._pace:
            return False
        return behind(self._position, self._head) < self._max_rows

    def _publish_some(self, rollups: Publication) -> None:
        self._engine.require_lock()
        before = rollups.record()
        rollups.go_on()
        if (now := rollups.record()) != before:
            self._reporter.update(**now)

    def _take(self, lot_range: LotRange, rollups: Publication) -> None:
        began = self._took_at = time.monotonic()
        self._engine.require_lock()
        self._reporter.begin_work()
        lot = self._lot + 1
        result = self._engine.take(lot_range, lot)
        self._measures.add(result.clean, result.rejected, result.columns, time.time())
        rollups.add(result.partials, lot)
        failpoint("silver.after_lot")
        self._lot = lot
        self._position = furthest(self._position, lot_range.upto)
        lag = behind(self._position, self._head)
        self._maintain(lag)
        self._report(result, time.monotonic() - began, lag, rollups)

    def _maintain(self, lag: int) -> None:
        for table in self._maintenance:
            table.run_due(lag)

    def _report(self, result: LotResult, seconds: float, lag: int, rollups: Publication) -> None:
        rows = result.clean + result.rejected
        self._job.batch_times.add(seconds)
        self._log.info(
            f"lot {self._lot}: {rows} rows = {result.clean} clean + {result.rejected} rejected"
            f" in {seconds:.3f} s, lag {lag}"
        )
        self._job.go_on(
            batch=self._lot,
            batch_at=time.time(),
            rows=rows,
            duration=round(seconds, 4),
            total=self._reporter.record.total + rows,
            lag=lag,
            batch_times=self._job.batch_times.record(),
            **self._measures.record(),
            **rollups.record(),
        )
        self._pause = self._poll

    # -- state --------------------------------------------------------------------------------

    def _recover(self) -> Publication:
        """Make the Silver tables consistent with the last lot of the clean events, and read the position."""
        publisher = Publisher(self._settings, self._tables, self._engine.database, self._reporter.begin_work)
        state = silver_recovery.recover(self._tables, publisher)
        for line in state.repaired:
            self._log.warning(f"recovered: {line}")
        self._lot, self._position = state.last_used, state.position
        self._maintenance = self._tables.maintenance(
            self._tables.declared.outcomes,
            kept_small=self._tables.declared.rollups,
            merging=self._engine.merging,
        )
        self._log.info(f"{self._engine.name} engine continues after lot {self._lot}")
        for name, filling in publisher.fillings.items():
            self._log.info(f"{name} is filled from {filling.events:,} events, between the lots")
        clean = self._tables.log(self._tables.declared.clean)
        return Publication(self._log, publisher, clean, state.committed, self._rollup_seconds)

    def _edited(self, publisher: Publisher) -> bool:
        """Whether another program has changed, replaced or deleted a Silver table since the last lot.

        What a table holds that is being filled does not matter.
        """
        try:
            logs = {table.name: self._tables.log(table) for table in self._tables.declared.silver}
        except TableMissing:
            return True
        replaced = any(logs[name] is not log for name, log in publisher.logs.items())
        return replaced or any(log.edited for name, log in logs.items() if name not in publisher.fillings)

    def _look(self) -> Log | None:
        """A snapshot of Bronze, or None while there is no such table."""
        before = self._head_version
        try:
            bronze = self._tables.log(self._tables.declared.bronze)
        except TableMissing:
            self._bronze = None
            path = path_of(self._settings, self._tables.declared.bronze)
            self._job.wait_for(f"{path} does not exist yet: the bronze job makes it")
            return None
        if bronze is not self._bronze or bronze.version != before:
            self._head, self._head_version = of_log(bronze), bronze.version
            self._bronze = bronze
        if wait := self._why_bronze_is_longer(bronze) or self._why_bronze_is_shorter(bronze):
            self._job.wait_for(wait)
            return None
        return bronze

    def _why_bronze_is_longer(self, bronze: Log) -> str:
        """The reason to wait if Bronze has more rows than were written, which a lot would take twice; '' otherwise."""
        if not (surplus := surplus_of(bronze)):
            return ""
        return (
            f"Bronze holds {surplus:,} rows more than its job wrote: another program merged its files or added rows; "
            "the bronze job removes rows that are there twice"
        )

    def _why_bronze_is_shorter(self, bronze: Log) -> str:
        """The reason to wait if Bronze ends before Silver's position; '' if it does not.

        Raises LakeDamaged for a Bronze of another topic, which never contained Silver's rows. An empty Bronze is
        waited for: it may have been created a moment ago.
        """
        known = {topic_id for topic_id, _ in (*self._head, *read_through(bronze))}
        for (topic_id, partition), taken in self._position.items():
            held = self._head.get((topic_id, partition), -1)
            if held >= taken:
                continue
            what = f"Bronze ends at offset {held} of partition {partition}, but Silver has taken {taken}"
            if known and topic_id not in known:
                raise LakeDamaged(
                    f"{what} of topic {topic_id}",
                    "it is another Bronze: put the old one back, or `ventes rebuild silver` from this one",
                )
            return f"{what}: Bronze was set back; the bronze job reads the rest again, if Kafka still has it"
        return ""

    def _room(self) -> bool:
        """Whether the lake's disk has more free space than maintenance.min_free_mb."""
        now = time.monotonic()
        if now < self._room_known_until:
            return True
        if shortage := disk.shortage(self._settings.lake, self._settings.maintenance.min_free_mb):
            self._job.wait_for(shortage)
            return False
        self._room_known_until = now + 1.0
        return True

    # -- waiting ------------------------------------------------------------------------------

    def _idle_beat(self) -> None:
        if self._job.beat_due():
            self._job.go_on(lag=0)
            self._maintain(0)

    def _rest(self) -> None:
        self._stopper.wait(self._pause if self._rollups is None else self._rollups.pause(self._pause))
        self._pause = min(self._pause * 1.5, self._idle)

    def _release(self) -> None:
        for table in self._maintenance:
            table.close()
        self._maintenance = []
        if self._rollups is not None:
            self._rollups.drop()
        self._rollups = None
