"""The offsets at which reading the topic continues, from the topic and Bronze's position. Used by both engines.

Pure decisions, except `read_topic`. The rule: never skip a message silently and never read one twice. If the topic is
not the one that was read (created again, expired beyond Bronze's position, shorter than before), `resume` raises
SourceChanged; the user decides with `ventes recover`, which records `gaps_to_accept`, and `resume` then succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ventes import kafka
from ventes.config import Settings
from ventes.errors import BrokerUnavailable, SourceChanged, VentesError
from ventes.lake.accepted_gaps import AcceptedGaps, Gap, stamp
from ventes.lake.positions import Position


class Interrupted(VentesError):
    """Reading ended; topic and table must be compared again."""


Ends = Mapping[tuple[str, int], int]
"""(topic_id, partition) → an offset that the partition has reached (exclusive)."""

NOTHING: Ends = {}

RECOVER = "`ventes recover` says what it would do, and continues"
CONFIRM_SECONDS = 3.0
"""Seconds before a difference of the topic is checked a second time: a cluster that is losing brokers can give wrong
answers without an error."""


@dataclass(frozen=True)
class Topic:
    """The topic on the broker now."""

    name: str
    kafka_id: str
    ranges: Mapping[int, tuple[int, int]]
    """partition → (first offset still there, offset the next message will get)."""


@dataclass(frozen=True)
class Resume:
    """Where reading continues."""

    topic_id: str
    """The label: the value of Bronze's `topic_id`."""
    kafka_id: str
    """Kafka's topic id, which must not change while reading."""
    offsets: Mapping[int, int]
    """partition → first offset to read, for every partition of the topic."""
    unrecorded: tuple[Gap, ...] = ()
    """Messages that expired before this lake first read the topic: record them as accepted gaps before reading."""


@dataclass(frozen=True)
class Difference:
    """One difference of the topic on which a user must decide."""

    kind: str
    """created_anew, expired or shrunk."""
    text: str
    partition: int | None = None


def read_topic(settings: Settings, admin: kafka.Admin | None = None, *, committed: bool = True) -> Topic:
    """Ask the broker (over `admin`, if one is open). Raises BrokerUnavailable if it or the topic is not available.

    `committed`: the range ends at the first open transaction; else it includes it.
    """
    if admin is None:
        with kafka.Admin(settings) as own:
            return read_topic(settings, own, committed=committed)
    kafka_id = admin.topic_id()
    ranges = admin.end_offsets(committed=committed)
    if kafka_id is None or not ranges or admin.topic_id() != kafka_id:
        raise BrokerUnavailable(
            f"the broker at {settings.kafka.bootstrap} has no topic {settings.topic!r} now",
            "the producer creates it; `ventes status` shows whether it runs",
        )
    return Topic(settings.topic, kafka_id, ranges)


def confirmed(
    settings: Settings,
    admin: kafka.Admin,
    table: Position,
    accepted: AcceptedGaps,
    seen: Ends = NOTHING,
    pause: Callable[[float], object] = time.sleep,
) -> Topic:
    """The topic on the broker; asked a second time, by another client, if the answer would stop a job.

    Raises BrokerUnavailable.
    """
    topic = read_topic(settings, admin)
    if differences(topic, table, accepted, seen):
        pause(CONFIRM_SECONDS)
        admin.renew()
        topic = read_topic(settings, admin, committed=False)
    return topic


def differences(topic: Topic, table: Position, accepted: AcceptedGaps, seen: Ends = NOTHING) -> list[Difference]:
    """The differences that prevent reading; empty if there are none. `seen`: the offsets planned in a checkpoint."""
    label = accepted.label(topic.kafka_id)
    if table and not _known(label, table, accepted):
        held = ", ".join(sorted({name for name, _ in table}))
        return [
            Difference(
                "created_anew",
                f"topic {topic.name!r} was deleted and created anew, or is another cluster's: "
                f"its id is {topic.kafka_id}, Bronze holds {held}",
            )
        ]
    if not _known(label, table, accepted):
        return []
    found = []
    read = {partition for name, partition in table if name == label}
    for partition in sorted(read | set(topic.ranges)):
        following = _following(label, partition, table, accepted)
        reached = max(following, seen.get((label, partition), 0))
        low, high = topic.ranges.get(partition, (0, 0))
        if following < low:
            text = f"partition {partition}: offsets {following}..{low - 1} expired before they were read"
            found.append(Difference("expired", text, partition))
        elif reached > high:
            text = f"partition {partition} had offsets up to {reached - 1}, now it ends before {high}: its end was lost"
            found.append(Difference("shrunk", text, partition))
    return found


def resume(topic: Topic, table: Position, accepted: AcceptedGaps, now: datetime, seen: Ends = NOTHING) -> Resume:
    """The offsets at which to continue. Raises SourceChanged if the topic is not the one that was read."""
    found = differences(topic, table, accepted, seen)
    if found:
        raise SourceChanged("; ".join(difference.text for difference in found), RECOVER)
    label = accepted.label(topic.kafka_id)
    if _known(label, table, accepted):
        offsets = {partition: _following(label, partition, table, accepted) for partition in sorted(topic.ranges)}
        return Resume(label, topic.kafka_id, offsets)
    offsets = {partition: low for partition, (low, _) in sorted(topic.ranges.items())}
    expired = tuple(
        Gap(label, topic.kafka_id, partition, 0, low - 1, "expired before this lake first read the topic", stamp(now))
        for partition, low in offsets.items()
        if low > 0
    )
    return Resume(label, topic.kafka_id, offsets, expired)


def gaps_to_accept(
    topic: Topic, table: Position, accepted: AcceptedGaps, now: datetime, seen: Ends = NOTHING
) -> list[Gap]:
    """The gaps that must be recorded so that `resume` accepts the present topic; empty if it does already."""
    found = differences(topic, table, accepted, seen)
    label = accepted.label(topic.kafka_id)
    kinds = {difference.kind for difference in found}
    if "created_anew" in kinds:
        return [
            Gap(label, topic.kafka_id, partition, 0, low - 1, "topic deleted and created anew", stamp(now))
            for partition, (low, _) in sorted(topic.ranges.items())
        ]
    if "shrunk" in kinds:
        # Kafka assigns offsets again that Bronze already has: the new messages need another label.
        fresh = _next_label(label, topic.kafka_id)
        gaps = []
        for partition, (low, high) in sorted(topic.ranges.items()):
            following = min(max(_following(label, partition, table, accepted), low), high)
            why = f"the log lost its end; earlier messages stand under topic_id {label}"
            gaps.append(Gap(fresh, topic.kafka_id, partition, 0, following - 1, why, stamp(now)))
        return gaps
    return [
        Gap(
            label,
            topic.kafka_id,
            difference.partition,
            _following(label, difference.partition, table, accepted),
            topic.ranges[difference.partition][0] - 1,
            "expired before it was read",
            stamp(now),
        )
        for difference in found
        if difference.partition is not None
    ]


def lag(topic: Topic, following: Mapping[int, int]) -> int:
    """Messages not read yet, where `following` is partition → next offset to read."""
    return sum(max(0, high - following.get(partition, low)) for partition, (low, high) in topic.ranges.items())


def _known(label: str, table: Position, accepted: AcceptedGaps) -> bool:
    return accepted.accepts(label) or any(name == label for name, _ in table)


def _following(label: str, partition: int, table: Position, accepted: AcceptedGaps) -> int:
    return max(table.get((label, partition), -1), accepted.last(label, partition)) + 1


def _next_label(label: str, kafka_id: str) -> str:
    number = int(label.rpartition("~")[2]) + 1 if label != kafka_id else 2
    return f"{kafka_id}~{number}"
