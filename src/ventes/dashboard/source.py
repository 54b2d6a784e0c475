"""The tables as the page reads them: one consistent look, shared by all sessions, cached by version.

`Lake` follows every table (a stat call where nothing was committed). `Moment` is what one refresh sees: a frozen
snapshot of each table that could be read, and a sentence for each that could not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import duckdb

from ventes.config import Settings
from ventes.contract.tables import ALL, Table
from ventes.dashboard.cache import Shared
from ventes.dashboard.perfile import PerFile
from ventes.errors import LakeDamaged
from ventes.lake.snapshot import Snapshot, TableMissing, VersionGone, Watcher, connect, version_at
from ventes.lake.tables import path_of

T = TypeVar("T")

_log = logging.getLogger("ventes.page")

MEMORY_MB = 1024
"""For all queries of the page together."""

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
        self.pieces = Shared(256)
        """Rows of single data files, which never change."""
        self._old = Shared(64)
        self._watchers = {table.name: Watcher(path_of(settings, table)) for table in ALL}
        self._database = connect(MEMORY_MB)
        self._kept: dict[str, Any] = {}
        self._guard = threading.Lock()

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
            con.execute("SET TimeZone = 'UTC'; SET parquet_metadata_cache = true")
            try:
                yield con
            except duckdb.IOException as error:
                _log.warning("a table could not be read: %s", error)
                raise NotReadable("The tables are being tidied up; this comes back at the next refresh.") from None

    def moment(self, as_of: datetime | None = None) -> Moment:
        """The tables now, or as they were at `as_of` (aware). Never raises: what cannot be read is in `absent`."""
        snapshots: dict[str, Snapshot] = {}
        absent: dict[str, str] = {}
        for name, watcher in self._watchers.items():
            try:
                snapshots[name] = watcher.latest() if as_of is None else self._at(name, watcher, as_of)
            except TableMissing:
                absent[name] = f"The table {name} is not there yet: it appears with the first sales."
            except VersionGone:
                absent[name] = f"The table {name} is not kept for as long ago as that: choose a later time."
            except LakeDamaged as error:
                absent[name] = f"The table {name} cannot be read: {error.message}. Next step: {error.hint}."
        return Moment(self, snapshots, absent, as_of)

    def _at(self, name: str, watcher: Watcher, as_of: datetime) -> Snapshot:
        newest = watcher.latest()
        if newest.committed_at <= as_of:
            return newest
        version = version_at(watcher.path, as_of)
        return self._old.get(
            (name, version, newest.path, newest.table), lambda: Snapshot.open(watcher.path, version=version)
        )
