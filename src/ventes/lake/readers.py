"""Processes that read one moment of the tables for long, such as `ventes verify`: what they need is not vacuumed.

Each has a small file in <state>/run/readers, which says when it began. A file of a process that has ended counts for
nothing and is removed by the next reader. A lake on an object store has readers on other machines too: see
ventes.store.reader_notes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from ventes.config import Settings
from ventes.runtime import heartbeat
from ventes.runtime.files import write_atomically
from ventes.store import places, reader_notes

CLOCK_MARGIN = 5.0
"""Seconds before the beginning of a reader from which files are kept: it opens the tables one after the other."""


@contextmanager
def reading(settings: Settings) -> Iterator[None]:
    """Within this block the running jobs delete no file that was there at its beginning.

    Without permission to write into the state folder, or to the store, nothing is kept, and the reader may find files
    gone.
    """
    mirror = places.of(settings.lake)
    with _noted_here(settings), nullcontext() if mirror is None else reader_notes.noted(mirror.store):
        yield


@contextmanager
def _noted_here(settings: Settings) -> Iterator[None]:
    file = _folder(settings) / f"{os.getpid()}-{time.monotonic_ns()}.json"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in file.parent.glob("*.json"):
            if _began(old) is None:
                old.unlink(missing_ok=True)
        record = {"pid": os.getpid(), "process_started": heartbeat.start_of(os.getpid()), "began": time.time()}
        write_atomically(file, json.dumps(record))
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def oldest(settings: Settings) -> float | None:
    """The Unix time from which removed files are still needed by a reader; None if there is no reader.

    Raises StoreUnavailable, StoreRefused.
    """
    began = [moment for file in _folder(settings).glob("*.json") if (moment := _began(file)) is not None]
    since = [min(began) - CLOCK_MARGIN] if began else []
    mirror = places.of(settings.lake)
    if mirror is not None and (elsewhere := reader_notes.oldest(mirror.store)) is not None:
        since.append(elsewhere)
    return min(since, default=None)


def _began(file: Path) -> float | None:
    """When the reader of this file began; None if it has ended, or the file cannot be read."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        lives = heartbeat.same_process(int(record["pid"]), float(record["process_started"])) is not None
        return float(record["began"]) if lives else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folder(settings: Settings) -> Path:
    return settings.state / "run" / "readers"
