"""Which values occur at which path of the events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ventes.stream.strict_json import Number

DEEPEST = 6
"""Objects below this depth are kept as JSON."""


@dataclass
class Node:
    """A path and its values. `items`: (number of the event, value), without null and blank texts."""

    keys: tuple[str, ...]
    items: list[tuple[int, Any]] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def values(self) -> list[Any]:
        return [item for _, item in self.items]

    @property
    def objects(self) -> int:
        """How many of the values are objects."""
        return sum(isinstance(item, dict) for item in self.values)


def tree_of(events: Iterable[dict[str, Any]]) -> Node:
    """The root of all paths in these events."""
    root = Node(())
    for number, event in enumerate(events):
        _add(root, number, event)
    return root


def _add(node: Node, number: int, item: Any) -> None:
    if _absent(item):
        return
    node.items.append((number, item))
    if isinstance(item, dict) and len(node.keys) < DEEPEST:
        for key, inner in item.items():
            child = node.children.setdefault(key, Node((*node.keys, key)))
            _add(child, number, inner)


def _absent(item: Any) -> bool:
    """Whether it counts as missing, as in every kind: null, or a blank text."""
    return item is None or (isinstance(item, str) and not isinstance(item, Number) and not item.strip())
