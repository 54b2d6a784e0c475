"""The row groups of Bronze's files and their sizes, from the Parquet footers."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.contract.tables import POSITION
from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import bound_text, group_bounds, group_bytes
from ventes.deltalog.log import Log
from ventes.deltalog.present import local_path, local_paths
from ventes.engines.lot_range import Bounds, LotRange, RowGroup

BATCH_ROWS = 65_536
KEPT = 1024
"""Files or row groups of which is remembered what was read; they never change."""
MOST_GAPS = 2
"""A row group of one partition has at least every second offset between its bounds, or its offsets are read."""
NEWEST_FILES = 8
"""Files whose messages tell how large the next ones may be."""


class BronzeRowGroups:
    """Reads each footer once, as long as a lot may begin in its file."""

    def __init__(self) -> None:
        self._known: dict[Path, list[RowGroup]] = {}

    def of(self, table: Path, files: Sequence[DataFile]) -> list[RowGroup]:
        """The row groups of `files`, those that may hold rows of the next lot. Forgets those of all other files."""
        return [group for groups in self.of_each(table, files) for group in groups]

    def of_each(self, table: Path, files: Sequence[DataFile]) -> list[list[RowGroup]]:
        """The same, those of each file by themselves."""
        paths = local_paths(table, files)
        self._known = {path: self._known[path] if path in self._known else _read(path) for path in paths}
        return list(self._known.values())


def oldest(table: Path, topic: str, files: Sequence[DataFile]) -> str:
    """The earliest kafka_ts of a topic, as text of the log; "~" if no file has the topic.

    A file of several topics is read once: by its bounds alone each topic between would be as old as the oldest, and
    one that still grows could be taken before the others for ever.
    """
    found = "~"
    for file in files:
        topics, times = file.bounds("topic_id"), file.bounds("kafka_ts")
        if topics is None or times is None or topics[0] != topics[1]:
            found = min(found, _first_times(local_path(table, file)).get(topic, "~"))
        elif topics[0] == topic:
            found = min(found, times[0])
    return found


@lru_cache(KEPT)
def _first_times(path: Path) -> Mapping[str, str]:
    """Topic → the earliest kafka_ts of a file."""
    found: dict[str, str] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=["topic_id", "kafka_ts"]):
            rows = pa.Table.from_batches([batch]).group_by("topic_id").aggregate([("kafka_ts", "min")])
            for topic, first in zip(*(rows[name].to_pylist() for name in ("topic_id", "kafka_ts_min")), strict=True):
                if first is not None:
                    found[topic] = min(found.get(topic, "~"), bound_text(first))
    return found


def recent_message_bytes(bronze: Log) -> float:
    """Bytes of a message, before compression: the average of the newest files, 0 if there are none or one is gone."""
    newest = heapq.nlargest(NEWEST_FILES, bronze.files.values(), key=lambda file: file.modified)
    try:
        groups = BronzeRowGroups().of(bronze.path, newest)
    except (OSError, pa.ArrowException):
        return 0.0
    return sum(group.size for group in groups) / max(1, sum(group.rows for group in groups))


def _read(path: Path) -> list[RowGroup]:
    footer = pq.read_metadata(path)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    places = places_of(footer)
    found = []
    for number, group in enumerate(groups):
        bounds = bounds_of_group(group, places)
        known = bounds.only() is not None and bounds.spread() <= MOST_GAPS * group.num_rows
        offsets = None if known else partial(_offsets, path, number)
        found.append(RowGroup(bounds, group.num_rows, group_bytes(group), offsets))
    return found


def has_any(path: Path, number: int, lot_range: LotRange) -> bool:
    """Whether a row group may have rows of the range, by the offsets that it has of each (topic_id, partition)."""
    held = _spans(path, number)
    return any(
        part in held and held[part][1] > lot_range.after.get(part, -1) and held[part][0] <= upto
        for part, upto in lot_range.upto.items()
    )


def _offsets(path: Path, number: int, part: tuple[str, int], first: int, last: int) -> Sequence[int]:
    """Those of a (topic_id, partition) from `first` to `last` in a row group, in order."""
    low, high = _spans(path, number).get(part, (0, -1))
    if high < first or low > last:
        return ()
    found = [offsets[mask] for key, offsets, mask in _positions(path, number) if key == part]
    mine = np.sort(np.concatenate(found))
    wanted: list[int] = mine[(mine >= first) & (mine <= last)].tolist()
    return wanted


@lru_cache(KEPT)
def _spans(path: Path, number: int) -> Mapping[tuple[str, int], tuple[int, int]]:
    """(topic_id, partition) → smallest and largest offset in a row group, read from its rows: its bounds are those of
    all topics and partitions together."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for part, offsets, mask in _positions(path, number):
        smallest, largest = int(offsets[mask].min()), int(offsets[mask].max())
        low, high = found.get(part, (smallest, largest))
        found[part] = min(low, smallest), max(high, largest)
    return found


def _positions(
    path: Path, number: int
) -> Iterator[tuple[tuple[str, int], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """(topic_id, partition), offsets of a batch, which of them are of it."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[number], columns=list(POSITION)):
            rows = pa.Table.from_batches([batch])
            offsets = rows["offset"].to_numpy()
            for part, mask in parts_of(rows):
                yield part, offsets, mask


def parts_of(rows: pa.Table) -> Iterator[tuple[tuple[str, int], npt.NDArray[np.bool_]]]:
    """Each (topic_id, partition) in `rows`, and which rows are of it."""
    topics, partitions = pc.min_max(rows["topic_id"]), pc.min_max(rows["partition"])
    if rows.num_rows and topics["min"] == topics["max"] and partitions["min"] == partitions["max"]:
        # the usual case, and a tenth of the time
        yield (topics["min"].as_py(), partitions["min"].as_py()), np.ones(rows.num_rows, dtype=np.bool_)
        return
    keys = rows.select(["topic_id", "partition"]).group_by(["topic_id", "partition"]).aggregate([])
    for topic, partition in zip(keys["topic_id"].to_pylist(), keys["partition"].to_pylist(), strict=True):
        same = pc.and_(pc.equal(rows["topic_id"], topic), pc.equal(rows["partition"], partition))
        yield (topic, partition), same.to_numpy()


def places_of(footer: pq.FileMetaData) -> list[int]:
    """Where the columns of a position are in the row groups of a file."""
    paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
    return [paths.index(name) for name in POSITION]


def bounds_of_group(group: pq.RowGroupMetaData, places: Sequence[int]) -> Bounds:
    """The bounds of a row group. `places`: see `places_of`."""
    return Bounds(*(group_bounds(group, place) for place in places))
