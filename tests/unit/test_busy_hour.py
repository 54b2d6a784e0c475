"""Files on disk at 1,000 events per second, counted over a simulated clock until their number is steady.

Bronze and the clean events get ten commits per second, each with one file, and every 50 commits a merge; the five
roll-ups get a commit every 0.7 s that replaces a file. Commits, files and checkpoints are written as a job writes them,
but without rows: vacuum reads names, times and removals only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ventes.deltalog.maintenance import CHECKPOINT_EVERY
from ventes.deltalog.vacuum import EVERY_COMMITS, KEPT_WHILE_BUSY, RECENT, Vacuum

BEGAN = 1_795_392_000.0
HISTORY = 6 * 3600.0
TABLES = {"appended": 2, "replaced": 5}
"""Kind of table → how many of the lake's tables are of it; ventes_rejets gets nothing."""


class SimulatedTable:
    """A table whose commits come at a simulated time."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path, self._log, self._kind = path, path / "_delta_log", kind
        self._log.mkdir(parents=True)
        self.version = -1
        self.now = BEGAN
        self.live: dict[str, float] = {}
        self._vacuum = Vacuum(path, HISTORY, by_minute=kind == "replaced", now=lambda: self.now)

    def commit(self, now: float) -> None:
        """One lot's or batch's commit, and the maintenance after it."""
        self.now = now
        self._write([*self.live] if self._kind == "replaced" else [])
        if self._kind == "appended" and self.version % 50 == 49:
            self._write([*self.live], "merged")
        if self.version % (5 * CHECKPOINT_EVERY) < 2:
            self._touch(self._log / f"{self.version:020d}.checkpoint.parquet")
        if self._vacuum.due(self.version):
            self._vacuum.run(set(self.live))

    def _write(self, removed: list[str], name: str = "part") -> None:
        self.version += 1
        new = f"{name}-{self.version}.parquet"
        self._touch(self._path / new)
        actions = [{"remove": {"path": path, "deletionTimestamp": int(self.now * 1000)}} for path in removed]
        lines = [*actions, {"add": {"path": new}}]
        commit = self._log / f"{self.version:020d}.json"
        commit.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))
        os.utime(commit, (self.now, self.now))
        for path in removed:
            del self.live[path]
        self.live[new] = self.now

    def _touch(self, path: Path) -> None:
        path.touch()
        os.utime(path, (self.now, self.now))

    def files(self) -> int:
        return sum(len(names) for _, _, names in os.walk(self._path))

    def versions_back_to(self, moment: float) -> Iterator[tuple[int, set[str]]]:
        """Every version committed since `moment`, with its files, from the commits on disk."""
        files = set(self.live)
        for version in range(self.version, -1, -1):
            commit = self._log / f"{version:020d}.json"
            if not commit.exists() or commit.stat().st_mtime < moment:
                return
            yield version, set(files)
            for line in commit.read_text().splitlines():
                action = json.loads(line)
                if "add" in action:
                    files.discard(action["add"]["path"])
                else:
                    files.add(action["remove"]["path"])

    def first_version_since(self, moment: float) -> int:
        """The first version whose commit came at `moment` or later; its commit must be on disk."""
        return min(version for version, _ in self.versions_back_to(moment))

    def missing(self, moment: float) -> list[tuple[int, str]]:
        """(version, file) of each version since `moment` whose file is not on disk."""
        return [
            (version, path)
            for version, files in self.versions_back_to(moment)
            for path in files
            if not (self._path / path).exists()
        ]


def simulated(folder: Path, kind: str, gap: float, seconds: float) -> tuple[SimulatedTable, int]:
    """A table after so many seconds with a commit every `gap` seconds, and the most files that it had."""
    table, most = SimulatedTable(folder / f"{kind} {gap}", kind), 0
    for number in range(int(seconds / gap)):
        table.commit(BEGAN + number * gap)
        if number % EVERY_COMMITS == EVERY_COMMITS - 1:
            most = max(most, table.files())
    return table, most


def test_at_a_thousand_events_per_second_there_are_less_than_20_000_files(tmp_path: Path) -> None:
    total = 0
    for kind, gap in (("appended", 0.1), ("replaced", 0.7)):
        table, most = simulated(tmp_path, kind, gap, 1_200)
        since = table.now - KEPT_WHILE_BUSY
        assert table.missing(since) == []
        assert table.first_version_since(since) <= table.version - KEPT_WHILE_BUSY / gap + 2
        total += most * TABLES[kind]
    assert 12_000 < total < 20_000


@pytest.mark.parametrize("kind", ["appended", "replaced"])
def test_one_commit_every_two_seconds_keeps_its_history(tmp_path: Path, kind: str) -> None:
    table, most = simulated(tmp_path, kind, 2.0, 2 * 3600)
    assert table.first_version_since(0) == 0
    wanted = 0 if kind == "appended" else table.now - RECENT
    assert table.missing(wanted) == []
    assert most < (2.2 if kind == "appended" else 1.2) * table.version
