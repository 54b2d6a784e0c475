"""Computes the Bronze rows of the next lot from positions. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ventes.deltalog.actions import DataFile
from ventes.lake.positions import Position

LOT_BYTES = 48_000_000
"""Bytes of the messages of a lot, before compression, unless it is a single message: three times those of 50,000 sales.
A lot of large messages takes five times as much memory."""


@dataclass(frozen=True)
class LotRange:
    """The Bronze rows of a lot: `after` < offset ≤ `upto`, for each (topic_id, partition) in `upto`."""

    after: Position
    upto: Position

    @property
    def messages(self) -> int:
        """Offsets in the range: at least as many as it has rows."""
        return sum(upto - self.after.get(key, -1) for key, upto in self.upto.items())

    def holds(self, file: DataFile) -> bool:
        """Whether a Bronze file may contain rows of this range, by its statistics: for `Snapshot.select(holds)`."""
        return self.meets(bounds_of(file))

    def meets(self, bounds: Bounds) -> bool:
        """Whether rows within `bounds` may be of this range."""
        return any(bounds.meet(key, self.after.get(key, -1), upto) for key, upto in self.upto.items())

    def includes(self, bounds: Bounds) -> bool:
        """Whether all rows within `bounds` are of this range."""
        key = bounds.only()
        if key is None or bounds.offsets is None or key not in self.upto:
            return False
        return self.after.get(key, -1) < bounds.offsets[0] and bounds.offsets[1] <= self.upto[key]


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest topic_id, partition and offset of some rows; None where they are not known."""

    topics: tuple[str, str] | None
    partitions: tuple[int, int] | None
    offsets: tuple[int, int] | None

    def meet(self, key: tuple[str, int], after: int, upto: int) -> bool:
        """Whether the rows may include one of this (topic_id, partition) with `after` < offset ≤ `upto`."""
        topic, partition = key
        if self.topics is None or self.partitions is None or self.offsets is None:
            return True
        return (
            self.topics[0] <= topic <= self.topics[1]
            and self.partitions[0] <= partition <= self.partitions[1]
            and self.offsets[1] > after
            and self.offsets[0] <= upto
        )

    def only(self) -> tuple[str, int] | None:
        """The (topic_id, partition) of all the rows; None if they may be of several."""
        topics, partitions = self.topics, self.partitions
        if topics is None or partitions is None or topics[0] != topics[1] or partitions[0] != partitions[1]:
            return None
        return topics[0], partitions[0]

    def spread(self) -> int:
        """How many offsets there are between the smallest and the largest one; 0 if they are not known."""
        return self.offsets[1] - self.offsets[0] + 1 if self.offsets is not None else 0


@dataclass(frozen=True)
class RowGroup:
    """A row group of Bronze: its rows, and their bytes before compression."""

    bounds: Bounds
    rows: int
    size: int
    offsets: Callable[[tuple[str, int], int, int], Sequence[int]] | None = None
    """Reads which offsets of a (topic_id, partition) from the first to the last one given it has, in order; None where
    the bounds tell it. Without, 100 large messages of several topics would count at each offset between them."""


def bounds_of(file: DataFile) -> Bounds:
    """The bounds of a file's rows, from the log."""
    return Bounds(file.bounds("topic_id"), file.bounds("partition"), file.bounds("offset"))


_NO_END = 1 << 62
"""Larger than any offset."""
RowGroups = Callable[[Sequence[DataFile]], Sequence[RowGroup]]
"""The row groups of some files of Bronze."""
Oldest = Callable[[str, Sequence[DataFile]], str]
"""The earliest kafka_ts of a topic in some files, as text of the log."""


def next_lot_range(
    position: Position,
    head: Position,
    files: Iterable[DataFile],
    max_rows: int,
    max_bytes: int | None = None,
    row_groups: RowGroups = lambda files: (),
    oldest: Oldest | None = None,
) -> LotRange | None:
    """The next range of at most `max_rows` offsets and `max_bytes`, or None if `position` has reached `head`.

    One topic_id at a time, the one with the oldest messages first (a re-created topic comes after the previous one);
    its partitions share the lot evenly. Offsets that no file can contain are skipped, so a gap makes no empty lots.
    `row_groups` is asked for the sizes. A message that is larger than a lot may be is a lot of its own. `oldest` is
    asked if several topics wait; by default the statistics tell it, which know no topic of a file that has several.
    """
    files = list(files)
    waiting = [key for key, last in head.items() if last > position.get(key, -1)]
    if not waiting:
        return None
    topics = {topic for topic, _ in waiting}
    topic = topics.pop() if len(topics) == 1 else min(topics, key=lambda name: ((oldest or _oldest)(name, files), name))
    after: Position = {}
    upto: Position = {}
    left = max_rows
    keys = sorted(key for key in waiting if key[0] == topic)
    by_size = sorted(keys, key=lambda key: head[key] - position.get(key, -1))
    for taken, key in enumerate(by_size):
        share = max(1, left // (len(by_size) - taken))
        after[key] = _skip_gap(key, position.get(key, -1), files)
        upto[key] = min(head[key], after[key] + share)
        left -= upto[key] - after[key]
    found = LotRange(after, upto)
    if max_bytes is None:
        return found
    return _within(found, row_groups([file for file in files if found.holds(file)]), max_bytes)


def _within(wanted: LotRange, groups: Sequence[RowGroup], max_bytes: int) -> LotRange:
    """The beginning of a range that has at most `max_bytes`; at least one offset.

    The partitions share the bytes evenly. One whose first message is larger than its share takes it if it fits into
    what the lot has left, so the number of partitions does not multiply the limit.
    """
    if sum(group.size for group in groups) <= max_bytes:
        return wanted
    after: Position = {}
    upto: Position = {}
    left = float(max_bytes)
    for taken, (key, last) in enumerate(wanted.upto.items()):
        first = wanted.after[key] + 1
        mine = [_part(group, key, first, last) for group in groups if group.bounds.meet(key, first - 1, last)]
        end = _end(mine, first, last, left / (len(wanted.upto) - taken))
        if end < first and (not upto or _size(mine, first, first) <= left):
            end = first
        if end >= first:
            after[key], upto[key] = first - 1, end
            left -= _size(mine, first, end)
    return LotRange(after, upto)


@dataclass(frozen=True)
class _Part:
    """The rows of a row group that are of a wanted range of one partition. Each has the average size of its group."""

    row_bytes: float
    offsets: Sequence[int] | None
    """In order; None: any of `low` … `high`, at most `rows` of them."""
    low: int
    high: int
    rows: int

    def size(self, first: int, last: int) -> float:
        if self.offsets is not None:
            return self.row_bytes * (bisect_right(self.offsets, last) - bisect_left(self.offsets, first))
        return self.row_bytes * min(max(0, min(self.high, last) - max(self.low, first) + 1), self.rows)


def _part(group: RowGroup, key: tuple[str, int], first: int, last: int) -> _Part:
    low, high = group.bounds.offsets or (first, last)
    offsets = group.offsets(key, first, last) if group.offsets is not None else None
    return _Part(group.size / max(1, group.rows), offsets, low, high, group.rows)


def _end(parts: Sequence[_Part], first: int, last: int, most: float) -> int:
    """The largest offset up to `last` so that `first` … it have at most `most` bytes; `first - 1` if there is none."""
    if _size(parts, first, last) <= most:
        return last
    low, high = first - 1, last
    while high - low > 1:
        middle = (low + high) // 2
        if _size(parts, first, middle) <= most:
            low = middle
        else:
            high = middle
    return low


def _size(parts: Iterable[_Part], first: int, last: int) -> float:
    """The bytes of the offsets `first` … `last`."""
    return sum(part.size(first, last) for part in parts)


def _oldest(topic: str, files: Iterable[DataFile]) -> str:
    """The earliest kafka_ts of a topic, as text from the log; '' if a file has no statistics."""
    oldest = "~"
    for file in files:
        topics, times = file.bounds("topic_id"), file.bounds("kafka_ts")
        if topics is None or times is None:
            return ""
        if topics[0] <= topic <= topics[1]:
            oldest = min(oldest, times[0])
    return oldest


def _skip_gap(key: tuple[str, int], last: int, files: Iterable[DataFile]) -> int:
    """The offset before the next one that a file of Bronze may contain."""
    lowest = None
    for bounds in map(bounds_of, files):
        if not bounds.meet(key, last, _NO_END):
            continue
        if bounds.offsets is None or bounds.only() is None:
            return last
        lowest = bounds.offsets[0] if lowest is None else min(lowest, bounds.offsets[0])
    return last if lowest is None else max(last, lowest - 1)
