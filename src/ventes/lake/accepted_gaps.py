"""Offsets that are accepted as missing from Bronze: <lake>/gaps.jsonl, one JSON object per line, append only.

Recorded by `ventes recover`: messages that expired before they were read, a topic that was deleted and created again, a
log that lost its end. Jobs of both engines resume after these offsets, and `verify` does not report them as missing.

Kafka's topic id is the `topic_id` of Bronze, except after a log lost its end: Kafka then assigns its offsets again, so
later rows have a new label (`<id>~2`). This file also records the current label of a Kafka id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ventes.errors import LakeDamaged

NAME = "gaps.jsonl"


@dataclass(frozen=True)
class Gap:
    """Offsets first..last (inclusive) of a partition are not in Bronze with this label; reading continues at last + 1.

    `last < first` skips nothing: it only records that the topic with this label was accepted.
    """

    topic_id: str
    """The label in Bronze's `topic_id`."""
    kafka_id: str
    partition: int
    first: int
    last: int
    why: str
    when: str
    """UTC, ISO 8601."""

    @property
    def messages(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True)
class AcceptedGaps:
    """All gaps, oldest first."""

    gaps: tuple[Gap, ...] = ()

    def label(self, kafka_id: str) -> str:
        """Bronze's label of the topic with Kafka's id `kafka_id`."""
        labels = [gap.topic_id for gap in self.gaps if gap.kafka_id == kafka_id]
        return labels[-1] if labels else kafka_id

    def accepts(self, label: str) -> bool:
        return any(gap.topic_id == label for gap in self.gaps)

    def last(self, label: str, partition: int) -> int:
        """The last offset of the partition that is recorded here; -1 if none."""
        return max((g.last for g in self.gaps if (g.topic_id, g.partition) == (label, partition)), default=-1)


def path_of(lake: Path) -> Path:
    return lake / NAME


def read(lake: Path) -> AcceptedGaps:
    """The accepted gaps of a lake; empty without a file. Raises LakeDamaged naming a line that cannot be read."""
    path = path_of(lake)
    if not path.exists():
        return AcceptedGaps()
    gaps = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            gaps.append(Gap(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise LakeDamaged(
                f"{path} line {number} cannot be read: {line[:120]!r} ({error})",
                "correct or remove that line; each is one gap that `ventes recover` recorded",
            ) from None
    return AcceptedGaps(tuple(gaps))


def record(lake: Path, gaps: Iterable[Gap]) -> None:
    """Append the gaps; they are synced to disk when this returns."""
    path = path_of(lake)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(asdict(gap), ensure_ascii=False) + "\n" for gap in gaps)
    if not text:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def stamp(now: datetime) -> str:
    """`now` (aware) as a gap's `when`."""
    return now.isoformat(timespec="seconds")
