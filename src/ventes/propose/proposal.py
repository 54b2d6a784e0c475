"""Fields, id, time, dimensions and aggregates → a Stream, with a remark for each doubt. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ventes.propose import names
from ventes.propose.kinds import as_instant, kind_of, with_options
from ventes.propose.paths import Node, tree_of
from ventes.propose.sample import Message
from ventes.propose.wrapping import Wrapping, wrapping_of
from ventes.stream.declaration import Aggregate, Event, Stream
from ventes.stream.event_time import in_range
from ventes.stream.kinds import Decimals, Field, Instant, Integer, Money, Text
from ventes.stream.measures import ByDay, ByMinute, Count, Mean, Measure, Sum
from ventes.stream.strict_json import Refused, has_repeated_key, to_text

MOST_FIELDS = 100
"""More members stay in `_extra`: the rarest ones."""
MOST_DIMENSIONS = 5
MOST_NUMBERS = 2
"""Numbers that the proposed aggregates sum."""
FINEST_SUMMED = 4
"""Decimals of a number that is summed."""
RARE = 200
"""A member in fewer than one of so many events stays in `_extra`."""
NEARLY_ALWAYS = 0.95
"""Share of the events that must have a member that may be the id or the time."""
LIKE_A_MAP = 30
"""An object with more members than this, most of them rare, has data for names: it is kept as JSON."""
SHORT_SECONDS = 2 * 86_400
"""Events that span less than this are grouped by minute, others by day."""

_UTC = ZoneInfo("UTC")


@dataclass
class Candidate:
    """A field that is proposed, with its values and doubts."""

    declared: Field
    node: Node
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.declared.name


@dataclass(frozen=True)
class Proposal:
    """`remarks`: by the name of their field; those under "" are about no single field."""

    stream: Stream
    wrapping: Wrapping
    remarks: dict[str, tuple[str, ...]]


def propose(name: str, topic: str, messages: Sequence[Message]) -> Proposal | None:
    """The declaration that fits these messages best; None if none of them holds an event.

    Raises DeclarationError for a name or a topic that cannot be used.
    """
    Stream("x", topic, Event("id", "at", (Text("id"), Instant("at"))))  # the topic's name, before the work
    wrapping = wrapping_of(message.value for message in messages)
    events, sources = _events(messages, wrapping)
    if not events:
        return None
    found = _Fields(name, events, sources)
    found.choose()
    event = Event(found.id, found.at, tuple(candidate.declared for candidate in found.candidates))
    tables = tuple(_tables(name, found, event))
    remarks = {candidate.name: tuple(candidate.remarks) for candidate in found.candidates if candidate.remarks}
    return Proposal(Stream(name, topic, event, tables), wrapping, {"": tuple(found.remarks), **remarks})


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


class _Fields:
    """The fields of the events, and which of them are the id, the time and the dimensions."""

    def __init__(self, stream: str, events: list[dict[str, Any]], sources: list[Message]) -> None:
        self._stream = stream
        self._count = len(events)
        self._sources = sources
        self.remarks: list[str] = []
        self.candidates: list[Candidate] = []
        taken: set[str] = set()
        for node in self._leaves(tree_of(events)):
            column = names.column_for(node.keys, taken)
            kind = kind_of(column, node)
            if kind.field is None:
                self.remarks += [f"{_shown(node)}: {remark}" for remark in kind.remarks]
                continue
            taken.add(column.lower())
            declared = with_options(kind.field, node.keys, len(node.items) < self._count)
            self.candidates.append(Candidate(declared, node, list(kind.remarks)))
        self._drop_the_rarest()
        self.id = self.at = ""

    def choose(self) -> None:
        self.at = self._choose_time()
        self.id = self._choose_id()
        self._choose_dimensions()

    def moments_of(self, name: str) -> list[datetime]:
        """The times in a field, where they can be read."""
        return [moment for each in self.candidates if each.name == name for _, moment in self._moments(each)]

    # -- which members are fields ---------------------------------------------------------------

    def _leaves(self, root: Node) -> Iterator[Node]:
        """The nodes that become fields, in the order in which the events have them."""
        for node in root.children.values():
            if not node.items:
                continue  # always null
            if why := names.why_not_a_path(node.keys):
                self.remarks.append(f"{_shown(node)}: left in _extra: {why}")
            elif len(node.items) * RARE < self._count:
                self.remarks.append(
                    f"{_shown(node)}: left in _extra: only {len(node.items)} of {self._count:,} events have it"
                )
            elif node.children and node.objects > len(node.items) / 2 and not _like_a_map(node):
                yield from self._leaves(node)
            else:
                yield node

    def _drop_the_rarest(self) -> None:
        if len(self.candidates) <= MOST_FIELDS:
            return
        kept = sorted(self.candidates, key=lambda each: -len(each.node.items))[:MOST_FIELDS]
        dropped = [each for each in self.candidates if each not in kept]
        self.candidates = [each for each in self.candidates if each in kept]
        self.remarks.append(f"{len(dropped)} more members stay in _extra; {MOST_FIELDS} fields are proposed")

    def _nearly_always(self, candidate: Candidate) -> bool:
        return len(candidate.node.items) >= NEARLY_ALWAYS * self._count

    def _require(self, candidate: Candidate) -> None:
        """Make the field required: the id and the time must be."""
        if candidate.declared.optional:
            missing = self._count - len(candidate.node.items)
            candidate.declared = replace(candidate.declared, optional=False)
            candidate.remarks.append(f"missing in {missing:,} of {self._count:,} events: these are rejected")

    def _placeholder(self, declared: Field, what: str) -> str:
        """A field that no event has: the declaration loads, and its remark says what to change."""
        taken = {candidate.name.lower() for candidate in self.candidates}
        name = names.column_for((declared.name,), taken)
        remark = f"no field looks like {what}: name the one that is; until then every message is rejected"
        self.candidates.append(Candidate(replace(declared, name=name), Node((name,)), [remark]))
        return name

    # -- the time -------------------------------------------------------------------------------

    def _choose_time(self) -> str:
        times = [each for each in self.candidates if isinstance(each.declared, Instant) and self._nearly_always(each)]
        if not times:
            times = list(self._by_magnitude())
        if not times:
            return self._placeholder(Instant("at"), "a time")
        best = max(times, key=self._time_score)
        self.candidates = [best if each.node is best.node else each for each in self.candidates]
        self._require(best)
        others = [each.name for each in times if each is not best]
        if others:
            best.remarks.append(f"the time of the event; {', '.join(others)} could be too")
        if self._in_order(best) < 0.9:
            best.remarks.append("does not ascend from message to message: is it the time of the event?")
        return best.name

    def _by_magnitude(self) -> Iterator[Candidate]:
        """Whole numbers that may be times, as such."""
        for candidate in self.candidates:
            arrival = self._sources[0].arrival
            instant = as_instant(candidate.declared, candidate.node.values, arrival)
            if instant is not None and self._nearly_always(candidate):
                declared = with_options(instant, candidate.node.keys, candidate.declared.optional)
                unit = instant.form
                yield Candidate(declared, candidate.node, [f"looks like a time in {unit} by its magnitude alone"])

    def _time_score(self, candidate: Candidate) -> tuple[float, int, float]:
        usable = self._moments(candidate)
        near = sum(in_range(moment, self._sources[number].arrival) for number, moment in usable)
        return (
            round(near / max(1, len(candidate.node.items)), 1),
            names.time_rank(candidate.node.keys[-1]),
            self._in_order(candidate),
        )

    def _moments(self, candidate: Candidate) -> list[tuple[int, datetime]]:
        """(number of the event, its time), where it can be read."""
        read = candidate.declared.reader(_UTC)
        results = ((number, read(item)) for number, item in candidate.node.items)
        return [(number, moment) for number, (moment, wrong) in results if not wrong]

    def _in_order(self, candidate: Candidate) -> float:
        """The share of events that are not before the one before them, within a partition."""
        moments = self._moments(candidate)
        pairs = [
            (before, after)
            for (one, before), (other, after) in pairwise(moments)
            if self._sources[one].partition == self._sources[other].partition
        ]
        return sum(before <= after for before, after in pairs) / len(pairs) if pairs else 1.0

    # -- the id ---------------------------------------------------------------------------------

    def _choose_id(self) -> str:
        possible = [
            each for each in self.candidates if type(each.declared) in (Integer, Text) and self._nearly_always(each)
        ]
        good = [each for each in possible if _repeated(each) == 0 or self._named_id(each)]
        good = [each for each in good if _repeated(each) <= len(each.node.items) / 20]
        if not good:
            return self._placeholder(Text("id"), "an id")
        best = max(good, key=lambda each: (self._named_id(each), -_repeated(each), -len(each.node.keys)))
        self._require(best)
        if times := _repeated(best):
            best.remarks.append(f"not unique: {times} values occur again; the later events are no new ones")
        elif not self._named_id(best):
            best.remarks.append("unique in these messages, but not called like an id: is it never used twice?")
        if isinstance(best.declared, Text) and best.declared.values:
            best.declared = replace(best.declared, values=())
        return best.name

    def _named_id(self, candidate: Candidate) -> int:
        return names.id_rank("_".join(candidate.node.keys), self._stream)

    # -- dimensions -----------------------------------------------------------------------------

    def _choose_dimensions(self) -> None:
        few = [each for each in self.candidates if each.name != self.id and _few_texts(each)]
        for candidate in sorted(few, key=lambda each: len(_times(each)))[:MOST_DIMENSIONS]:
            candidate.declared = replace(candidate.declared, dimension=True)


def _few_texts(candidate: Candidate) -> bool:
    """Whether a page can offer its values to choose from."""
    if not isinstance(candidate.declared, Text) or names.id_rank("_".join(candidate.node.keys), "") == 3:
        return False
    times = _times(candidate)
    return 2 <= len(times) <= 50 and len(times) * 5 <= len(candidate.node.items) and max(map(len, times)) <= 60


def _times(candidate: Candidate) -> Counter[str]:
    return Counter(to_text(item) for item in candidate.node.values)


def _repeated(candidate: Candidate) -> int:
    """How many values occur more than once."""
    return sum(times > 1 for times in _times(candidate).values())


def _like_a_map(node: Node) -> bool:
    """Whether the members of the objects are data: many different ones, most of them in few of the objects."""
    if len(node.children) <= LIKE_A_MAP:
        return False
    rare = sum(len(child.items) * 5 < node.objects for child in node.children.values())
    return rare * 2 > len(node.children)


def _shown(node: Node) -> str:
    return ".".join(node.keys)


# -- aggregates -------------------------------------------------------------------------------


def _tables(stream: str, found: _Fields, event: Event) -> Iterator[Aggregate]:
    """A table for each dimension, and one over time."""
    measures = tuple(_measures(event))
    taken = {f"{stream}_clean", f"{stream}_rejets"}
    for declared in event.read:
        if declared.dimension:
            table = names.column_for((stream, "par", declared.name), taken)
            taken.add(table.lower())
            yield Aggregate(table, by=(declared.name,), measures=_without(measures, declared.name))
    moments = found.moments_of(found.at)
    short = bool(moments) and (max(moments) - min(moments)).total_seconds() < SHORT_SECONDS
    grain = ByMinute() if short else ByDay()
    table = names.column_for((stream, "par", "minute" if short else "jour"), taken)
    yield Aggregate(table, by=(grain,), measures=_without(measures, grain.column))


def _measures(event: Event) -> Iterator[Measure]:
    """The number of events; sum and mean of the numbers that mean most."""
    yield Count("nombre")
    numbers = [each for each in event.read if each.name != event.id and _can_be_summed(each)]
    order = {Money: 0, Decimals: 1, Integer: 2}
    for declared in sorted(numbers, key=lambda each: order[type(each)])[:MOST_NUMBERS]:
        yield Sum(f"{declared.name}_total", declared.name)
        yield Mean(f"{declared.name}_moyenne", declared.name)


def _without(measures: tuple[Measure, ...], key: str) -> tuple[Measure, ...]:
    return tuple(measure for measure in measures if measure.name.lower() != key.lower())


def _can_be_summed(declared: Field) -> bool:
    """Whether a sum means something: not of ids, nor of numbers as fine as coordinates."""
    if not declared.is_number or names.id_rank("_".join(declared.keys), "") >= 2:
        return False
    return not isinstance(declared, Decimals) or declared.scale <= FINEST_SUMMED
