"""Offsets that are accepted as missing from Bronze: <lake>/gaps.jsonl, one JSON object per line, append only.

For a lake on an object store each gap is an object of its own, `gaps/<number>.json`, which is made if it is not there.

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
from ventes.store import places
from ventes.store.mirror import Mirror, install

NAME = "gaps.jsonl"
OBJECTS = "gaps"
"""The prefix of the objects on a store."""
LOOK = 10.0
"""Seconds between two listings of them: who measures lag asks more often, and a gap is recorded while Bronze stands."""


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
    if (mirror := places.of(lake)) is not None:
        return _parsed([(mirror.place(lake / key), data) for key, data in _stored(mirror, lake)])
    path = path_of(lake)
    if not path.exists():
        return AcceptedGaps()
    lines = path.read_text(encoding="utf-8").splitlines()
    return _parsed([(f"{path} line {number}", line) for number, line in enumerate(lines, 1)])


def _parsed(lines: Iterable[tuple[str, str]]) -> AcceptedGaps:
    gaps = []
    for where, line in lines:
        try:
            gaps.append(Gap(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise LakeDamaged(
                f"{where} cannot be read: {line[:120]!r} ({error})",
                "correct or remove it; each is one gap that `ventes recover` recorded",
            ) from None
    return AcceptedGaps(tuple(gaps))


def _stored(mirror: Mirror, lake: Path) -> list[tuple[str, str]]:
    """(key, content) of each gap on a store, oldest first. They are never changed, so the mirror keeps them; the store
    is asked for new ones now and then."""
    folder = lake / OBJECTS
    if mirror.due("gaps", LOOK):
        there = {one.key for one in mirror.store.list(f"{OBJECTS}/")}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in folder.glob("*.json"):
            if f"{OBJECTS}/{path.name}" not in there:  # reset
                path.unlink(missing_ok=True)
        for key in there:
            if not (lake / key).exists():
                install(lake / key, mirror.store.read(key))
    return [(f"{OBJECTS}/{path.name}", path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def record(lake: Path, gaps: Iterable[Gap]) -> None:
    """Append the gaps; they are durable when this returns."""
    if (mirror := places.of(lake)) is not None:
        for gap in gaps:
            _record_on_store(mirror, gap)
        mirror.forget("gaps")
        return
    path = path_of(lake)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(asdict(gap), ensure_ascii=False) + "\n" for gap in gaps)
    if not text:
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _record_on_store(mirror: Mirror, gap: Gap) -> None:
    data = json.dumps(asdict(gap), ensure_ascii=False).encode()
    keys = [one.key for one in mirror.store.list(f"{OBJECTS}/")]
    number = max((int(Path(key).stem) for key in keys if Path(key).stem.isdecimal()), default=0) + 1
    while True:
        try:
            mirror.store.create(f"{OBJECTS}/{number:08d}.json", data)
            return
        except FileExistsError:
            number += 1


def stamp(now: datetime) -> str:
    """`now` (aware) as a gap's `when`."""
    return now.isoformat(timespec="seconds")
