"""Which of the fields are the id, the time and the dimensions of the event. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from ventes.propose import names
from ventes.propose.fields import Candidate
from ventes.propose.kinds import as_instant, with_options
from ventes.propose.paths import Node
from ventes.propose.sample import Message
from ventes.stream.event_time import in_range
from ventes.stream.kinds import Field, Instant, Integer, Text

MOST_DIMENSIONS = 5
MOST_VALUES = 50
"""Of a dimension: a page can offer so many to choose from."""
NEARLY_ALWAYS = 0.95
"""Share of the events that must have a member that may be the id or the time."""
REPEATED = 0.05
"""Share of the values that may occur again in a field that is called like an id."""
IN_ORDER = 0.9
"""Share of the events that are not before the one before them, where the time is that of the event."""

_UTC = ZoneInfo("UTC")


class Roles:
    """The fields with their roles. `sources`: the message of each event."""

    def __init__(self, stream: str, found: list[Candidate], sources: Sequence[Message]) -> None:
        self._stream = stream
        self._sources = sources
        self.candidates = found
        self.at = self._choose_time()
        self.id = self._choose_id()
        self._choose_dimensions()

    @property
    def moments(self) -> list[datetime]:
        """The times of the events, where they can be read."""
        return [moment for each in self.candidates if each.name == self.at for _, moment in _moments(each)]

    def _nearly_always(self, candidate: Candidate) -> bool:
        return len(candidate.node.items) >= NEARLY_ALWAYS * len(self._sources)

    def _placeholder(self, declared: Field, what: str) -> str:
        """A field that no event has: the declaration loads, and its remark says what to change."""
        name = names.column_for((declared.name,), {candidate.name.lower() for candidate in self.candidates})
        remark = f"no field looks like {what}: name the one that is; until then every message is rejected"
        self.candidates.append(Candidate(replace(declared, name=name), Node((name,)), [remark]))
        return name

    # -- the time -------------------------------------------------------------------------------

    def _choose_time(self) -> str:
        times = [each for each in self.candidates if isinstance(each.declared, Instant) and self._nearly_always(each)]
        times = times or list(self._by_magnitude())
        if not times:
            return self._placeholder(Instant("at"), "a time")
        best = max(times, key=self._time_score)
        self.candidates = [best if each.node is best.node else each for each in self.candidates]
        best.require(len(self._sources))
        others = [each.name for each in times if each is not best]
        if others:
            best.remarks.append(f"the time of the event; {', '.join(others)} could be too")
        if self._in_order(best) < IN_ORDER:
            best.remarks.append("does not ascend from message to message: is it the time of the event?")
        return best.name

    def _by_magnitude(self) -> Iterator[Candidate]:
        """Whole numbers that may be times, as such."""
        for candidate in self.candidates:
            instant = as_instant(candidate.declared, candidate.node.values, self._sources[0].arrival)
            if instant is not None and self._nearly_always(candidate):
                declared = with_options(instant, candidate.node.keys, candidate.declared.optional)
                remark = f"looks like a time in {instant.form} by its magnitude alone"
                yield Candidate(declared, candidate.node, [remark])

    def _time_score(self, candidate: Candidate) -> tuple[float, int, float]:
        """Usable as a time of the event, called like one, ascending: in this order."""
        moments = _moments(candidate)
        usable = sum(in_range(moment, self._sources[number].arrival) for number, moment in moments)
        share = round(usable / len(candidate.node.items), 1)
        return share, names.time_rank(candidate.node.keys[-1]), self._in_order(candidate)

    def _in_order(self, candidate: Candidate) -> float:
        """The share of events that are not before the one before them, within a partition."""
        pairs = [
            (before, after)
            for (one, before), (other, after) in pairwise(_moments(candidate))
            if self._sources[one].partition == self._sources[other].partition
        ]
        return sum(before <= after for before, after in pairs) / len(pairs) if pairs else 1.0

    # -- the id ---------------------------------------------------------------------------------

    def _choose_id(self) -> str:
        possible = [
            each for each in self.candidates if type(each.declared) in (Integer, Text) and self._nearly_always(each)
        ]
        good = [each for each in possible if each.repeated == 0 or self._may_be_an_id(each)]
        if not good:
            return self._placeholder(Text("id"), "an id")
        best = max(good, key=lambda each: (self._called_an_id(each), -each.repeated, -len(each.node.keys)))
        best.require(len(self._sources))
        if best.repeated:
            best.remarks.append(f"not unique: {best.repeated} values occur again; the later events are no new ones")
        elif not self._called_an_id(best):
            best.remarks.append("unique in these messages, but not called like an id: is it never used twice?")
        return best.name

    def _may_be_an_id(self, candidate: Candidate) -> bool:
        return bool(self._called_an_id(candidate)) and candidate.repeated <= REPEATED * len(candidate.node.items)

    def _called_an_id(self, candidate: Candidate) -> int:
        return names.id_rank(candidate.path, self._stream)

    # -- dimensions -----------------------------------------------------------------------------

    def _choose_dimensions(self) -> None:
        few = [each for each in self.candidates if each.name != self.id and _few_texts(each)]
        for candidate in sorted(few, key=lambda each: len(each.times))[:MOST_DIMENSIONS]:
            candidate.declared = replace(candidate.declared, dimension=True)


def _moments(candidate: Candidate) -> list[tuple[int, datetime]]:
    """(number of the event, its time), where it can be read."""
    read = candidate.declared.reader(_UTC)
    results = ((number, read(item)) for number, item in candidate.node.items)
    return [(number, moment) for number, (moment, wrong) in results if not wrong]


def _few_texts(candidate: Candidate) -> bool:
    """Whether its values are few, and each stands for many events."""
    if not isinstance(candidate.declared, Text) or names.id_rank(candidate.path, "") == 3:
        return False
    times = candidate.times
    return 2 <= len(times) <= MOST_VALUES and len(times) * 5 <= len(candidate.node.items) and max(map(len, times)) <= 60
