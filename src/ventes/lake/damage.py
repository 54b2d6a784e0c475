"""Data files that are missing or cannot be read: one message and the next step, for every command."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from ventes.deltalog.log import Log, VersionGone
from ventes.errors import LakeDamaged, VentesError
from ventes.store import places

_DATA_FILE = re.compile(r"(?:file:)?(/[^'\"\n]*?\.parquet)")


def lost(path: Path) -> str:
    """How to restore the table at `path` if more than its last commit is damaged."""
    if path.parent.name == "bronze":
        return "restore the folder from a backup; without one, `ventes reset` starts again with what Kafka still has"
    return "`ventes rebuild silver` builds it again from Bronze"


def of_error(error: BaseException) -> LakeDamaged | None:
    """Translate a library's error about a table's data file; None if it is about something else. VersionGone where the
    table is whole, and only the version that was read has lost a file.

    DuckDB, pyarrow, Spark and deltalake have different errors for a file; all of them contain its path.
    """
    if isinstance(error, VentesError):
        return None
    for name in _DATA_FILE.findall(str(error)):
        for file in (Path(name), Path(unquote(name))):
            table = next((folder for folder in file.parents if (folder / "_delta_log").is_dir()), None)
            if table is not None:
                return _of_file(file, table)
    return None


def _of_file(file: Path, table: Path) -> LakeDamaged:
    relative = str(file.relative_to(table))
    if (mirror := places.of(table)) is not None:
        damaged = file.exists()
        file.unlink(missing_ok=True)  # a damaged copy is fetched again
        with suppress(VentesError):
            if mirror.store.head(mirror.key(file)) is not None:
                how = "is damaged" if damaged else "was removed"
                return VersionGone(f"the copy of {relative} in {table} {how} while it was read", "run it again")
    elif file.exists():
        return LakeDamaged(f"data file {relative} of {table} is damaged", lost(table))
    try:
        current = relative in Log.open(table).files
    except VentesError:
        current = True
    if not current:
        return VersionGone(
            f"the version of {places.shown(table)} that was being read is no longer kept", "run it again"
        )
    return LakeDamaged(f"data file {relative} of {places.shown(table)} is gone", lost(table))
