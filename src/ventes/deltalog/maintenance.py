"""Keeping a table small on disk and quick to open, inside the job that writes it.

A Caretaker is called after each commit. Every settings.maintenance.compact_every commits it merges small files; the
heavy part (reading and writing Parquet) runs in a thread, and the result is committed in the writer's own thread, when
it calls again: two commits never race, whether the writer is this process or a JVM that waits for it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from ventes.config import Settings
from ventes.contract.tables import ROLLUPS, Table
from ventes.deltalog import data_files
from ventes.deltalog.log import DataFile, Log
from ventes.deltalog.vacuum import Sweeper
from ventes.lake import tables

CHECKPOINT_EVERY = 20
"""Commits between two checkpoints: a reader that opens the table anew replays at most these (0.1 ms each)."""
TIERS = ((512 << 10, 2), (8 << 20, 32), (64 << 20, 8))
"""(size below which a file belongs to the tier, files of a tier and below that are worth merging). A row is rewritten
about once a tier, so the work stays proportional to the rows, not to rows × commits. 32, because that many files of a
backlog, of 2 to 3 MB each, make one that is above all tiers: those rows are rewritten once."""
MOST_BYTES = 128 << 20
"""Input of one merge at most."""
BACKLOG = 10_000
"""Messages waiting, more than a lively second of a job that keeps up, from which merges wait: in a backlog they take a
fifth of Bronze's CPU and 40 MB on top of a large batch's, and can be had afterwards for the same price."""
PATIENCE = 8
"""How many times as many commits a backlog may gather before its files are merged all the same."""

_log = logging.getLogger("ventes.lake")


def one_worker() -> ThreadPoolExecutor:
    """A worker for the caretakers of a job, which end together. One thread for all: each that reads and writes Parquet
    keeps memory."""
    return ThreadPoolExecutor(1, "caretaker")


class Caretaker:
    """Looks after one table on behalf of its writer."""

    def __init__(
        self, settings: Settings, table: Table, log: Log | None = None, worker: Executor | None = None
    ) -> None:
        """`log`: the writer's own, if it has one. `worker`: the heavy part runs there; without one, within `tend`."""
        self._table = table
        self._every = settings.maintenance.compact_every
        self._log = log or Log.open(tables.path_of(settings, table))
        self._compacts = table not in ROLLUPS  # the publisher keeps those in few files itself
        self._worker = worker
        self._running: Future[None] | None = None
        self._merged: list[tuple[Sequence[DataFile], DataFile]] = []
        self._checkpoint_at = self._compact_at = self._log.version
        self._sweeper = Sweeper(settings, self._log.path)

    def tend(self, behind: int = 0) -> None:
        """Do what is due: after each commit, and now and then while nothing comes. The writer is not committing now.

        `behind`: messages that wait for the writer. Costs microseconds, or a commit where a merge is ready. Raises what
        the last work in the thread raised.
        """
        self._log.refresh()
        if self._running is not None:
            if not self._running.done():
                return
            self._running.result()
            self._running = None
        self._commit_merged()
        version = self._log.version
        every = self._every * (PATIENCE if behind >= BACKLOG else 1)
        compact = self._compacts and version - self._compact_at >= every
        checkpoint = version - self._checkpoint_at >= CHECKPOINT_EVERY
        sweep = self._sweeper.due()
        if not (compact or checkpoint or sweep):
            return
        if compact:
            self._compact_at = version
        if checkpoint:
            self._checkpoint_at = version
        live = dict(self._log.files)
        if self._worker is None:
            self._work(live, compact, checkpoint, sweep)
            self._commit_merged()
        else:
            self._running = self._worker.submit(self._work, live, compact, checkpoint, sweep)

    def close(self) -> None:
        """Wait for the worker and end it. A merge not committed yet is forgotten; its file is swept up later."""
        if self._worker is not None:
            self._worker.shutdown(wait=True)

    # -- in the thread ------------------------------------------------------------------------

    def _work(self, live: dict[str, DataFile], compact: bool, checkpoint: bool, sweep: bool) -> None:
        if compact:
            self._merged = [(group, merge(self._log.path, self._table, group)) for group in mergeable(live.values())]
        if checkpoint:
            self._checkpoint()
        if sweep:
            self._sweeper.sweep(set(live), keep_also={new.path for _, new in self._merged})

    def _checkpoint(self) -> None:
        """Write a checkpoint, or leave it for the next time: without one a table only opens more slowly."""
        try:
            tables.as_others_see(self._log.path).create_checkpoint()
        except DeltaError as error:
            _log.warning("%s: no checkpoint at version %d: %s", self._table.name, self._log.version, str(error)[:200])

    # -- in the writer's thread ---------------------------------------------------------------

    def _commit_merged(self) -> None:
        for old, new in self._merged:
            actions = [*(file.remove(data_change=False) for file in old), new.add(data_change=False)]
            self._log.commit(actions, "OPTIMIZE")
            _log.debug(f"{self._table.name}: {len(old)} files merged into one of {new.rows} rows")
        self._merged = []


def caretakers(settings: Settings, of: Iterable[Table], logs: Mapping[str, Log]) -> list[Caretaker]:
    """One for each table, with one worker; `logs`, by the table's name, as far as their writer has them."""
    worker = one_worker()
    return [Caretaker(settings, table, logs.get(table.name), worker) for table in of]


def mergeable(live: Iterable[DataFile]) -> list[list[DataFile]]:
    """Groups of files, each of one partition and at most MOST_BYTES, that are worth merging now."""
    by_partition: dict[tuple[str | None, ...], list[DataFile]] = defaultdict(list)
    for file in live:
        by_partition[tuple(file.partition.values())].append(file)
    return [group for members in by_partition.values() for group in _cut(_worth_merging(members))]


def _worth_merging(members: list[DataFile]) -> list[DataFile]:
    """The files of the largest tier that has gathered enough, with every smaller one."""
    group: list[DataFile] = []
    floor = 0
    for limit, enough in TIERS:
        if sum(floor <= file.size < limit for file in members) >= enough:
            group = [file for file in members if file.size < limit]
        floor = limit
    return group


def _cut(group: list[DataFile]) -> Iterator[list[DataFile]]:
    """The group in parts of at most MOST_BYTES, each of neighbouring offsets; no parts of a single file."""
    part: list[DataFile] = []
    for file in sorted(group, key=_place):
        if part and sum(one.size for one in part) + file.size > MOST_BYTES:
            if len(part) > 1:
                yield part
            part = []
        part.append(file)
    if len(part) > 1:
        yield part


def _place(file: DataFile) -> tuple[tuple[int, int], str]:
    return file.bounds("offset") or (0, 0), file.path


def merge(path: Path, table: Table, group: Sequence[DataFile]) -> DataFile:
    """Write the rows of `group`, in the order of their offsets, as one file; nothing is committed."""
    ordered = sorted(group, key=_place)
    kept = [field for field in table.schema if field.name not in table.partition_by]
    schema = pa.schema(kept)
    return data_files.write_stream(path, table, schema, _pieces(path, schema, ordered), group[0].partition)


def _pieces(path: Path, schema: pa.Schema, group: Sequence[DataFile]) -> Iterator[pa.Table]:
    """The rows of the files in pieces of at most a row group: small files together, large ones in parts."""
    held: list[pa.Table] = []
    rows = 0
    for file in group:
        with pq.ParquetFile(path / file.path) as source:
            for batch in source.iter_batches(data_files.ROW_GROUP, use_threads=False):  # each thread would keep memory
                if rows + batch.num_rows > data_files.ROW_GROUP and held:
                    yield pa.concat_tables(held)
                    held, rows = [], 0
                held.append(conform(pa.Table.from_batches([batch]), schema))
                rows += batch.num_rows
    if held:
        yield pa.concat_tables(held)


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with the columns of `schema`; what an older release's file lacks is NULL."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
