"""The data files of a table as files of this machine: those of a table on an object store are fetched where needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ventes.deltalog.actions import DataFile
from ventes.store import places


def local_path(table: Path, file: DataFile) -> Path:
    """The path of a data file, which is there unless the table has lost it.

    Raises StoreUnavailable, StoreRefused for a table on a store.
    """
    return local_paths(table, [file])[0]


def local_paths(table: Path, files: Iterable[DataFile]) -> list[Path]:
    """The same for several files, which are fetched together."""
    wanted = [(table / file.path, file.size) for file in files]
    if (mirror := places.of(table)) is not None:
        mirror.present(wanted)
    return [path for path, _ in wanted]


@contextmanager
def borrowed(table: Path, file: DataFile) -> Iterator[Path]:
    """The path of a data file that is read once, from its beginning to its end: what was fetched for it goes again."""
    path = table / file.path
    mirror = places.of(table)
    if mirror is None or path.exists():
        yield local_path(table, file)
        return
    mirror.present([(path, file.size)])
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
