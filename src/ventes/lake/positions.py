"""The position of a table: max(offset) for each (topic_id, partition).

A job that starts reads its position from the tables, not from a checkpoint. For most files the statistics in the log
are enough; a file with several topics or partitions, or without statistics, is read once (three columns).

Offsets without a message (transaction markers, aborted messages) have no row. So each commit of Bronze also records the
last offset read, as an application transaction for each partition; see `of_bronze`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from ventes.config import Settings
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.present import local_path
from ventes.stream.declaration import Stream

Position = dict[tuple[str, int], int]
"""(topic_id, partition) → last offset present."""

_READ = re.compile(r"[a-z][a-z0-9_]*-bronze:(.*):([0-9]+)")
"""The transaction of a partition; <stream>-bronze:<query id> is that of Spark's query."""
_KEPT = 4096
_read: dict[tuple[Path, str, int | None], Position] = {}
"""Results of reading files. Data files never change, so entries stay valid; the oldest are dropped first."""
_guard = threading.Lock()


def positions(path: Path, max_lot: int | None = None) -> Position:
    """max(offset) per (topic_id, partition) of the table at `path`; {} if there is no table.

    `max_lot` counts only rows whose `lot` is not above it (Silver's tables).
    """
    try:
        return of_log(Log.open(path), max_lot)
    except TableMissing:
        return {}


def of_log(log: Log, max_lot: int | None = None) -> Position:
    """The same from a log that is already open."""
    result: Position = {}
    unclear = []
    for file in log.files.values():
        known = _from_statistics(file, max_lot)
        if known is None:
            unclear.append(file)
        else:
            raise_to(result, known)
    for file in unclear:
        raise_to(result, _from_rows(log.path, file, max_lot))
    return result


def of_bronze(log: Log) -> Position:
    """Bronze's position: its rows, and the offsets after them that were read and have no message.

    If the table lost rows (an earlier version was restored, or it was edited) only the present rows count.
    """
    rows = of_log(log)
    return furthest(rows, read_through(log)) if not log.edited else rows


def bronze(settings: Settings) -> Position:
    """`of_bronze` of a lake; {} if there is no such table."""
    try:
        return of_bronze(Log.open(settings.bronze))
    except TableMissing:
        return {}


def as_transactions(stream: Stream, topic_id: str, last: Mapping[int, int]) -> dict[str, int]:
    """Partition → last offset read, as the transactions of a commit of Bronze."""
    return {f"{stream.bronze_app}:{topic_id}:{partition}": offset for partition, offset in last.items()}


def read_through(log: Log) -> Position:
    """The last offset read of each partition, from the commits of Bronze."""
    found: Position = {}
    for app_id, offset in log.transactions.items():
        if match := _READ.fullmatch(app_id):
            found[match[1], int(match[2])] = offset
    return found


def furthest(*parts: Position) -> Position:
    """The largest offset of each (topic_id, partition)."""
    result: Position = {}
    for part in parts:
        raise_to(result, part)
    return result


def raise_to(position: Position, other: Position) -> None:
    for key, offset in other.items():
        if offset > position.get(key, -1):
            position[key] = offset


def behind(position: Position, head: Position) -> int:
    """Messages (offsets) between `position` and `head`; a partition without position counts from offset 0."""
    return sum(max(0, offset - position.get(key, -1)) for key, offset in head.items())


def _from_statistics(file: DataFile, max_lot: int | None) -> Position | None:
    if file.rows == 0:
        return {}
    topic, partition, offset = file.bounds("topic_id"), file.bounds("partition"), file.bounds("offset")
    if topic is None or partition is None or offset is None:
        return None
    if topic[0] != topic[1] or partition[0] != partition[1]:
        return None
    if max_lot is not None:
        lots = file.bounds("lot")
        if lots is None or lots[0] <= max_lot < lots[1]:
            return None
        if lots[0] > max_lot:
            return {}
    return {(topic[0], partition[0]): offset[1]}


def _from_rows(path: Path, file: DataFile, max_lot: int | None) -> Position:
    key = (path, file.path, max_lot)
    with _guard:
        if key in _read:
            return _read[key]
    where = "" if max_lot is None else f"WHERE lot <= {int(max_lot)}"
    with connect(spills=False) as con:
        rows: Iterable[tuple[str, int, int]] = con.execute(
            f'SELECT topic_id, "partition", max("offset") FROM read_parquet(?, hive_partitioning = false) {where} '
            "GROUP BY ALL",
            [str(local_path(path, file))],
        ).fetchall()
    found = {(topic, partition): offset for topic, partition, offset in rows}
    with _guard:
        while len(_read) >= _KEPT:
            _read.pop(next(iter(_read)))
        _read[key] = found
    return found
