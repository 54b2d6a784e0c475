"""The Delta logs of a lake on a store, in its mirror.

The folder `_delta_log` of a table here has a checkpoint and the commits after it, as on the store; there may be older
ones too. A commit is published on the store first, by a conditional write, then put here: the mirror is never ahead.
The jobs of this machine see each other's commits here, and ask the store only now and then for those of others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ventes.store.base import Missing, Stored
from ventes.store.mirror import Mirror, install

LAST = "_last_checkpoint"
LOOK = 30.0
"""Seconds between two looks whether the table is still the one that was opened, beside those before each commit."""
LISTED = 5.0
"""Seconds for which a listing of a whole log is used: who looks for a version asks for it several times."""
MISSING = 0.5
"""Seconds between two requests for a table that is not there."""
FEW = 4
"""Commits that are fetched one after the other; for more the log is listed."""
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(?P<parts>\d{10}))?.*\.parquet")


class Replaced(Exception):
    """The table on the store is not the one that was opened."""


def pull(mirror: Mirror, table: Path, version: int | None = None, *, now: bool = False) -> None:
    """Bring the newest state of a log here, or that of `version`, as far as the store has it.

    The newest state is asked for once per poll, or `now`. If the store has another table, or none, the log here is
    dropped.
    """
    if version is None and not now and table in mirror.pulled and (newest_here := newest(table)) >= 0:
        poll(mirror, table, newest_here)
        if newest(table) >= 0:  # otherwise it was dropped
            return
    if version is None and not _due(mirror, table, now):
        return
    mirror.follow_generation(now=now)
    pointer, listed = _listed_from_checkpoint(mirror, table, version)
    commits = {int(match[1]): one for one in listed if (match := _COMMIT.fullmatch(_name(one)))}
    base = max((number for number in _complete_checkpoints(listed) if version is None or number <= version), default=-1)
    upto = max(commits, default=base) if version is None else version
    if version is None:
        _drop_after(mirror, table, max(upto, base))
    if upto < 0:
        return
    wanted = [one for number, one in commits.items() if base <= number <= upto]
    wanted += [one for one in listed if (match := _CHECKPOINT.fullmatch(_name(one))) and int(match[1]) == base]
    _bring(mirror, table, wanted)
    if version is None:
        _point_at(table, pointer if _version_in(pointer) == base else None)
        mirror.pulled.add(table)
        for what in ("poll", "look"):  # they would say the same
            mirror.due(f"{what} {table}", 0.0)


def _due(mirror: Mirror, table: Path, now: bool) -> bool:
    if now or newest(table) >= 0:
        return mirror.due(f"pull {table}", 0.0 if now else None)
    return mirror.due(f"missing {table}", min(MISSING, mirror.limits.poll_seconds))


def poll(mirror: Mirror, table: Path, version: int, *, now: bool = False) -> None:
    """Bring the commits after `version` here, if the store has any; it is asked once per poll, or `now`.

    For a table that this process writes it is asked every LOOK seconds: a commit finds what others committed anyway.
    """
    seconds = max(LOOK, mirror.limits.poll_seconds) if mirror.is_written(table) else mirror.limits.poll_seconds
    if not mirror.due(f"poll {table}", 0.0 if now else seconds):
        return
    if mirror.follow_generation(now=now):
        return
    for number in range(version + 1, version + 1 + FEW):
        try:
            data = mirror.store.read(mirror.key(_commit(table, number)))
        except Missing:
            if number == version + 1 and mirror.due(f"look {table}", 0.0 if now else LOOK):
                _require_same(mirror, table, version)
            return
        _put(_commit(table, number), data)
    listed = mirror.store.list(_folder(mirror, table), after=mirror.key(_commit(table, version + FEW)))
    commits = [one for one in listed if _COMMIT.fullmatch(_name(one))]
    if commits and int(_name(commits[0])[:20]) != version + FEW + 1:
        drop(mirror, table)  # the ones between were cleaned up: it is opened again
    else:
        _bring(mirror, table, commits)


def publish(mirror: Mirror, table: Path, version: int, text: bytes) -> None:
    """Make `text` the commit `version` on the store; what it names is uploaded. Then `keep` it here.

    Raises FileExistsError if there is such a commit, Replaced if the table is not the one here.
    """
    if version > 0:
        _require_same(mirror, table, version - 1)
        if not _commit(table, version - 1).exists():
            raise Replaced(str(table))
    mirror.store.create(mirror.key(_commit(table, version)), text)


def keep(table: Path, version: int, text: bytes) -> None:
    """Put a commit here that is on the store."""
    _put(_commit(table, version), text)


def push(mirror: Mirror, table: Path, after: int) -> None:
    """Publish the commits after `after` that another library made in the mirror. Raises FileExistsError, Replaced.

    After an error the log here is dropped.
    """
    try:
        if newest(table) <= after:
            raise Replaced(str(table))  # another process dropped what is not on the store
        for number in range(after + 1, newest(table) + 1):
            text = _commit(table, number).read_bytes()
            if number > 0 and number == after + 1:
                _require_same(mirror, table, after)
            mirror.store.create(mirror.key(_commit(table, number)), text)
    except BaseException:
        drop(mirror, table)
        raise


def publish_checkpoint(mirror: Mirror, table: Path) -> None:
    """Upload the checkpoint that another library made in the mirror, then the pointer to it."""
    pointer = (table / "_delta_log" / LAST).read_bytes()
    version = int(json.loads(pointer)["version"])
    for path in sorted((table / "_delta_log").glob(f"{version:020d}.checkpoint*.parquet")):
        mirror.store.write(mirror.key(path), path)
    mirror.store.write(mirror.key(table / "_delta_log" / LAST), pointer)


def listed(mirror: Mirror, table: Path) -> Mapping[str, Stored]:
    """Name → object of the whole log on the store, not older than LISTED."""
    known = mirror.listings.get(table)
    if known is None or mirror.due(f"list {table}", LISTED):
        known = mirror.listings[table] = {_name(one): one for one in mirror.store.list(_folder(mirror, table))}
    return known


def exists(mirror: Mirror, table: Path) -> bool:
    """Whether the store has the log of a table."""
    pull(mirror, table)
    return newest(table) >= 0


def newest(table: Path) -> int:
    """The newest commit here; -1 without one."""
    with suppress(FileNotFoundError):
        return max((int(name[:20]) for name in os.listdir(table / "_delta_log") if _COMMIT.fullmatch(name)), default=-1)
    return -1


def drop(mirror: Mirror, table: Path) -> None:
    """Delete the log here; it is brought again when it is opened."""
    mirror.pulled.discard(table)
    mirror.forget(f"pull {table}")
    mirror.forget(f"missing {table}")
    with suppress(FileNotFoundError):
        for entry in sorted(os.scandir(table / "_delta_log"), key=lambda one: one.name, reverse=True):
            with suppress(FileNotFoundError):
                os.unlink(entry.path)


def _listed_from_checkpoint(mirror: Mirror, table: Path, version: int | None) -> tuple[bytes | None, Sequence[Stored]]:
    """The pointer, and the objects of the log from the checkpoint that it names on; from the beginning if `version` is
    before it."""
    folder = _folder(mirror, table)
    pointer = None
    with suppress(Missing):
        pointer = mirror.store.read(folder + LAST)
    start = _version_in(pointer)
    if start < 0 or (version is not None and start > version):
        return pointer, mirror.store.list(folder)
    found = mirror.store.list(folder, after=f"{folder}{start:020d}")
    return pointer, found if start in _complete_checkpoints(found) else mirror.store.list(folder)


def _version_in(pointer: bytes | None) -> int:
    """The version that a pointer names, which is only a hint; -1 if it names none."""
    try:
        return -1 if pointer is None else int(json.loads(pointer)["version"])
    except (ValueError, KeyError, TypeError):
        return -1


def _complete_checkpoints(listed: Sequence[Stored]) -> set[int]:
    parts: dict[int, tuple[int, int]] = {}
    for one in listed:
        if match := _CHECKPOINT.fullmatch(_name(one)):
            have, _ = parts.get(int(match[1]), (0, 0))
            parts[int(match[1])] = have + 1, int(match["parts"] or 1)
    return {version for version, (have, wanted) in parts.items() if have == wanted}


def _bring(mirror: Mirror, table: Path, objects: Sequence[Stored]) -> None:
    """Make the log here have these objects. One of other content here belongs to another table: all of it goes."""
    (table / "_delta_log").mkdir(parents=True, exist_ok=True, mode=0o700)
    missing = [one for one in objects if not _is_here(table, one)]
    contents = list(mirror.pool.map(lambda one: _content(mirror, one), missing))
    # a checkpoint may be written again for the same commits; a commit never is
    other = [
        one
        for one, data in zip(missing, contents, strict=True)
        if data is not None and _COMMIT.fullmatch(_name(one)) and _differs(table / "_delta_log" / _name(one), data)
    ]
    if other:
        drop(mirror, table)
        missing = list(objects)
        contents = list(mirror.pool.map(lambda one: _content(mirror, one), missing))
    for one, data in sorted(zip(missing, contents, strict=True), key=lambda pair: pair[0].key):
        path = table / "_delta_log" / _name(one)
        if data is None:
            continue  # cleaned up meanwhile
        if _COMMIT.fullmatch(path.name):
            _put(path, data, one.modified)
        else:
            install(path, data, one.modified)


def _is_here(table: Path, one: Stored) -> bool:
    """Whether the log here has this very object: its size, and its time on the store."""
    try:
        status = (table / "_delta_log" / _name(one)).stat()
    except OSError:
        return False
    return status.st_size == one.size and abs(status.st_mtime - one.modified) < 0.001


def _content(mirror: Mirror, one: Stored) -> bytes | None:
    try:
        return mirror.store.read(one.key)
    except Missing:
        return None


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() != data
    except FileNotFoundError:
        return False


def _put(path: Path, data: bytes, modified: float | None = None) -> None:
    """Put a commit here. One that is here already with this content keeps its inode, by which a Log knows it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _differs(path, data) or not path.exists():
        install(path, data, modified)
    elif modified is not None:
        os.utime(path, (modified, modified))


def _point_at(table: Path, pointer: bytes | None) -> None:
    """Make the pointer here name the checkpoint that was brought; without one whoever opens the table looks for it."""
    path = table / "_delta_log" / LAST
    if pointer is None:
        path.unlink(missing_ok=True)
    elif _differs(path, pointer) or not path.exists():
        install(path, pointer)


def _drop_after(mirror: Mirror, table: Path, version: int) -> None:
    """Drop the log here if it has a commit after `version`, the newest that was listed, and the store has not.

    A job of this machine may have published one since.
    """
    number = newest(table)
    if number > version and mirror.store.head(mirror.key(_commit(table, number))) is None:
        drop(mirror, table)


def _require_same(mirror: Mirror, table: Path, version: int) -> None:
    """Drop the log here unless the store has the same commit `version`: by its size, which a request without content
    tells."""
    path = _commit(table, version)
    there = mirror.store.head(mirror.key(path))
    with suppress(FileNotFoundError):
        if there is None or there.size != path.stat().st_size:
            drop(mirror, table)


def _commit(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.json"


def _folder(mirror: Mirror, table: Path) -> str:
    return mirror.key(table / "_delta_log") + "/"


def _name(one: Stored) -> str:
    return one.key.rpartition("/")[2]
