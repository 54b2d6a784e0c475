"""A file of attempted and acknowledged messages, and its comparison with Bronze.

Every message of the ledger has a number, which is in its key: `chaos-<number>`. A line of the file is one of

    ["a", number, crc]                    attempted: about to be passed to the client; crc of the value, null for none
    ["k", number, partition, offset]      acknowledged by the broker
    ["x", number]                         written in a transaction that was aborted: it must never be read

A number with neither of the last two has an unknown result: the message may be in the topic, once.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = b"chaos-"
SHOWN = 5
"""The most messages that are named for each kind of difference."""


def key(number: int) -> bytes:
    return PREFIX + str(number).encode()


def number_of(key: bytes | None) -> int | None:
    """The number in a key; None for a message that is not of a ledger."""
    if key is None or not key.startswith(PREFIX):
        return None
    text = key[len(PREFIX) :]
    return int(text) if text.isdigit() else None


def crc(value: bytes | None) -> int | None:
    return None if value is None else zlib.crc32(value)


class Writer:
    """Appends to a ledger file. For any thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._guard = threading.Lock()

    def attempted(self, number: int, value: bytes | None) -> None:
        """Call it before the message is passed to the client. The line is written to the kernel, not fsynced."""
        self._write(["a", number, crc(value)], flush=True)

    def acknowledged(self, number: int, partition: int, offset: int) -> None:
        self._write(["k", number, partition, offset])

    def aborted(self, number: int) -> None:
        self._write(["x", number])

    def flush(self) -> None:
        with self._guard:
            self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, line: list[object], flush: bool = False) -> None:
        with self._guard:
            self._file.write(json.dumps(line) + "\n")
            if flush:
                self._file.flush()


@dataclass
class Ledger:
    """One or more ledger files, read."""

    attempted: dict[int, int | None] = field(default_factory=dict)
    """Number → crc of the value."""
    acknowledged: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Number → (partition, offset)."""
    aborted: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, *paths: Path) -> Ledger:
        """The complete lines of the files; a last line without a newline is still being written."""
        found = cls()
        for path in paths:
            if path.exists():
                whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
                found._take(json.loads(line) for line in whole.splitlines())
        return found

    def _take(self, lines: Iterable[list[Any]]) -> None:
        for kind, number, *rest in lines:
            if kind == "a":
                self.attempted[number] = rest[0]
            elif kind == "k":
                self.acknowledged[number] = (rest[0], rest[1])
            else:
                self.aborted.add(number)


@dataclass(frozen=True)
class Row:
    """One row of Bronze that has a key of a ledger."""

    number: int
    topic_id: str
    partition: int
    offset: int
    crc: int | None


def compare(
    ledger: Ledger, rows: Iterable[Row], gone: frozenset[int] = frozenset(), acknowledged_before: int = 0
) -> list[str]:
    """Compare with `rows`, all rows of this ledger in Bronze: a sentence for each kind of difference.

    `acknowledged_before`: the messages acknowledged at the last comparison. No more since then is wrong as well: the
    load did not arrive, so nothing was tested.
    `gone`: numbers that were acknowledged in a topic that was deleted before Bronze had read them. They may be
    missing; everything else that was acknowledged may not.
    """
    held: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        held[row.number].append(row)
    wrong: dict[str, list[str]] = defaultdict(list)
    silent = (
        [] if len(ledger.acknowledged) > acknowledged_before else ["no message was acknowledged since the last check"]
    )
    for number, place in ledger.acknowledged.items():
        if number not in held:
            if number not in gone:
                wrong["acknowledged, not in Bronze"].append(f"{number} at {_place(*place)}")
        elif place not in {(row.partition, row.offset) for row in held[number]}:
            wrong["in Bronze at another position than acknowledged"].append(
                f"{number}, acknowledged at {_place(*place)}"
            )
    for number, found in held.items():
        if number in ledger.aborted:
            wrong["of an aborted transaction, in Bronze"].append(str(number))
        if number not in ledger.attempted:
            wrong["in Bronze, never attempted"].append(str(number))
        elif any(row.crc != ledger.attempted[number] for row in found):
            wrong["in Bronze with other bytes than were sent"].append(str(number))
        if len(found) > 1:
            places = Counter((row.topic_id, row.partition, row.offset) for row in found)
            what = "the same position" if max(places.values()) > 1 else "different positions"
            wrong[f"in Bronze more than once, at {what}"].append(f"{number} × {len(found)}")
    return silent + [
        f"{len(which)} message(s) {what}: {', '.join(which[:SHOWN])}" for what, which in sorted(wrong.items())
    ]


def _place(partition: int, offset: int) -> str:
    return f"{partition}:{offset}"
