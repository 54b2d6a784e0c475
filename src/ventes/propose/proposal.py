"""Messages → a declaration, with a remark for each doubt. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ventes.propose import names
from ventes.propose.fields import candidates_of
from ventes.propose.roles import Roles
from ventes.propose.sample import Message
from ventes.propose.wrapping import Wrapping, wrapping_of
from ventes.stream.declaration import Aggregate, Event, Stream
from ventes.stream.grains import ByDay, ByMinute
from ventes.stream.kinds import Decimals, Field, Instant, Integer, Money, Text
from ventes.stream.measures import Count, Mean, Measure, Sum
from ventes.stream.strict_json import Refused, has_repeated_key

MOST_SUMMED = 2
"""Numbers that the proposed aggregates sum."""
FINEST_SUMMED = 4
"""Decimals of a number that is summed."""
SHORT_SECONDS = 2 * 86_400
"""Events that span less than this are grouped by minute, others by day."""


@dataclass(frozen=True)
class Proposal:
    """`remarks`: by the name of their field; those under "" are about no single field."""

    stream: Stream
    remarks: dict[str, tuple[str, ...]]


def propose(name: str, topic: str, messages: Sequence[Message]) -> Proposal | None:
    """The declaration that fits these messages best; None if none of them holds an event.

    Raises DeclarationError for a name or a topic that cannot be used.
    """
    Stream(name, topic, Event("id", "at", (Text("id"), Instant("at"))))  # refused before the work
    wrapping = wrapping_of(message.value for message in messages)
    events, sources = _events(messages, wrapping)
    if not events:
        return None
    found, remarks = candidates_of(events)
    roles = Roles(name, found, sources)
    event = Event(
        roles.id,
        roles.at,
        tuple(candidate.declared for candidate in roles.candidates),
        frame=wrapping.frame,
        envelope=wrapping.envelope,
    )
    doubts = {candidate.name: tuple(candidate.remarks) for candidate in roles.candidates if candidate.remarks}
    tables = tuple(_tables(name, event, roles))
    noun = names.noun_of(name) or Stream.noun
    return Proposal(Stream(name, topic, event, tables, noun=noun), {"": tuple(remarks), **doubts})


def _events(messages: Sequence[Message], wrapping: Wrapping) -> tuple[list[dict[str, Any]], list[Message]]:
    """The events in the messages, and the message of each."""
    events, sources = [], []
    for message in messages:
        try:
            event = wrapping.open(message.value)
        except Refused:
            continue
        if not has_repeated_key(event):
            events.append(event)
            sources.append(message)
    return events, sources


def _tables(stream: str, event: Event, roles: Roles) -> Iterator[Aggregate]:
    """A table for each dimension, and one over time."""
    measures = tuple(_measures(event))
    taken = {"bronze", f"{stream}_clean", f"{stream}_rejets"}
    for declared in event.read:
        if declared.dimension:
            table = names.column_for((stream, "par", declared.name), taken)
            taken.add(table.lower())
            yield Aggregate(table, by=(declared.name,), measures=_without(measures, declared.name))
    moments = roles.moments
    short = bool(moments) and (max(moments) - min(moments)).total_seconds() < SHORT_SECONDS
    grain = ByMinute() if short else ByDay()
    table = names.column_for((stream, "par", grain.unit), taken)
    yield Aggregate(table, by=(grain,), measures=_without(measures, grain.column))


def _measures(event: Event) -> Iterator[Measure]:
    """The number of events; sum and mean of the numbers that mean most."""
    yield Count("nombre")
    numbers = [each for each in event.read if each.name != event.id and _can_be_summed(each)]
    order = {Money: 0, Decimals: 1, Integer: 2}
    # what all events have comes first: a fee of some of them is not what an event is worth
    for declared in sorted(numbers, key=lambda each: (each.optional, order[type(each)]))[:MOST_SUMMED]:
        yield Sum(f"{declared.name}_total", declared.name)
        yield Mean(f"{declared.name}_moyenne", declared.name)


def _can_be_summed(declared: Field) -> bool:
    """Whether a sum means something: not of ids, nor of numbers as fine as coordinates."""
    if not declared.is_number or names.id_rank("_".join(declared.keys), "") >= 2:
        return False
    return not isinstance(declared, Decimals) or declared.scale <= FINEST_SUMMED


def _without(measures: tuple[Measure, ...], key: str) -> tuple[Measure, ...]:
    """Without a measure that is called like the key."""
    return tuple(measure for measure in measures if measure.name.lower() != key.lower())
