"""`ventes lake copy`: copies a lake, from a folder or an object store to another folder or store.

Per table the data files come first, then the log in its order, and the pointer to its checkpoint last: an interrupted
copy is never a table with missing files. What is there already is not copied again, so the next call continues. At the
end both lakes are compared: each table's version, content and rows, and each live file's size.

Spark's checkpoint is not copied: the tables are the ledger, and without it Spark begins a new epoch from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.log import Log, TableMissing
from ventes.errors import UsageError, VentesError
from ventes.lake import accepted_gaps, alert_history
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.operations.reset import refuse_while_running
from ventes.runtime import scratch
from ventes.settings.value_types import Lake
from ventes.store import places
from ventes.store.base import Store, Stored
from ventes.store.local import LocalStore
from ventes.supervise import services

THREADS = 8
"""Files that are copied at a time: with 30 ms a request and files of some 100 kB that is 100 files per second."""
_LAST = "_delta_log/_last_checkpoint"


@dataclass
class Copied:
    """What a copy did, and what the lakes hold that were compared."""

    files: int = 0
    """Files that were copied now."""
    size: int = 0
    """Their bytes."""
    there: int = 0
    """Files that were there already."""
    rows: dict[str, int] = field(default_factory=dict)
    """Table → rows; the two lakes hold the same."""


def copy(settings: Settings, to: str, say: Callable[[str], None]) -> Copied:
    """Copy the lake of `settings` to the folder or address `to`.

    Raises AlreadyRunning while a job runs, here or elsewhere, UsageError for a wrong `to`, VentesError if it holds
    another lake or if the lakes differ in the end.
    """
    refuse_while_running(settings)
    target = with_lake(settings, to)
    if places.shown(target.lake) == places.shown(settings.lake):
        raise UsageError(f"{to} is this pipeline's own lake", "name another place")
    done = Copied()
    with ExitStack() as locks:
        for one in (settings, target):
            for job in services.JOBS:
                locks.enter_context(WriterLock(lock_path(one, job), say))
        for name, source, there in _tables(settings, target):
            _copy_table(name, _Place.of(source), _Place.of(there), done, say)
        _copy_gaps(settings, target)
        for name, source, there in _tables(settings, target):
            done.rows[name] = _compared(name, source, there)
    return done


def with_lake(settings: Settings, to: str) -> Settings:
    """The settings with another lake. Raises UsageError."""
    try:
        place = TypeAdapter(Lake).validate_python(to if "://" in to else str(Path(to).absolute()))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{to!r} {why}", "name a folder, or s3://bucket/prefix") from None
    return settings.model_copy(update={"paths": settings.paths.model_copy(update={"lake": place})})


def _tables(settings: Settings, target: Settings) -> Iterator[tuple[str, Path, Path]]:
    """(name, path here, path there) of each table that there is."""
    pairs = [(table.name, path_of(settings, table), path_of(target, table)) for table in contract.of(settings).all]
    pairs.append((alert_history.TABLE.name, alert_history.path_of(settings), alert_history.path_of(target)))
    for name, source, there in pairs:
        try:
            Log.open(source)
        except TableMissing:
            continue
        yield name, source, there


@dataclass(frozen=True)
class _Place:
    """A table in its store; keys of its objects begin with `prefix`."""

    path: Path
    store: Store
    prefix: str

    @classmethod
    def of(cls, path: Path) -> _Place:
        mirror = places.of(path)
        if mirror is None:
            return cls(path, LocalStore(path), "")
        return cls(path, mirror.store, mirror.key(path) + "/")

    def objects(self) -> dict[str, Stored]:
        """Path in the table → object: data files, commits, checkpoints; no cache and no leftover of another program."""
        found = {one.key.removeprefix(self.prefix): one for one in self.store.list(self.prefix)}
        return {
            name: one
            for name, one in found.items()
            if name == _LAST
            or (name.startswith("_delta_log/") and name.endswith((".json", ".parquet")) and "/." not in name)
            or (name.endswith(".parquet") and not name.startswith(("_", ".")))
        }


def _copy_table(name: str, source: _Place, target: _Place, done: Copied, say: Callable[[str], None]) -> None:
    here, there = source.objects(), target.objects()
    _require_same_table(name, source, here, target, there)
    missing = [path for path, one in here.items() if path not in there or there[path].size != one.size]
    done.there += len(here) - len(missing)
    data = [path for path in missing if not path.startswith("_delta_log/")]
    with ThreadPoolExecutor(THREADS, "copy") as pool:
        list(pool.map(partial(_copy, source, target, here), data))
    log = sorted((path for path in missing if path.startswith("_delta_log/") and path != _LAST), key=_order)
    for path in log:
        _copy(source, target, here, path)
    if _LAST in here:  # its size does not tell whether it is the same
        _copy(source, target, here, _LAST)
    done.files += len(missing)
    done.size += sum(here[path].size for path in missing)
    say(f"{name}: {len(missing):,} of {len(here):,} files copied")


def _order(path: str) -> tuple[str, bool]:
    """Commits in their order; a checkpoint after the commits that it stands for."""
    name = path.rpartition("/")[2]
    return name[:20], not name.endswith(".json")


def _require_same_table(
    name: str, source: _Place, here: dict[str, Stored], target: _Place, there: dict[str, Stored]
) -> None:
    """Refuse to write into another table, or into one that went on by itself."""
    newest = max((path for path in there if path.endswith(".json")), default="")
    if newest and (
        newest not in here or source.store.read(source.prefix + newest) != target.store.read(target.prefix + newest)
    ):
        raise VentesError(
            f"{places.shown(target.path)} holds another {name}, or has been written to since it was copied",
            "copy to an empty place",
        )


def _copy(source: _Place, target: _Place, here: dict[str, Stored], path: str) -> None:
    if isinstance(source.store, LocalStore):
        target.store.write(target.prefix + path, source.path / path)
    else:
        held = scratch.place("copied")
        try:
            source.store.fetch(source.prefix + path, held)
            target.store.write(target.prefix + path, held)
        finally:
            held.unlink(missing_ok=True)
    if isinstance(target.store, LocalStore):  # a log tells by the times of its files what was when
        os.utime(target.path / path, (here[path].modified, here[path].modified))


def _copy_gaps(settings: Settings, target: Settings) -> None:
    known = accepted_gaps.read(target.lake).gaps
    accepted_gaps.record(target.lake, [gap for gap in accepted_gaps.read(settings.lake).gaps if gap not in known])


def _compared(name: str, source: Path, target: Path) -> int:
    """The rows of a table that is the same in both lakes. Raises VentesError if it is not."""
    if (mirror := places.of(target)) is not None:
        mirror.forget_asked()
    here, there = Log.open(source), Log.open(target)
    if (here.version, here.checksum, here.rows) != (there.version, there.checksum, there.rows):
        raise VentesError(
            f"{name} is at version {there.version} with {there.rows:,} rows in the copy, "
            f"at version {here.version} with {here.rows:,} rows here",
            "run the command again",
        )
    objects = _Place.of(target).objects()
    wrong = [path for path, file in there.files.items() if path not in objects or objects[path].size != file.size]
    if wrong:
        raise VentesError(
            f"{len(wrong):,} files of {name} are missing in the copy or have another size, such as {wrong[0]}",
            "run the command again",
        )
    return there.rows
