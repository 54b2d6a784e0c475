"""The tables as the page reads them: one consistent look, shared by all sessions, cached by version.

`Lake` follows every table (a stat call where nothing was committed). `Moment` is what one refresh sees: a frozen
snapshot of each table that could be read, and a sentence for each that could not.
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
from typing import Any, TypeVar

import duckdb

from ventes.config import Settings
from ventes.contract.tables import ALL
from ventes.dashboard import as_of
from ventes.dashboard.as_of import Past, Version
from ventes.dashboard.cache import Shared
from ventes.dashboard.file_cache import PerFile
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot, TableMissing, VersionGone, Watcher, version_at
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake.tables import path_of

T = TypeVar("T")

_log = logging.getLogger("ventes.page")

MEMORY_MB = 1024
"""For all queries of the page together."""

SAME_LOOK = 0.05
ONE_LOOKS = 1.0
"""Seconds."""

BY_NAME: Mapping[str, Table] = {table.name: table for table in ALL}


class NotReadable(Exception):
    """A table that a figure needs cannot be read now; the message is a sentence for the viewer."""


@dataclass(frozen=True)
class Moment:
    """The tables at one moment."""

    lake: Lake
    snapshots: Mapping[str, Snapshot]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Table → why it cannot be read, as a sentence."""
    as_of: datetime | None = None
    """The time of an earlier moment; None is now."""

    def __getitem__(self, name: str) -> Snapshot:
        try:
            return self.snapshots[name]
        except KeyError:
            raise NotReadable(self.absent.get(name, f"The table {name} is not there.")) from None

    def has(self, *names: str) -> bool:
        return all(name in self.snapshots for name in names)

    @property
    def versions(self) -> Mapping[str, int]:
        return {name: snapshot.version for name, snapshot in self.snapshots.items()}

    def key(self, *names: str) -> Hashable:
        """Identifies the state of the tables: equal keys, equal rows."""
        return tuple((name, self[name].version, self[name].committed_at) for name in names)

    def shared(self, what: Hashable, tables: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()`, computed once for this state of `tables` and for `what`, for all sessions."""
        return self.lake.results.get((what, self.key(*tables)), make)

    @contextmanager
    def open(self, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with a view of each table, under its name."""
        with self.lake.connection() as con:
            for name in names:
                self[name].view(con, name)
            yield con


class Lake:
    """All tables of a pipeline, for as long as the page runs. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.results = Shared()
        self.perfile = PerFile()
        self._old = Shared(64)
        self._watchers = {table.name: Watcher(path_of(settings, table), table) for table in ALL}
        self._database = connect(MEMORY_MB, rereads=True)
        self._kept: dict[str, Any] = {}
        self._guard = threading.Lock()
        self._looking = threading.Lock()
        self._looked: tuple[float, Moment] | None = None

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """One object of the page that lives as long as the lake does: made when first asked for."""
        with self._guard:
            if name not in self._kept:
                self._kept[name] = make()
            kept: T = self._kept[name]
            return kept

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to the page's database: its settings and views are private to it.

        A file that was vacuumed between the look at the log and the reading is NotReadable, for this refresh.
        """
        with self._database.cursor() as con:
            try:
                yield con
            except duckdb.IOException as error:
                _log.warning("a table could not be read: %s", error)
                raise NotReadable("The tables are being tidied up; this comes back at the next refresh.") from None

    def moment(self, at: Past | None = None) -> Moment:
        """The tables now, or as they were then. Never raises: what cannot be read is in `absent`."""
        if isinstance(at, Version):
            return self._moment_of(at)
        return self._moment(at)

    def look(self, at: Past | None = None) -> Moment:
        """As `moment`, but of now at most SAME_LOOK old (ONE_LOOKS while somebody else is looking).

        A page asks seven times while it is drawn: 50 sessions at once queue for 2,800 locks, each with a stat call
        behind it. So they cost a quarter more CPU.
        """
        if at is not None:
            return self.moment(at)
        last = self._looked
        if last is not None and time.monotonic() - last[0] < SAME_LOOK:
            return last[1]
        mine = self._looking.acquire(blocking=last is None or time.monotonic() - last[0] > ONE_LOOKS)
        if not mine:
            assert last is not None
            return last[1]
        try:
            if self._looked is last:  # else somebody looked while this one waited
                began = time.monotonic()
                self._looked = (began, self.moment())
            assert self._looked is not None
            return self._looked[1]
        finally:
            self._looking.release()

    def path(self, table: str) -> Path:
        """The folder of a table."""
        return self._watchers[table].path

    def _moment(self, as_of: datetime | None, pinned: Mapping[str, Snapshot] | None = None) -> Moment:
        snapshots: dict[str, Snapshot] = {}
        absent: dict[str, str] = {}
        for name, watcher in self._watchers.items():
            try:
                if pinned and name in pinned:
                    snapshots[name] = pinned[name]
                else:
                    snapshots[name] = watcher.latest() if as_of is None else self._at(name, watcher, as_of)
            except TableMissing:
                absent[name] = f"The table {name} is not there yet: it appears with the first sales."
            except VersionGone:
                absent[name] = f"The table {name} is not kept for as long ago as that: choose a later time."
            except LakeDamaged as error:
                absent[name] = f"The table {name} cannot be read: {error.message}. Next step: {error.hint}."
        return Moment(self, snapshots, absent, as_of)

    def _moment_of(self, at: Version) -> Moment:
        """The last moment at which `at` was the newest version of its table: what followed from it is there too."""
        watcher = self._watchers[at.table]
        try:
            newest = watcher.latest()
            if at.number == newest.version:
                return self._moment(datetime.now(timezone.utc), {at.table: newest})
            snapshot = self._opened(at.table, watcher, at.number, newest)
            after = as_of.committed(watcher.path, at.number + 1)
            if after is None:
                raise VersionGone(f"no version after {at.number}", "choose another")
        except VersionGone:
            return Moment(self, {}, dict.fromkeys(BY_NAME, self._gone(at)))
        except LakeDamaged:
            return self._moment(None)  # which says what is wrong with the table
        return self._moment(after - timedelta(milliseconds=1), {at.table: snapshot})

    def _gone(self, at: Version) -> str:
        first, last = as_of.kept(self.path(at.table)) or (0, 0)
        if at.number > last:
            return f"The table {at.table} has no version {at.number:,} yet: its newest is {last:,}."
        return (
            f"Version {at.number:,} of {at.table} is no longer kept: its files were removed. The log knows versions "
            f"{first:,} to {last:,}; each of the last 10 minutes can be read, and before that the last of each minute."
        )

    def _at(self, name: str, watcher: Watcher, as_of: datetime) -> Snapshot:
        newest = watcher.latest()
        if newest.committed_at <= as_of:
            return newest
        return self._opened(name, watcher, version_at(watcher.path, as_of), newest)

    def _opened(self, name: str, watcher: Watcher, version: int, newest: Snapshot) -> Snapshot:
        """The table at an earlier version. Raises VersionGone, also if its files were removed."""
        snapshot = self._old.get(
            (name, version, newest.path, newest.table), lambda: Snapshot.open(watcher.path, watcher.table, version)
        )
        if not all(os.path.exists(path) for path in snapshot.paths()):
            raise VersionGone(f"files of version {version} of {watcher.path} were removed", "choose another")
        return snapshot
