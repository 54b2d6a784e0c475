"""Computes the Bronze rows of the next lot from positions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ventes.deltalog.actions import DataFile
from ventes.lake.positions import Position


@dataclass(frozen=True)
class LotRange:
    """The Bronze rows of a lot: `after` < offset ≤ `upto`, for each (topic_id, partition) in `upto`."""

    after: Position
    upto: Position

    @property
    def messages(self) -> int:
        """Offsets in the range: at least as many as it has rows."""
        return sum(upto - self.after.get(key, -1) for key, upto in self.upto.items())

    def predicate(self) -> str:
        """The rows as a condition on Bronze's columns, in Spark's dialect (contract.dialect translates it)."""
        parts = [
            f"(topic_id = '{topic}' AND `partition` = {partition}"
            f" AND `offset` > {self.after.get((topic, partition), -1)} AND `offset` <= {upto})"
            for (topic, partition), upto in self.upto.items()
        ]
        return "(" + " OR ".join(parts) + ")"

    def holds(self, file: DataFile) -> bool:
        """Whether a Bronze file may contain rows of this range, by its statistics: for `Snapshot.select(holds)`."""
        topics, partitions, offsets = file.bounds("topic_id"), file.bounds("partition"), file.bounds("offset")
        if topics is None or partitions is None or offsets is None:
            return True
        return any(
            topics[0] <= topic <= topics[1]
            and partitions[0] <= partition <= partitions[1]
            and offsets[1] > self.after.get((topic, partition), -1)
            and offsets[0] <= upto
            for (topic, partition), upto in self.upto.items()
        )


def next_lot_range(position: Position, head: Position, files: Iterable[DataFile], max_rows: int) -> LotRange | None:
    """The next range of at most `max_rows` offsets, or None if `position` has reached `head`.

    One topic_id at a time, the one with the oldest messages first (a re-created topic comes after the previous one);
    its partitions share the lot evenly. Offsets that no file can contain are skipped, so a gap makes no empty lots.
    """
    files = list(files)
    waiting = [key for key, last in head.items() if last > position.get(key, -1)]
    if not waiting:
        return None
    topics = {topic for topic, _ in waiting}
    topic = topics.pop() if len(topics) == 1 else min(topics, key=lambda name: (_oldest(name, files), name))
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
    return LotRange(after, upto)


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
    topic, partition = key
    lowest = None
    for file in files:
        topics, partitions, offsets = file.bounds("topic_id"), file.bounds("partition"), file.bounds("offset")
        if topics is None or partitions is None or offsets is None:
            return last
        if topics[0] <= topic <= topics[1] and partitions[0] <= partition <= partitions[1] and offsets[1] > last:
            if topics[0] != topics[1] or partitions[0] != partitions[1]:
                return last
            lowest = offsets[0] if lowest is None else min(lowest, offsets[0])
    return last if lowest is None else max(last, lowest - 1)
