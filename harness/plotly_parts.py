"""Which parts of the installed plotly.min.js the page's charts need, for ventes.dashboard.chart_script.

    python -m harness.plotly_parts     # after another version of plotly was installed

The file is one function whose statements declare names: modules, functions, variables. One module registers the kinds
of traces. Of these only bars are kept (lines belong to the core), and of the statements those that are needed from
there on. What is needed is found by name, and never less than that: a name counts wherever it stands in a statement.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from ventes.dashboard.chart_script import PARTS, WHOLE

TRACES = ("scatter", "bar")
REGISTERED = 1
"""Bars are the first kind that is registered; what follows is left out."""
_NAMES = {"identifier", "shorthand_property_identifier"}


@dataclass(frozen=True)
class Statement:
    """Its place in bytes, the names in it, those that it declares, and, of `complete(module, {…})`, the module's."""

    start: int
    end: int
    names: frozenset[bytes]
    declares: frozenset[bytes]
    completes: bytes | None


def main() -> None:
    script = WHOLE.read_bytes()
    parts = keep(script)
    found = {"sha256": hashlib.sha256(script).hexdigest(), "traces": TRACES, "keep": parts}
    PARTS.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    size = sum(end - start for start, end in parts)
    print(f"{PARTS}: {len(parts)} parts, {size:,} of {len(script):,} bytes")


def keep(script: bytes) -> list[tuple[int, int]]:
    """The bytes of `script` to keep: (start, end before), in order."""
    root = Parser(Language(tree_sitter_javascript.language())).parse(script).root_node
    assert not root.has_error, "this is no JavaScript that the parser knows"
    made = next(node for node in _below(root) if node.type == "variable_declarator" and _name(node) == b"Plotly")
    body = next(node for node in _below(made) if node.type == "statement_block")
    nodes = [node for node in body.named_children if node.type != "comment"]
    left_out = next(filter(None, map(_other_traces, _below(body))))
    statements = [_statement(node, left_out) for node in nodes]
    ranges = [(0, statements[0].start)]
    for statement in _needed(statements):
        if statement.start <= left_out[0] < statement.end:
            ranges += [(statement.start, left_out[0]), (left_out[1], statement.end)]
        else:
            ranges.append((statement.start, statement.end))
    return _joined([*ranges, (statements[-1].end, len(script))])


def _below(node: Node) -> Iterator[Node]:
    """The nodes below `node` that have a name in the grammar, in the order of the text."""
    cursor, depth = node.walk(), 0
    while True:
        if cursor.goto_first_child():
            depth += 1
        else:
            while not cursor.goto_next_sibling():
                if not depth or not cursor.goto_parent():
                    return
                depth -= 1
                if not depth:
                    return
        if cursor.node is not None and cursor.node.is_named:
            yield cursor.node


def _name(declaration: Node) -> bytes | None:
    name = declaration.child_by_field_name("name")
    return None if name is None else name.text


def _other_traces(node: Node) -> tuple[int, int] | None:
    """The bytes of the other kinds of traces, if the node is `….register([a(), b(), …])`."""
    if node.type != "call_expression":
        return None
    called, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if called is None or arguments is None or not (called.text or b"").endswith(b".register"):
        return None
    kinds = arguments.named_children[0].named_children
    if len(kinds) < 20:  # components and transforms are registered too
        return None
    return kinds[REGISTERED - 1].end_byte, kinds[-1].end_byte


def _statement(node: Node, left_out: tuple[int, int]) -> Statement:
    first = node.named_children[0]
    names = (
        each.text or b""
        for each in _below(node)
        if each.type in _NAMES and not left_out[0] <= each.start_byte < left_out[1]
    )
    declared = [node, *node.named_children] if node.type.endswith("_declaration") else []
    completes = None
    if node.type == "expression_statement":
        arguments = first.child_by_field_name("arguments")
        assert arguments is not None, first.text
        completes = arguments.named_children[0].text
    return Statement(
        node.start_byte,
        node.end_byte,
        frozenset(names),
        frozenset(name for each in declared if (name := _name(each))),
        completes,
    )


def _needed(statements: list[Statement]) -> list[Statement]:
    """Those that the last statement, which returns the whole, needs; in order."""
    owner = {name: statement for statement in statements for name in statement.declares}
    found: set[Statement] = set()
    wanted = [statements[-1]]
    while wanted:
        statement = wanted.pop()
        if statement in found:
            continue
        found.add(statement)
        wanted += [owner[name] for name in statement.names if name in owner]
        wanted += [each for each in statements if each.completes in statement.declares]
    return [each for each in statements if each in found]


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


if __name__ == "__main__":
    main()
