"""Deleting data files and log files that the kept history does not need.

The kept history is `history_seconds`, at most MOST_COMMITS commits. Every version within it can be read, and every
commit too: a stream that follows the table can be down for that long.

For a table that is kept "by minute" (each lot replaces its files, so no stream follows it) every version of the last
RECENT seconds can be read, and before that the version at each full minute: a file that was added and removed within
one minute is deleted after RECENT. Without this rule five lots per second would leave 500,000 files in six hours.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from urllib.parse import unquote

RECENT = 10 * 60.0
"""Seconds during which every version can be read."""
MINUTE = 60.0
CLOCK_MARGIN = 2.0
"""The log's time of a removal is slightly before its commit; this much is added to the life of a file."""
ORPHAN_AGE = 3600.0
"""Age from which a file that no kept commit names is deleted: it is of an interrupted batch. No batch takes an hour."""
MOST_COMMITS = 12_000
"""Commits kept at most: six hours of one every 2 s. Each is a file of some kB."""
CHECKPOINT_BLOCK = 500
"""Of older checkpoints one per this many versions is kept, for reading earlier versions."""
EVERY = 300.0
"""Seconds between two runs. The first reads every kept log file, the later ones only the new."""


class Vacuum:
    """Vacuums one table, in the process that holds its writer lock. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        history_seconds: float,
        *,
        by_minute: bool = False,
        most_commits: int = MOST_COMMITS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._log = path / "_delta_log"
        self._history = history_seconds
        self._by_minute = by_minute
        self._most_commits = most_commits
        self._now = now
        self._due = time.monotonic() + EVERY
        self._scanned = -1
        self._removed: dict[str, float] = {}
        """Path → Unix seconds of its removal, of every removed file still on disk."""

    def due(self) -> bool:
        return time.monotonic() >= self._due

    def run(self, live: Set[str], keep_also: Set[str] = frozenset()) -> int:
        """Delete what is not needed; `live` files of the newest version and `keep_also` stay. Returns files deleted."""
        self._due = time.monotonic() + EVERY
        now = self._now()
        self._read_removals()
        deleted = 0
        for relative, modified in list(self._data_files()):
            if relative in live or relative in keep_also:
                continue
            if self._needed(relative, modified, now):
                continue
            (self._path / relative).unlink(missing_ok=True)
            self._removed.pop(relative, None)
            deleted += 1
        return deleted + self._trim_log(now)

    def _needed(self, relative: str, modified: float, now: float) -> bool:
        removed = self._removed.get(relative)
        if removed is None:
            return now - modified < max(ORPHAN_AGE, self._history)
        if now - removed >= self._history:
            return False
        if not self._by_minute or now - removed < RECENT:
            return True
        return int(modified // MINUTE) != int((removed + CLOCK_MARGIN) // MINUTE)

    def _data_files(self) -> Iterator[tuple[str, float]]:
        """(path relative to the table, modification time) of every Parquet file."""
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
                        yield os.path.relpath(entry.path, self._path), entry.stat().st_mtime

    def _read_removals(self) -> None:
        """Read from the commits since the last run which files were removed when."""
        with os.scandir(self._log) as entries:
            names = sorted(e.name for e in entries if e.name.endswith(".json") and e.name[:20].isdigit())
        for name in names:
            version = int(name[:20])
            if version <= self._scanned:
                continue
            for line in (self._log / name).read_bytes().splitlines():
                if line.startswith(b'{"remove"'):
                    body = json.loads(line)["remove"]
                    self._removed[unquote(body["path"])] = body.get("deletionTimestamp", 0) / 1000
            self._scanned = version

    def _trim_log(self, now: float) -> int:
        """Delete commits and checkpoints before the kept history, if a checkpoint replaces them."""
        checkpoints: dict[int, list[str]] = {}
        commits: dict[int, str] = {}
        with os.scandir(self._log) as entries:
            for entry in entries:
                if not entry.name[:20].isdigit():
                    continue
                version = int(entry.name[:20])
                if ".checkpoint" in entry.name:
                    checkpoints.setdefault(version, []).append(entry.name)
                elif entry.name.endswith(".json"):
                    commits[version] = entry.name
        if not checkpoints:
            return 0
        newest = max(commits)
        base = max((v for v in checkpoints if self._out_of_history(commits.get(v), v, newest, now)), default=None)
        waste = [] if base is None else [name for version, name in commits.items() if version < base]
        recent = sorted(checkpoints)[-3:]
        blocks: set[int] = set()
        for version in sorted(checkpoints):
            if base is not None and version < base:
                waste += checkpoints[version]
            elif version not in recent and version != base:
                block = version // CHECKPOINT_BLOCK
                if block in blocks:
                    waste += checkpoints[version]
                blocks.add(block)
        for name in waste:
            (self._log / name).unlink(missing_ok=True)
        return len(waste)

    def _out_of_history(self, commit: str | None, version: int, newest: int, now: float) -> bool:
        if newest - version > self._most_commits or commit is None:
            return True
        return now - (self._log / commit).stat().st_mtime > self._history
