"""Some messages of a topic or of a file: most of them the oldest, some the newest. Bounded in number, size and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError
from confluent_kafka import Message as KafkaMessage

from ventes import kafka
from ventes.config import Settings
from ventes.errors import UsageError, VentesError

NEWEST_SHARE = 5
"""One message in so many is one of the newest: a form that changed since the beginning is seen too."""
MOST_BYTES = 64_000_000
"""Of all messages together; the sample ends before the message that would exceed it."""
SECONDS = 30.0
"""How long reading a topic may take."""
POLL_SECONDS = 0.2
"""Short, so that Ctrl-C ends the command at once."""
TAIL_BYTES = 4_000_000
"""The end of a file in which its newest messages are looked for."""

_FORM = "--from FILE.jsonl, a JSON object a line"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Message:
    """`arrival`: when the broker took it (aware); of a file's line, now. `place`: for people, "line 17" or "0:1234"."""

    value: bytes | None
    arrival: datetime
    place: str
    partition: int = 0


@dataclass(frozen=True)
class Sample:
    """Messages in the order of their offsets, partition by partition. `remarks`: what is missing from it, and why."""

    messages: tuple[Message, ...]
    remarks: tuple[str, ...] = ()


# -- a file -----------------------------------------------------------------------------------


def from_file(file: Path, count: int) -> Sample:
    """The first lines of `file`, a message each, and some of its last; blank lines are left out.

    Raises UsageError if it cannot be read or has no line.
    """
    now = datetime.now(timezone.utc)
    oldest, newest = _shares(count)
    try:
        with open(file, "rb") as lines:
            head: list[Message] = []
            number = size = 0
            while len(head) < oldest and size < MOST_BYTES and (line := lines.readline(MOST_BYTES)):
                number, size = number + 1, size + len(line)
                if line.strip():
                    head.append(Message(line.rstrip(b"\r\n"), now, f"line {number}"))
            tail = _last_lines(file, lines.tell(), number, newest)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}", "--from FILE.jsonl, a JSON object a line"
        ) from None
    if not head:
        raise UsageError(f"{file} has no message", _FORM)
    return Sample((*head, *(Message(line, now, place) for place, line in tail)))


def _last_lines(file: Path, after: int, number: int, count: int) -> list[tuple[str, bytes]]:
    """Up to `count` lines at the end of `file`, each with its place; none before the position `after`, which follows
    line `number`."""
    start = max(after, file.stat().st_size - TAIL_BYTES)
    with open(file, "rb") as end:
        end.seek(start)
        lines = [line.rstrip(b"\r") for line in end.read(TAIL_BYTES).split(b"\n")]
    if start == after:
        places = [(f"line {place}", line) for place, line in enumerate(lines, number + 1)]
    else:  # the first one may have begun before
        places = [
            (f"line {place} from the end", line) for place, line in zip(range(len(lines), 0, -1), lines, strict=True)
        ][1:]
    return [(place, line) for place, line in places if line.strip()][-count:] if count else []


def _shares(count: int) -> tuple[int, int]:
    """(oldest, newest): how many messages of each."""
    newest = count // NEWEST_SHARE
    return count - newest, newest


# -- a topic ----------------------------------------------------------------------------------


def from_topic(settings: Settings, count: int, progress: Progress, seconds: float = SECONDS) -> Sample:
    """Committed messages of the topic of these settings, about the same number of each partition.

    A broker that falls silent ends the sample after `seconds`, with a remark. Raises BrokerUnavailable if it gave
    nothing, VentesError if the topic does not exist or is empty.
    """
    deadline = time.monotonic() + seconds
    with kafka.Admin(settings) as admin:
        if admin.topic_id() is None:
            raise VentesError(f"there is no topic {settings.topic!r} at {settings.kafka.bootstrap}", "check its name")
        ends = {number: span for number, span in admin.end_offsets().items() if span[0] < span[1]}
    if not ends:
        raise VentesError(f"topic {settings.topic!r} has no message", "send some, or give a file: --from FILE.jsonl")
    reading = Reading(settings, count, deadline, progress)
    oldest, newest = _shares(max(1, count // len(ends)))
    with kafka.consuming(settings, "ventes-stream-init", **{"enable.partition.eof": True}) as consumer:
        middle = {number: min(high, low + oldest) for number, (low, high) in ends.items()}
        reading.read(consumer, {number: (low, middle[number]) for number, (low, _) in ends.items()})
        last = {number: (max(middle[number], high - newest), high) for number, (_, high) in ends.items()}
        reading.read(consumer, {number: span for number, span in last.items() if span[0] < span[1]})
    if not reading.messages:
        raise kafka.unavailable(settings, reading.trouble or f"no message for {seconds:.0f} s")
    return Sample(tuple(sorted(reading.messages, key=lambda each: each.partition)), tuple(reading.remarks))


class Opened(Protocol):
    """What reading needs of kafka.OpenConsumer."""

    client: Any
    connection: kafka.Connection

    def assign(self, topic: str, offsets: Mapping[int, int]) -> None: ...


class Reading:
    """The messages read so far. `deadline`: of time.monotonic()."""

    def __init__(
        self, settings: Settings, count: int, deadline: float, progress: Progress, most_bytes: int = MOST_BYTES
    ) -> None:
        self._settings = settings
        self._count = count
        self._deadline = deadline
        self._progress = progress
        self._most_bytes = most_bytes
        self._bytes = 0
        self.messages: list[Message] = []
        self.remarks: list[str] = []
        self.trouble = ""

    def read(self, consumer: Opened, spans: dict[int, tuple[int, int]]) -> None:
        """Read the offsets low … high - 1 of each partition, until the sample must end."""
        unread = set(spans)
        consumer.assign(self._settings.topic, {number: low for number, (low, _) in spans.items()})
        while unread and not self.remarks:
            if time.monotonic() > self._deadline:
                self.trouble = consumer.connection.trouble
                self.remarks.append(f"the broker fell silent after {len(self.messages):,} messages")
            for message in consumer.client.consume(500, POLL_SECONDS):
                unread -= self._passed(message, spans)
            self._progress(f"reading {self._settings.topic}: {len(self.messages):,} of {self._count:,} messages")

    def _passed(self, message: KafkaMessage, spans: dict[int, tuple[int, int]]) -> set[int]:
        """Take a message; its partition, if it has no more of them in its span."""
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise kafka.unavailable(self._settings, kafka.plain(error.str()))
        assert partition is not None, "a message and an end have a place"
        assert offset is not None
        if error is not None:
            return {partition}
        high = spans[partition][1]
        if offset < high and not self.remarks:
            self._take(message, partition, offset)
        return {partition} if offset >= high - 1 else set()

    def _take(self, message: KafkaMessage, partition: int, offset: int) -> None:
        value = message.value()
        self._bytes += len(value or b"")
        if self._bytes > self._most_bytes and self.messages:
            limit = f"{self._most_bytes / 1e6:g} MB"
            self.remarks.append(f"only {len(self.messages):,} messages were read: more would exceed {limit}")
            return
        kind, milliseconds = message.timestamp()
        known = kind != TIMESTAMP_NOT_AVAILABLE
        arrival = datetime.fromtimestamp(milliseconds / 1000 if known else time.time(), timezone.utc)
        self.messages.append(Message(value, arrival, f"{partition}:{offset}", partition))
