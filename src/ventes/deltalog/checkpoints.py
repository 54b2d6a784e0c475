"""Checkpoints of a Delta log: Parquet files that stand for all commits up to theirs, and the pointer to the newest.

They only save readers the replay of commits, so one that cannot be read (power loss, a bad disk) may go as long as the
commits are there. deltalake and Spark refuse the whole table because of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ventes.deltalog.actions import Action
from ventes.runtime.files import sync_file, sync_folder
from ventes.store import mirror_log, places

POINTER = "_last_checkpoint"
_NAME = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(?P<parts>\d{10}))?.*\.parquet")
_COLUMNS = [
    *(f"add.{name}" for name in ("path", "partitionValues", "size", "modificationTime", "stats", "deletionVector")),
    "txn",
    "metaData",
    "protocol",
]


class Unreadable(Exception):
    """A checkpoint cannot be read; the message says why."""


def newest_first(table: Path, version: int | None = None) -> Iterator[int]:
    """The versions of the checkpoints not after `version`. The folder is listed only where the pointer does not do."""
    first = _pointed_at(table) if version is None else None
    if first is not None and files(table, first):
        yield first
    numbers = {int(match[1]) for file in _folder(table).iterdir() if (match := _NAME.fullmatch(file.name))}
    yield from sorted((n for n in numbers if n != first and (version is None or n <= version)), reverse=True)


def actions(table: Path, version: int) -> Iterator[Action]:
    """The actions of a checkpoint, without its tombstones. Raises Unreadable."""
    parts = files(table, version)
    if not _complete(parts):
        raise Unreadable(f"only {len(parts)} of its parts are there")
    for part in parts:
        try:
            rows = pq.ParquetFile(part).read(columns=_COLUMNS)
        except (pa.ArrowException, OSError) as error:
            raise Unreadable(str(error)) from None
        for kind in rows.column_names:
            for body in rows[kind].drop_null().to_pylist():
                for name in ("partitionValues", "configuration"):
                    if isinstance(body.get(name), list):
                        body[name] = dict(body[name])
                yield {kind: body}


def written_at(table: Path, version: int) -> int:
    """When a checkpoint was written, in Unix milliseconds."""
    return max((int(file.stat().st_mtime * 1000) for file in files(table, version)), default=0)


def files(table: Path, version: int) -> list[Path]:
    """The files of a checkpoint: one, or its parts."""
    return sorted(_folder(table).glob(f"{version:020d}.checkpoint*.parquet"))


def unusable(table: Path) -> list[Path]:
    """The files because of which other readers refuse a table: checkpoints that cannot be read, a pointer to none."""
    found = []
    for version in newest_first(table):
        if not _readable(table, version):
            found += files(table, version)
    pointer = _folder(table) / POINTER
    if pointer.exists():
        at = _pointed_at(table)
        if at is not None and not set(files(table, at)) - set(found):  # one that says nothing is passed over by all
            found += [file for file in (pointer, pointer.with_name(f".{POINTER}.crc")) if file.exists()]
    return found


def remove(table: Path, file: Path) -> None:
    """Delete a file of a checkpoint, or the pointer."""
    if (mirror := places.of(table)) is not None:
        mirror.store.delete([mirror.key(file)])
    file.unlink(missing_ok=True)


def sync(table: Path) -> None:
    """Bring the newest checkpoint and the pointer to the disk, or the store: commits that it stands for may be deleted
    later."""
    if (mirror := places.of(table)) is not None:
        mirror_log.publish_checkpoint(mirror, table)
        return
    version = next(newest_first(table), None)
    pointer = _folder(table) / POINTER
    for file in [*(files(table, version) if version is not None else []), *([pointer] if pointer.exists() else [])]:
        sync_file(file)
    sync_folder(_folder(table))


def _folder(table: Path) -> Path:
    return table / "_delta_log"


def _pointed_at(table: Path) -> int | None:
    try:
        return int(json.loads((_folder(table) / POINTER).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # only a hint


def _complete(parts: list[Path]) -> bool:
    match = _NAME.fullmatch(parts[0].name) if parts else None
    return match is not None and len(parts) == int(match["parts"] or 1)


def _readable(table: Path, version: int) -> bool:
    try:
        for _ in actions(table, version):
            pass
    except Unreadable:
        return False
    return True
