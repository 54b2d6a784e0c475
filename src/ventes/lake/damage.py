"""Data files that are missing or cannot be read: one message and the next step, for every command."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from ventes.deltalog.log import Log
from ventes.errors import LakeDamaged, VentesError

_DATA_FILE = re.compile(r"(?:file:)?(/[^'\"\n]*?\.parquet)")


def lost(path: Path) -> str:
    """How to restore the table at `path` if more than its last commit is damaged."""
    if path.parent.name == "bronze":
        return "restore the folder from a backup; without one, `ventes reset` starts again with what Kafka still has"
    return "`ventes rebuild silver` builds it again from Bronze"


def of_error(error: BaseException) -> LakeDamaged | None:
    """Translate a library's error about a table's data file; None if it is about something else.

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
    if file.exists():
        return LakeDamaged(f"data file {relative} of {table} is damaged", lost(table))
    try:
        current = relative in Log.open(table).files
    except VentesError:
        current = True
    if not current:
        return LakeDamaged(f"the version of {table} that was being read is no longer kept", "run it again")
    return LakeDamaged(f"data file {relative} of {table} is gone", lost(table))
