"""The tables as the page reads them, and the caches that all sessions share.

`LiveTables` follows the log of every table (one stat call if nothing was committed). `TableSnapshots` is for one
refresh: the snapshot of each table that could be read, and a message for each that could not.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import duckdb

from ventes.config import Settings
from ventes.contract import tables
from ventes.dashboard import text
from ventes.dashboard.as_of import AsOf, Version, committed_at, kept_versions
from ventes.dashboard.distinct_counts import DistinctCounts
from ventes.dashboard.file_cache import FileCache
from ventes.dashboard.first_rows import FirstRows
from ventes.dashboard.language import Sentence, later
from ventes.dashboard.newest_rows import NewestRows
from ventes.dashboard.questions import Sources
from ventes.dashboard.result_cache import ResultCache
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot, TableMissing, VersionGone, Watcher, version_at
from ventes.errors import LakeDamaged, StoreRefused, StoreUnavailable
from ventes.lake import fit
from ventes.lake.tables import path_of
from ventes.store import places

T = TypeVar("T")

_log = logging.getLogger("ventes.page")

MEMORY_MB = 1024
"""For all queries of the page together."""

SHARED_SECONDS = 0.05
"""Maximum age of snapshots that `read_shared` returns again."""
SHARED_WHILE_READING_SECONDS = 1.0
"""The same, while another thread is reading."""
HISTORY_SECONDS = 20.0
"""Maximum age of `history_begins`."""
HISTORY_SECONDS_ON_A_STORE = 600.0
"""The same, where a listing is a request for each thousand commits of each table."""


class NotReadable(Exception):
    """A table that a figure needs cannot be read now; the message is a sentence for the viewer."""


@dataclass(frozen=True)
class TableSnapshots:
    """One snapshot of each table that can be read, all taken together."""

    tables: LiveTables
    by_name: Mapping[str, Snapshot]
    absent: Mapping[str, Sentence] = field(default_factory=dict)
    """Table → why it cannot be read, as a sentence."""
    as_of: datetime | None = None
    """The time they are of; None is now."""

    def __getitem__(self, name: str) -> Snapshot:
        """The snapshot of the table `name`. Raises NotReadable."""
        try:
            return self.by_name[name]
        except KeyError:
            raise NotReadable(self.absent.get(name, later("The table {table} is not there.", table=name))) from None

    def has(self, *names: str) -> bool:
        return all(name in self.by_name for name in names)

    @property
    def versions(self) -> Mapping[str, int]:
        return {name: snapshot.version for name, snapshot in self.by_name.items()}

    def key(self, *names: str) -> Hashable:
        """Identifies the state of the tables `names`: equal keys, equal rows. Raises NotReadable."""
        return tuple((name, self[name].version, self[name].committed_at) for name in names)

    def shared(self, what: Hashable, tables: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()`, computed once for this state of `tables` and for `what`, for all sessions. Raises NotReadable."""
        return self.tables.results.get((what, self.key(*tables)), make)

    @contextmanager
    def open(self, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with a view of each of the tables `names`, under its name. Raises NotReadable."""
        with self.tables.connection() as con:
            for name in names:
                self[name].view(con, name)
            yield con


class LiveTables:
    """All tables of a pipeline, followed for as long as the page runs. Threads may share it. Raises DeclarationError.

    `contract`: the tables as the stream declares them; `sources`: which of them answers what. `results`, `file_cache`,
    `first_rows`, `distinct_counts` and `newest_rows`: what was computed from them, for all sessions together.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.contract = tables.of(settings)
        self.sources = Sources(self.contract, settings.rules.time_zone)
        self.results = ResultCache()
        self.file_cache = FileCache()
        self.first_rows = FirstRows(self.file_cache)
        self.distinct_counts = DistinctCounts()
        self.newest_rows = NewestRows()
        self._earlier = ResultCache(64)
        """Snapshots of earlier versions."""
        self._watchers = {table.name: Watcher(path_of(settings, table), table) for table in self.contract.all}
        self._declarations = {table.name: fit.declaration_of(self.contract, table) for table in self.contract.all}
        self._database = connect(MEMORY_MB, rereads=True)
        self._reading = threading.Lock()
        self._last: tuple[float, TableSnapshots] | None = None
        """What `read_shared` read last, and when."""
        self._history: tuple[float, datetime | None] | None = None

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to the page's database: its settings and views are private to it.

        Raises NotReadable, for this refresh, if a file was removed between reading the log and reading the file.
        """
        with self._database.cursor() as con:
            try:
                yield con
            except duckdb.IOException as error:
                _log.warning("a table could not be read: %s", error)
                raise NotReadable(
                    later(
                        "Files of a table were replaced while they were being read; the next refresh reads the "
                        "new ones."
                    )
                ) from None

    def read(self, at: AsOf | None = None) -> TableSnapshots:
        """The tables now, or as they were at `at`. Never raises: what cannot be read is in `absent`."""
        if isinstance(at, Version):
            return self._at_version(at)
        return self._at_time(at)

    def read_shared(self, at: AsOf | None = None) -> TableSnapshots:
        """As `read`, but now may be up to SHARED_SECONDS old (SHARED_WHILE_READING_SECONDS while another thread reads).

        A page calls it seven times while it is drawn: 50 sessions at once would wait for 2,800 locks, each with a stat
        call, and take a quarter more CPU.
        """
        if at is not None:
            return self.read(at)
        last = self._last
        if last is not None and time.monotonic() - last[0] < SHARED_SECONDS:
            return last[1]
        must_wait = last is None or time.monotonic() - last[0] > SHARED_WHILE_READING_SECONDS
        if not self._reading.acquire(blocking=must_wait):
            assert last is not None
            return last[1]
        try:
            if self._last is last:  # otherwise another thread read while this one waited
                began = time.monotonic()
                self._last = (began, self.read())
            assert self._last is not None
            return self._last[1]
        finally:
            self._reading.release()

    def history_begins(self) -> datetime | None:
        """The earliest time at which every table there is can be read, by their logs; None without a table.

        At most HISTORY_SECONDS old: it lists the folder of each log.
        """
        found = self._history
        on_a_store = any(places.of(watcher.path) is not None for watcher in self._watchers.values())
        longest = HISTORY_SECONDS_ON_A_STORE if on_a_store else HISTORY_SECONDS
        if found is None or time.monotonic() - found[0] > longest:
            begins = []
            for name in self.read_shared().by_name:
                kept = kept_versions(self.path(name))
                if kept is not None and (first := committed_at(self.path(name), kept[0])) is not None:
                    begins.append(first)
            found = self._history = (time.monotonic(), max(begins, default=None))
        return found[1]

    def is_as_declared(self, snapshot: Snapshot) -> bool:
        """Whether a table holds what the declaration says now; the Silver job fills it again if it does not."""
        known = snapshot.properties.get(fit.DECLARATION)
        return known is None or known == self._declarations[snapshot.table.name]

    def path(self, table: str) -> Path:
        """The folder of a table."""
        return self._watchers[table].path

    def _at_time(self, as_of: datetime | None, given: Mapping[str, Snapshot] | None = None) -> TableSnapshots:
        """All tables as of `as_of` (None is now), but for those that are `given`."""
        snapshots: dict[str, Snapshot] = {}
        absent: dict[str, Sentence] = {}
        for name, watcher in self._watchers.items():
            try:
                if given and name in given:
                    snapshots[name] = given[name]
                else:
                    snapshots[name] = watcher.latest() if as_of is None else self._table_at(name, watcher, as_of)
            except TableMissing:
                absent[name] = later(
                    "The table {table} is not there yet: it appears with the first messages.", table=name
                )
            except VersionGone:
                absent[name] = later(
                    "The table {table} is not kept for as long ago as that: choose a later time.", table=name
                )
            except (LakeDamaged, StoreUnavailable, StoreRefused) as error:
                absent[name] = later(
                    "The table {table} cannot be read: {problem}", table=name, problem=text.problem(error)
                )
        return TableSnapshots(self, snapshots, absent, as_of)

    def _at_version(self, at: Version) -> TableSnapshots:
        """All tables at the last time at which `at` was the newest version of its table: its roll-ups are there too."""
        watcher = self._watchers[at.table]
        try:
            newest = watcher.latest()
            if at.number == newest.version:
                return self._at_time(datetime.now(timezone.utc), {at.table: newest})
            snapshot = self._opened(at.table, watcher, at.number, newest)
            after = committed_at(watcher.path, at.number + 1)
            if after is None:
                raise VersionGone(f"no version after {at.number}", "choose another")
        except VersionGone:
            return TableSnapshots(self, {}, dict.fromkeys(self._watchers, self._why_gone(at)))
        except LakeDamaged:
            return self._at_time(None)  # its messages name the problem of the table
        return self._at_time(after - timedelta(milliseconds=1), {at.table: snapshot})

    def _why_gone(self, at: Version) -> Sentence:
        first, last = kept_versions(self.path(at.table)) or (0, 0)
        if at.number > last:
            return later(
                "The table {table} has no version {n} yet: its newest is {last}.",
                table=at.table,
                n=at.number,
                last=last,
            )
        return later(
            "Version {n} of {table} is no longer kept: its files were removed. The log has versions {first} to {last}; "
            "each of the last minutes can be read, and before that the last of each minute.",
            table=at.table,
            n=at.number,
            first=first,
            last=last,
        )

    def _table_at(self, name: str, watcher: Watcher, as_of: datetime) -> Snapshot:
        newest = watcher.latest()
        if newest.committed_at <= as_of:
            return newest
        return self._opened(name, watcher, version_at(watcher.path, as_of), newest)

    def _opened(self, name: str, watcher: Watcher, version: int, newest: Snapshot) -> Snapshot:
        """The table at an earlier version. Raises VersionGone, also if its files were removed."""
        snapshot = self._earlier.get(
            (name, version, newest.path, newest.table), lambda: Snapshot.open(watcher.path, watcher.table, version)
        )
        # what a store has lost is told when it is read: asking for each file would be a request
        on_a_store = places.of(watcher.path) is not None
        if not on_a_store and not all(os.path.exists(path) for path in snapshot.paths()):
            raise VersionGone(f"files of version {version} of {watcher.path} were removed", "choose another")
        return snapshot
