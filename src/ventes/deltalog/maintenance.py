"""Compaction, checkpoints and vacuum of a table, run by the job that writes it.

A TableMaintenance is called after each commit. Every `compact_every` commits it merges small files; the expensive part
(reading and writing Parquet) runs in a thread, and the result is committed in the writer's thread at its next call.
So two commits never race, whether the writer is this process or a JVM that waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

from deltalake.exceptions import DeltaError

from ventes.deltalog import checkpoints, compaction
from ventes.deltalog.actions import DataFile
from ventes.deltalog.compaction import MergeHere, Merging
from ventes.deltalog.create import open_with_deltalake
from ventes.deltalog.log import FilesDeleted, FilesGone, Log
from ventes.deltalog.table import Table
from ventes.deltalog.vacuum import Vacuum
from ventes.errors import StoreUnavailable

CHECKPOINT_EVERY = 20
"""Commits between two checkpoints at least: a reader that opens the table replays these (0.1 ms each)."""
CHECKPOINT_AT_MOST = 1_000
"""Commits after which a checkpoint is written, whatever its cost."""
CHECKPOINT_SHARE = 0.02
"""Share of one core for the checkpoints of a table: each lists every file removed within the kept history."""
BACKLOG = 10_000
"""Lag (messages) from which merges are postponed; a job that keeps up stays below it. During a backlog merges take a
fifth of Bronze's CPU and 40 MB more memory, and cost the same afterwards."""
BACKLOG_FACTOR = 8
"""During a backlog compaction runs after this many times more commits."""

_log = logging.getLogger("ventes.lake")


def one_worker() -> ThreadPoolExecutor:
    """The worker thread for all tables of a job. Only one: each thread that reads and writes Parquet keeps memory."""
    return ThreadPoolExecutor(1, "maintenance")


@dataclass(frozen=True)
class Policy:
    """The settings of maintenance."""

    compact_every: int
    """Commits between two compactions; 0: the writer keeps the table in few files itself."""
    history_seconds: float
    """How far back earlier versions of the table can be read."""
    by_minute: bool = False
    """Whether of the older versions only those at full minutes are kept; see Vacuum."""
    needed_since: Callable[[], float | None] = lambda: None
    """The Unix time from which removed files are still read by a running reader; None without one."""


class TableMaintenance:
    """Maintains one table for its writer."""

    def __init__(
        self,
        table: Table,
        log: Log,
        policy: Policy,
        worker: Executor | None = None,
        merging: Merging | None = None,
    ) -> None:
        """`log`: the writer's Log. `worker`: runs the expensive part; without one it runs within `run_due`. `merging`:
        where files are merged, by default in this process."""
        self._table = table
        self._every = policy.compact_every
        self._log = log
        self._worker = worker
        self._merging = merging or MergeHere()
        self._running: Future[None] | None = None
        self._merged: list[tuple[Sequence[DataFile], DataFile]] = []
        self._checkpoint_at = self._compact_at = self._log.version
        self._checkpoint_took = self._checkpoint_ended = 0.0
        self._complained = ""
        self._closing = False
        self._vacuum = Vacuum(
            self._log.path, policy.history_seconds, by_minute=policy.by_minute, needed_since=policy.needed_since
        )

    def run_due(self, behind: int = 0) -> None:
        """Do what is due. Call it after each commit, and regularly while idle, but not during a commit of the writer.

        `behind`: the writer's lag in messages. Takes microseconds, or the time of a commit if a merge is ready. Raises
        the exception of the last work in the thread.
        """
        self._log.refresh()
        if self._running is not None:
            if not self._running.done():
                return
            self._running.result()
            self._running = None
        self._commit_merged()
        version = self._log.version
        every = self._every * (BACKLOG_FACTOR if behind >= BACKLOG else 1)
        # files of another program may hold rows twice: the writer looks at them first
        compact = self._every > 0 and version - self._compact_at >= every and not self._log.edited
        checkpoint = self._checkpoint_due(version - self._checkpoint_at)
        vacuum = self._vacuum.due(version)
        if not (compact or checkpoint or vacuum):
            return
        if compact:
            self._compact_at = version
        if checkpoint:
            self._checkpoint_at = version
        live = dict(self._log.files)
        if self._worker is None:
            self._work(live, compact, checkpoint, vacuum)
            self._commit_merged()
        else:
            self._running = self._worker.submit(self._work, live, compact, checkpoint, vacuum)

    def _checkpoint_due(self, commits: int) -> bool:
        rested = time.monotonic() - self._checkpoint_ended >= self._checkpoint_took / CHECKPOINT_SHARE
        return commits >= CHECKPOINT_EVERY and (rested or commits >= CHECKPOINT_AT_MOST)

    def close(self) -> None:
        """Wait for the worker and end it. A merge that is not committed is discarded; its file is vacuumed later."""
        self._closing = True
        self._merging.close()
        if self._worker is not None:
            self._worker.shutdown(wait=True)

    # -- in the thread ------------------------------------------------------------------------

    def _work(self, live: dict[str, DataFile], compact: bool, checkpoint: bool, vacuum: bool) -> None:
        if compact:
            self._merge(compaction.mergeable(live.values()))
        if checkpoint:
            self._checkpoint()
        if vacuum:
            try:
                self._vacuum.run(set(live), keep_also={new.path for _, new in self._merged})
            except StoreUnavailable as error:
                _log.warning("%s: not vacuumed: %s", self._table.name, error.message)

    def _merge(self, groups: Sequence[Sequence[DataFile]]) -> None:
        """Merge the groups. One that cannot be merged is left as it is, which is not an error for the writer."""
        for group, made in zip(groups, self._merging.merge(self._log.path, self._table, groups), strict=True):
            if isinstance(made, DataFile):
                self._merged.append((group, made))
            elif made != self._complained and not self._closing:
                self._complained = made
                _log.error("%s: files cannot be merged: %s → ventes doctor", self._table.name, made)

    def _checkpoint(self) -> None:
        """Write a checkpoint, or try again next time: without one a table only opens more slowly.

        On a store it is made in the mirror, which has the commits, and uploaded: two requests.
        """
        began = time.monotonic()
        try:
            open_with_deltalake(self._log.path).create_checkpoint()
            checkpoints.sync(self._log.path)
        except (DeltaError, StoreUnavailable) as error:
            _log.warning("%s: no checkpoint at version %d: %s", self._table.name, self._log.version, str(error)[:200])
        # Spark writes a .crc file for its _last_checkpoint; it does not match the one that deltalake writes.
        (self._log.path / "_delta_log" / "._last_checkpoint.crc").unlink(missing_ok=True)
        self._checkpoint_ended = time.monotonic()
        self._checkpoint_took = self._checkpoint_ended - began

    # -- in the writer's thread ---------------------------------------------------------------

    def _commit_merged(self) -> None:
        """Commit the merge; discard it if another writer has removed one of its files meanwhile."""
        merged, self._merged = self._merged, []
        merged = [(old, new) for old, new in merged if all(file.path in self._log.files for file in old)]
        if not merged:
            return
        actions = [file.remove(data_change=False) for old, _ in merged for file in old]
        actions += [new.add(data_change=False) for _, new in merged]
        try:
            self._log.commit(actions, "OPTIMIZE")
        except (FilesDeleted, FilesGone) as error:
            _log.info("%s: files were not merged: %s", self._table.name, error.message)
            return
        files = sum(len(old) for old, _ in merged)
        _log.debug("%s: %d files merged into %d", self._table.name, files, len(merged))
