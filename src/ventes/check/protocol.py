"""Checks a Delta log and a streaming checkpoint (invariant I6)."""

from __future__ import annotations

import re
from pathlib import Path

from ventes.config import Settings
from ventes.deltalog import history
from ventes.deltalog.log import Log
from ventes.engines.spark import checkpoint
from ventes.store import places

_COMMIT = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint.*\.parquet$")


def log_complaints(table: Path) -> tuple[list[str], int]:
    """The errors in a table's log, and the number of commit files that were checked.

    Commits must follow each other without a gap, none may be empty, and the first must be version 0
    or stand behind a checkpoint.
    """
    log = f"{places.shown(table)}/_delta_log"
    commits, checkpoints, complaints = [], [], []
    for name, size in history.sizes(table).items():
        if match := _COMMIT.match(name):
            commits.append(int(match[1]))
            if size == 0:
                complaints.append(f"{log}/{name} is empty (power loss?): ventes doctor --repair")
        elif match := _CHECKPOINT.match(name):
            checkpoints.append(int(match[1]))
    commits.sort()
    if not commits:
        return [f"{log} holds no commit"], 0
    # Versions up to the newest checkpoint may have been cleaned up; after it none may be missing.
    needed_from = max((c for c in checkpoints if c <= commits[-1]), default=-1)
    behind = [version for version in commits if version > needed_from]
    unlisted = sorted(set(range(needed_from + 1, commits[-1] + 1)) - set(behind))
    # a listing during commits may miss one file and contain the next one
    if missing := [version for version in unlisted if not history.has(table, version)]:
        complaints.append(f"{log} lacks version(s) {missing[:5]}")
    return complaints, len(commits)


def checkpoint_complaints(settings: Settings) -> list[str]:
    """Spark's Bronze checkpoint against the table: last commit ≤ transaction ≤ last planned, at most one apart."""
    found = checkpoint.newest(settings.checkpoints / "bronze", settings.topic)
    if found is None or not found.query_id:
        return []
    done = Log.open(settings.bronze).transactions.get(f"{settings.stream.bronze_app}:{found.query_id}", -1)
    committed = -1 if found.committed is None else found.committed
    planned = -1 if found.planned is None else found.planned
    if not committed <= done <= planned or planned - committed > 1:
        return [f"{found.path.name}: committed batch {committed}, table holds {done}, planned {planned}"]
    return []
