"""The members of events that become fields, each with its values and doubts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ventes.propose import names
from ventes.propose.kinds import kind_of, with_options
from ventes.propose.paths import Node, tree_of
from ventes.stream.kinds import Field
from ventes.stream.strict_json import to_text

MOST_FIELDS = 100
"""More members stay in `_extra`: the rarest ones."""
RARE = 200
"""A member in fewer than one of so many events stays in `_extra`."""
LIKE_A_MAP = 30
"""An object with more members than this, most of them rare, has data for names: it is kept as JSON."""


@dataclass
class Candidate:
    """A field that is proposed. `remarks`: doubts about it."""

    declared: Field
    node: Node
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def path(self) -> str:
        """Its path in one word, for what its name hints at."""
        return "_".join(self.node.keys)

    @cached_property
    def times(self) -> Counter[str]:
        """Value → how often it occurs."""
        return Counter(to_text(item) for item in self.node.values)

    @property
    def repeated(self) -> int:
        """How many values occur more than once."""
        return sum(times > 1 for times in self.times.values())

    def require(self, events: int) -> None:
        """Make the field required, as an id and a time must be. `events`: how many there are."""
        if self.declared.optional:
            missing = events - len(self.node.items)
            self.declared = replace(self.declared, optional=False)
            self.remarks.append(f"missing in {missing:,} of {events:,} events: these are rejected")


def candidates_of(events: list[dict[str, Any]]) -> tuple[list[Candidate], list[str]]:
    """The fields in the order in which the events have them, and remarks about members that are none."""
    remarks: list[str] = []
    found: list[Candidate] = []
    for node in _leaves(tree_of(events), len(events), remarks):
        column = names.column_for(node.keys, {each.name.lower() for each in found})
        always = len(node.items) == len(events)
        kind = kind_of(column, node, always)
        if kind.field is None:
            remarks += [f"{_shown(node)}: {remark}" for remark in kind.remarks]
            continue
        declared = with_options(kind.field, node.keys, not always)
        found.append(Candidate(declared, node, list(kind.remarks)))
    if len(found) > MOST_FIELDS:
        most = sorted(found, key=lambda each: -len(each.node.items))[:MOST_FIELDS]
        remarks.append(f"{len(found) - MOST_FIELDS} more members stay in _extra; {MOST_FIELDS} fields are proposed")
        found = [each for each in found if each in most]
    return found, remarks


def _leaves(root: Node, events: int, remarks: list[str]) -> Iterator[Node]:
    """The nodes that become fields; adds a remark for each that does not."""
    for node in root.children.values():
        if not node.items:
            continue  # always null
        if why := names.why_not_a_path(node.keys):
            remarks.append(f"{_shown(node)}: left in _extra: {why}")
        elif len(node.items) * RARE < events:
            remarks.append(f"{_shown(node)}: left in _extra: only {len(node.items):,} of {events:,} events have it")
        elif node.children and node.objects * 2 > len(node.items) and not _like_a_map(node):
            if other := len(node.items) - node.objects:
                remarks.append(f"{_shown(node)}: {other:,} values are no objects: such messages are rejected")
            yield from _leaves(node, events, remarks)
        else:
            yield node


def _like_a_map(node: Node) -> bool:
    """Whether the members of the objects are data: many different ones, most of them in few of the objects."""
    if len(node.children) <= LIKE_A_MAP:
        return False
    rare = sum(len(child.items) * 5 < node.objects for child in node.children.values())
    return rare * 2 > len(node.children)


def _shown(node: Node) -> str:
    return ".".join(node.keys)
