"""Checks that the tables and Spark's checkpoint can be read, and repairs damage if nothing is lost by that.

Repairs take the writer's lock, and move files to <state>/repairs/<time>/ instead of deleting them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

from deltalake.exceptions import DeltaError

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.check.filling import START, state_of
from ventes.check.protocol import log_complaints
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import checkpoints, history, vacuumed
from ventes.deltalog.create import open_with_deltalake
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.table import Table
from ventes.engines.spark import checkpoint
from ventes.errors import AlreadyRunning, LakeDamaged
from ventes.lake.damage import lost
from ventes.lake.tables import path_of, undeclared
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.store import places

_COMMIT = re.compile(r"(\d{20})\.json")


def findings(settings: Settings, repair: bool) -> Iterator[Finding]:
    """One finding per table, one for the checkpoint."""
    for table in contract.of(settings).all:
        yield _table(settings, table, repair)
    yield from _undeclared(settings)
    yield _checkpoint(settings, repair)


# -- tables -----------------------------------------------------------------------------------


def _table(settings: Settings, table: Table, repair: bool) -> Finding:
    name, path = f"table {table.name}", path_of(settings, table)
    if not history.there(path):
        if _data_files(path):
            return bad(name, f"{places.shown(path)} holds data files, but its _delta_log is gone", lost(path))
        return ok(name, "not there yet: the job that writes it makes it")
    truncated = truncated_commit(path)
    if truncated is not None:
        return _truncated(settings, table, truncated, repair)
    try:
        complaints, commits = log_complaints(path)
        if complaints:
            return bad(name, "; ".join(complaints), lost(path))
        log = Log.open(path)
        if unusable := checkpoints.unusable(path):
            return _unusable(settings, table, unusable, repair)
        open_with_deltalake(path)
    except TableMissing as error:
        return bad(name, error.message, lost(path))
    except (LakeDamaged, DeltaError) as error:
        return bad(name, getattr(error, "message", str(error)), lost(path))
    gone = sorted(set(log.files) - _data_files(path))
    if gone:
        return bad(name, f"{len(gone)} of {len(log.files)} data files are gone, such as {gone[0]}", lost(path))
    if (state := state_of(settings, table)) is not None:
        step = "nothing to do: the other tables go on, ask again later" if state.running else START
        return warn(name, f"is not filled yet: {state.sentence()}", step)
    rows = sum(file.rows or 0 for file in log.files.values())
    text = f"version {log.version}, {rows:,} rows in {len(log.files)} files, {commits} commits without a gap"
    if len(log.files) > 1000:
        step = "its job compacts it: look for errors in the job's log"
        return warn(name, f"{text}; so many files make readers slow", step)
    return ok(name, text)


def _data_files(table: Path) -> set[str]:
    """The Parquet files of a table, relative to it, whether the log names them or not."""
    place = vacuumed.of(table)
    place.look()
    try:
        return {path for path, _ in place.data_files()}
    except FileNotFoundError:
        return set()


def _undeclared(settings: Settings) -> Iterator[Finding]:
    """A finding for each table beside the declared ones: no job updates it."""
    for folder in undeclared(settings):
        yield warn(
            f"table {folder.name}",
            f"{places.shown(folder)} is not a table of {settings.declaration}: nothing updates it",
            "remove the folder, or declare the table again: the Silver job then completes it",
        )


def truncated_commit(table: Path) -> Path | None:
    """The last commit file of a table if it is truncated (after power loss): empty, or not JSON to its end.

    None on an object store, where an object is whole or not there.
    """
    if places.of(table) is not None:
        return None
    commits = sorted(entry for entry in (table / "_delta_log").iterdir() if _COMMIT.fullmatch(entry.name))
    if not commits:
        return None
    text = commits[-1].read_bytes()
    try:
        whole = bool(text.strip()) and all(json.loads(line) for line in text.splitlines() if line.strip())
    except ValueError:
        whole = False
    return None if whole else commits[-1]


def _truncated(settings: Settings, table: Table, commit: Path, repair: bool) -> Finding:
    name = f"table {table.name}"
    seen = f"the last commit {commit} " + ("is empty" if commit.stat().st_size == 0 else "is cut short")
    first = int(commit.stem) == 0
    if not repair:
        return bad(name, f"{seen} (power loss?)", "ventes stop, then ventes doctor --repair")
    if first:
        return bad(name, f"{seen}, and it is the only one", f"remove {path_of(settings, table)}: it never held a row")
    try:
        log = commit.parent
        # Spark's and Delta's checksums of that version go with it.
        sums = (log / f".{commit.name}.crc", log / f"{commit.stem}.crc", log / f".{commit.stem}.crc.crc")
        kept = _take_away(settings, table, [*(file for file in sums if file.exists()), commit])
    except AlreadyRunning as error:
        return bad(name, f"{seen}; not repaired, because {error.message}", "ventes stop, then ventes doctor --repair")
    after = (
        "start the pipeline: it reads the missing rows from Kafka again"
        if table.name == contract.of(settings).bronze.name
        else "ventes rebuild silver: later commits of other tables may count rows that this one lost"
    )
    return warn(name, f"{seen}; moved to {kept}, the table is again what it was one commit before", after)


def _unusable(settings: Settings, table: Table, unusable: list[Path], repair: bool) -> Finding:
    """Checkpoints of the log that stop other readers, where the commits tell the same."""
    name = f"table {table.name}"
    names = ", ".join(file.name for file in unusable)
    seen = f"{names} in {unusable[0].parent} cannot be read; the commits are all there"
    if not repair or settings.on_a_store:
        step = "nothing is lost: its job removes them at its next start"
        step += "" if settings.on_a_store else "; `ventes doctor --repair` does it now"
        return warn(name, seen, step)
    try:
        kept = _take_away(settings, table, unusable)
    except AlreadyRunning as error:
        return warn(name, f"{seen}; not repaired, because {error.message}", "ventes stop, then ventes doctor --repair")
    return warn(name, f"{seen}; moved to {kept}", "start the pipeline")


def _take_away(settings: Settings, table: Table, files: Sequence[Path]) -> Path:
    """Move files of a table's log to a folder of repairs, and return that. Raises AlreadyRunning."""
    with ExitStack() as locks:
        # Silver's position depends on Bronze's commits, so both must not be written meanwhile.
        for job in ("bronze", "silver"):
            locks.enter_context(WriterLock(lock_path(settings, job)))
        kept = _repairs(settings) / table.name
        kept.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.move(file, kept / file.name)
    return kept


# -- checkpoint -------------------------------------------------------------------------------


def _checkpoint(settings: Settings, repair: bool) -> Finding:
    name = "checkpoint of bronze"
    folder = settings.checkpoints / "bronze"
    found = checkpoint.newest(folder, settings.topic)
    if found is None:
        return ok(name, "none: Spark begins from the table's position")
    if not found.damage:
        return ok(name, f"{found.path.name}: batch {found.planned} planned, {found.committed} committed")
    seen = f"{found.path}: {'; '.join(found.damage)}"
    harmless = "nothing is lost: at its next start the job begins a new epoch from the table's position"
    if not repair:
        return warn(name, seen, f"{harmless}; `ventes doctor --repair` removes a truncated last commit instead")
    try:
        with WriterLock(lock_path(settings, "bronze")):
            kept = _repairs(settings) / found.path.name
            shutil.copytree(found.path, kept)
            removed = _cut_tail(found.path)
    except AlreadyRunning as error:
        return warn(name, f"{seen}; not repaired, because {error.message}", "ventes stop, then ventes doctor --repair")
    again = checkpoint.read(found.path, settings.topic)
    if again.damage:
        shutil.copytree(kept, found.path, dirs_exist_ok=True)
        return warn(name, f"{seen}; more than its tail is damaged, so it was left as it is", harmless)
    return warn(name, f"{seen}; batch {removed} was taken away, a copy is in {kept}", "start the pipeline")


def _cut_tail(epoch: Path) -> int | None:
    """Remove the newest batch from offsets/ and commits/, with the checksums; returns its number."""
    numbers = [
        int(file.name) for kind in ("offsets", "commits") for file in (epoch / kind).glob("*") if file.name.isdecimal()
    ]
    if not numbers:
        return None
    newest = max(numbers)
    for kind in ("offsets", "commits"):
        for file in (epoch / kind / str(newest), epoch / kind / f".{newest}.crc"):
            file.unlink(missing_ok=True)
    return newest


def _repairs(settings: Settings) -> Path:
    """A new folder for the files that a repair removes."""
    folder = settings.state / "repairs" / datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    folder.mkdir(parents=True, mode=0o700)
    return folder
