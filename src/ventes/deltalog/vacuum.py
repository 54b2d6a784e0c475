"""Deleting data files and log files that the kept history does not need.

The kept history is `history_seconds`, at most MOST_COMMITS commits; of a table that is busy, by its commits in the last
RECENT seconds, it is KEPT_WHILE_BUSY, or as many commits as `_Busy` says, whichever is more. Every version within it
can be read, and every commit too: a stream that follows the table can be down for that long. Older commits go, as soon
as a checkpoint replaces them, and then the files that only older versions have.

What a running reader has in its snapshot (`needed_since`) stays, however old.

For a table that is kept "by minute" (each lot replaces its files, so no stream follows it) every version of the last
RECENT seconds can be read, and before that the version at each full minute: a file that was added and removed within
one minute is deleted after RECENT. Without this rule a lot every two seconds would leave 50,000 files in six hours.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ventes.deltalog import vacuumed

RECENT = 10 * 60.0
"""Seconds during which every version can be read."""
MINUTE = 60.0
CLOCK_MARGIN = 2.0
"""The log's time of a removal is slightly before its commit; this much is added to the life of a file."""
ORPHAN_AGE = 3600.0
"""Age from which a file that no kept commit names is deleted: it is of an interrupted batch. No batch takes an hour."""
MOST_COMMITS = 12_000
"""Commits kept at most: six hours of one every 2 s. Each is a file of some kB."""
KEPT_WHILE_BUSY = 4 * 60.0
"""Seconds. At 1,000 events per second Bronze and the clean events have ten commits per second, each with a data file,
and the roll-ups ten files per publication: four minutes of these are 13,000 files, ten would be 33,000."""
CHECKPOINT_BLOCK = 500
"""Of older checkpoints one per this many versions is kept, for reading earlier versions."""
BUSY_BLOCK = 100
"""The same for a busy table: its log can only be cut at a checkpoint."""
EVERY = 300.0
"""Seconds between two runs. The first reads every kept log file, the later ones only the new."""
EVERY_ON_A_STORE = 3600.0
EVERY_COMMITS_ON_A_STORE = 2_000
"""The same for an object store, where a run lists the whole table, a request for each thousand objects, and what is not
deleted yet costs next to nothing."""
EVERY_COMMITS = 100
"""Commits after which a run is due earlier: at ten commits per second files are not left for 300 s more."""


@dataclass(frozen=True)
class _Busy:
    """When a table is busy, and what it keeps then beside KEPT_WHILE_BUSY."""

    commits: int
    """More than so many within RECENT."""
    kept: int
    """Commits."""


APPENDED = _Busy(1_800, 2_400)
"""Three per second: four minutes of ten per second, 13 minutes of three. Below that MOST_COMMITS is the limit."""
BY_MINUTE = _Busy(500, 350)
"""There are five such tables, published together up to 1.4 times per second: then four minutes, six at one."""


class Vacuum:
    """Vacuums one table, in the process that holds its writer lock. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        history_seconds: float,
        *,
        by_minute: bool = False,
        most_commits: int = MOST_COMMITS,
        needed_since: Callable[[], float | None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._place = vacuumed.of(path)
        self._history = history_seconds
        self._by_minute = by_minute
        self._busy = BY_MINUTE if by_minute else APPENDED
        self._most_commits = most_commits
        self._needed_since = needed_since
        self._now = now
        self._every = EVERY_ON_A_STORE if self._place.on_a_store else EVERY
        self._every_commits = EVERY_COMMITS_ON_A_STORE if self._place.on_a_store else EVERY_COMMITS
        self._due = time.monotonic() + self._every
        self._ran_at: int | None = None
        self._scanned = -1
        self._removed: dict[str, tuple[float, int]] = {}
        """Path → Unix seconds and version of its removal, of every removed file still on disk."""

    def due(self, version: int) -> bool:
        """Whether to run now; `version`: the table's newest."""
        if self._ran_at is None:
            self._ran_at = version
        return time.monotonic() >= self._due or version - self._ran_at >= self._every_commits

    def run(self, live: Set[str], keep_also: Set[str] = frozenset()) -> int:
        """Delete what is not needed; `live` files of the newest version and `keep_also` stay. Returns files deleted."""
        self._due = time.monotonic() + self._every
        now = self._now()
        self._place.look()
        self._read_removals()
        self._ran_at = self._scanned
        trimmed, first = self._trim_log(now)
        since = self._needed_since()
        waste = []
        for relative, modified in self._place.data_files():
            if relative in live or relative in keep_also:
                continue
            if self._is_read(relative, since) or self._needed(relative, modified, now, first):
                continue
            waste.append(relative)
            self._removed.pop(relative, None)
        self._place.delete(waste)
        return len(waste) + trimmed

    def _is_read(self, relative: str, since: float | None) -> bool:
        """Whether a reader that began at `since` may have this removed file in its snapshot."""
        return since is not None and relative in self._removed and self._removed[relative][0] >= since

    def _needed(self, relative: str, modified: float, now: float, first: int) -> bool:
        """Whether a file that is not live must stay; `first`: the first version that can be read."""
        if relative not in self._removed:
            return now - modified < max(ORPHAN_AGE, self._history)
        removed, version = self._removed[relative]
        if version <= first or now - removed >= self._history:
            return False
        if not self._by_minute or now - removed < RECENT:
            return True
        return int(modified // MINUTE) != int((removed + CLOCK_MARGIN) // MINUTE)

    def _read_removals(self) -> None:
        """Read from the commits since the last run which files were removed when."""
        commits = (name for name in self._place.log_files() if name.endswith(".json") and name[:20].isdigit())
        wanted = sorted(name for name in commits if int(name[:20]) > self._scanned)
        for name, text in zip(wanted, self._place.read(wanted), strict=True):
            for line in text.splitlines():
                if line.startswith(b'{"remove"'):
                    body = json.loads(line)["remove"]
                    self._removed[unquote(body["path"])] = body.get("deletionTimestamp", 0) / 1000, int(name[:20])
            self._scanned = int(name[:20])

    def _trim_log(self, now: float) -> tuple[int, int]:
        """Delete commits and checkpoints before the kept history, if a checkpoint replaces them.

        Returns the number of deleted files, and the first version that can still be read.
        """
        checkpoints: dict[int, list[str]] = {}
        commits: dict[int, str] = {}
        for name in self._place.log_files():
            if not name[:20].isdigit():
                continue
            version = int(name[:20])
            if ".checkpoint" in name:
                checkpoints.setdefault(version, []).append(name)
            elif name.endswith(".json"):
                commits[version] = name
        if not checkpoints or not commits:
            return 0, min(commits, default=0)
        keep, busy = self._first_kept(commits, now)
        base = max((version for version in checkpoints if version <= keep), default=None)
        waste = [] if base is None else [name for version, name in commits.items() if version < base]
        recent = sorted(checkpoints)[-3:]
        blocks: set[int] = set()
        for version in sorted(checkpoints):
            if base is not None and version < base:
                waste += checkpoints[version]
            elif version not in recent and version != base:
                block = version // (BUSY_BLOCK if busy else CHECKPOINT_BLOCK)
                if block in blocks:
                    waste += checkpoints[version]
                blocks.add(block)
        self._place.delete_of_log(waste)
        return len(waste), min(commits) if base is None else max(base, min(commits))

    def _first_kept(self, commits: Mapping[int, str], now: float) -> tuple[int, bool]:
        """The first version of the kept history, from the times of the commits on disk; and whether it is busy."""
        versions = sorted(commits)
        newest = versions[-1]

        def younger_than(seconds: float) -> int:
            """The first version that is not older; the newest if all are."""
            place = bisect_left(versions, now - seconds, key=lambda v: self._place.committed_at(commits[v]))
            return versions[min(place, len(versions) - 1)]

        if newest - younger_than(RECENT) <= self._busy.commits:
            return max(younger_than(self._history), newest - self._most_commits), False
        kept = min(younger_than(KEPT_WHILE_BUSY), newest - self._busy.kept)
        return max(younger_than(self._history), kept), True
