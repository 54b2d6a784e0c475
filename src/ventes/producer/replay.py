"""Recorded events as the source of a run: each is sent once, in their order.

How many were spooled is kept beside the spool, for each id of the topic: a later run goes on there, and a topic that
was created again gets all events again. It is written after a batch is spooled, so a crash between the two sends that
batch twice, with the same ids, and loses nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from ventes.config import Settings
from ventes.errors import VentesError
from ventes.producer import spool
from ventes.producer.message import Message

_WIDTH = 20
"""Digits in the file: a fixed length, overwritten with one write."""


def position_file(settings: Settings, topic_id: str) -> Path:
    """Where the number of spooled events of this topic is kept."""
    return spool.folder(settings) / f"replayed-{topic_id}"


class Replay:
    """`events`: all recorded events in their order. `noun`: what they are called."""

    def __init__(self, noun: str, events: Iterator[Message], position: Path) -> None:
        self.noun = noun
        self.made = 0
        self.exhausted = False
        self._path = position
        position.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(position, os.O_RDWR | os.O_CREAT, 0o600)
        self._before = self._spooled()
        self._events = islice(events, self._before, None)
        self._last: Message | None = None

    def batch(self, count: int, _now: datetime) -> list[Message]:
        taken = list(islice(self._events, count))
        self.exhausted = len(taken) < count
        self.made += len(taken)
        self._last = taken[-1] if taken else self._last
        return taken

    def kept(self) -> None:
        os.pwrite(self._file, b"%0*d\n" % (_WIDTH, self._before + self.made), 0)

    def last_line(self) -> str:
        number = self._before + self.made
        return f"event {number:,}: {self._last.value.decode()}" if self._last is not None else ""

    def irregular(self) -> list[str]:
        return []

    def close(self) -> None:
        os.close(self._file)

    def _spooled(self) -> int:
        text = os.pread(self._file, _WIDTH, 0).strip(b"\0\n ")
        if not text:
            return 0
        if not text.isdigit():
            raise VentesError(
                f"{self._path} holds {text!r} instead of a number", "delete it: all events are sent again"
            )
        return int(text)
