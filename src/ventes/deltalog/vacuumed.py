"""What a vacuum sees and deletes of a table: on a disk, or on an object store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ventes.deltalog.data_files import SPARED_SECONDS
from ventes.store import places
from ventes.store.base import Missing, Stored
from ventes.store.mirror import Mirror

_AS_DATED = 60.0
"""Seconds by which the date of a file may differ from SPARED_SECONDS ahead."""


class Place(Protocol):
    """A table. Names are those in its log's folder, paths relative to the table."""

    on_a_store: bool

    def look(self) -> None:
        """Called once before each run."""

    def data_files(self) -> Iterable[tuple[str, float]]:
        """(path, when it was written) of every Parquet file."""

    def log_files(self) -> Iterable[str]: ...

    def committed_at(self, name: str) -> float:
        """Unix seconds."""

    def read(self, names: Sequence[str]) -> Iterable[bytes]:
        """The content of these commits; of one that is gone nothing."""

    def delete(self, paths: Sequence[str]) -> None: ...

    def delete_of_log(self, names: Sequence[str]) -> None: ...


def of(table: Path) -> Place:
    mirror = places.of(table)
    return OnDisk(table) if mirror is None else OnStore(mirror, table)


class OnDisk:
    """See Place."""

    on_a_store = False

    def __init__(self, table: Path) -> None:
        self._path = table
        self._log = table / "_delta_log"

    def look(self) -> None:
        pass

    def data_files(self) -> Iterable[tuple[str, float]]:
        return list(self._data_files())

    def _data_files(self) -> Iterator[tuple[str, float]]:
        folders = [self._path]
        while folders:
            folder = folders.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(("_", ".")):
                        continue
                    if entry.is_dir():
                        folders.append(Path(entry.path))
                    elif entry.name.endswith(".parquet"):
                        yield os.path.relpath(entry.path, self._path), _written_at(entry.stat())

    def log_files(self) -> Iterable[str]:
        return os.listdir(self._log)

    def committed_at(self, name: str) -> float:
        return (self._log / name).stat().st_mtime

    def read(self, names: Sequence[str]) -> Iterable[bytes]:
        return ((self._log / name).read_bytes() for name in names)

    def delete(self, paths: Sequence[str]) -> None:
        for relative in paths:
            (self._path / relative).unlink(missing_ok=True)

    def delete_of_log(self, names: Sequence[str]) -> None:
        for name in names:
            (self._log / name).unlink(missing_ok=True)


class OnStore:
    """See Place. A run works on one listing of the table. Commits are read from the mirror where they are there."""

    on_a_store = True

    def __init__(self, mirror: Mirror, table: Path) -> None:
        self._mirror = mirror
        self._path = table
        self._log = table / "_delta_log"
        self._found: Mapping[str, Stored] = {}

    def look(self) -> None:
        prefix = self._mirror.key(self._path) + "/"
        self._found = {one.key.removeprefix(prefix): one for one in self._mirror.store.list(prefix)}

    def data_files(self) -> Iterable[tuple[str, float]]:
        for path, one in self._found.items():
            if path.endswith(".parquet") and not path.startswith(("_", ".")):
                yield path, one.modified

    def log_files(self) -> Iterable[str]:
        return [path.removeprefix("_delta_log/") for path in self._found if path.startswith("_delta_log/")]

    def committed_at(self, name: str) -> float:
        return self._found[f"_delta_log/{name}"].modified

    def read(self, names: Sequence[str]) -> Iterable[bytes]:
        return self._mirror.pool.map(self._read, names)

    def _read(self, name: str) -> bytes:
        try:
            return (self._log / name).read_bytes()
        except FileNotFoundError:
            pass
        try:
            return self._mirror.store.read(self._mirror.key(self._log / name))
        except Missing:
            return b""

    def delete(self, paths: Sequence[str]) -> None:
        self._delete([self._path / path for path in paths])

    def delete_of_log(self, names: Sequence[str]) -> None:
        self._delete([self._log / name for name in names])

    def _delete(self, paths: Sequence[Path]) -> None:
        if paths:
            self._mirror.store.delete([self._mirror.key(path) for path in paths])
        for path in paths:
            path.unlink(missing_ok=True)


def _written_at(status: os.stat_result) -> float:
    """When a data file was written: those of this library are dated ahead."""
    ahead = status.st_mtime - status.st_ctime
    return status.st_mtime - SPARED_SECONDS if abs(ahead - SPARED_SECONDS) < _AS_DATED else status.st_mtime
