"""Which parts of the installed plotly.min.js the page's charts need, for ventes.dashboard.chart_script.

    python -m harness.plotly_parts     # after another version of plotly was installed

The file is one function whose statements only declare names: modules, functions, variables. One module registers the
kinds of traces. Of these only TRACES are kept, and of the statements those that are needed from there on. What is
needed is found by name, and never less than that: a name counts wherever it stands in a statement.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ventes.dashboard.chart_script import PARTS, WHOLE

BEGIN = "var Plotly=(()=>{"
TRACES = 1
"""The first module that is registered: bars. Scatter is registered by the core."""
KEPT = ("scatter", "bar")

_NAME = re.compile(r"[A-Za-z_$\x80-\xff][\w$\x80-\xff]*")
_TOKEN = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/"
    rf"|{_NAME.pattern}"
    r"|\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d\w*(?:(?<=[eE])[+-]\d+)?"
    r"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|.",
    re.DOTALL,
)
_PATTERN = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*", re.DOTALL)
"""A regular expression of JavaScript."""
_VALUE = re.compile(rf"{_NAME.pattern}|[\d.)\]}}\"]")
"""What a value ends with: after it "/" divides, after all else and the following words it begins an expression."""
_WORDS = {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "instanceof"}
_REGISTERS = re.compile(r"\.register\(\[((?:[\w$]+\(\),){20,}[\w$]+\(\))\]\)")


@dataclass(frozen=True)
class Statement:
    """From `start` to before `end`: the names in it, and those that it declares."""

    start: int
    end: int
    names: frozenset[str]
    declares: frozenset[str]


def main() -> None:
    parts = keep()
    found = {"sha256": hashlib.sha256(WHOLE.read_bytes()).hexdigest(), "traces": KEPT, "keep": parts}
    PARTS.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    size = sum(end - start for start, end in parts)
    print(f"{PARTS}: {len(parts)} parts, {size:,} of {WHOLE.stat().st_size:,} bytes")


def keep() -> list[tuple[int, int]]:
    """The bytes to keep: (start, end before), in order."""
    text = WHOLE.read_text(encoding="latin-1")  # so that a character is a byte
    begin = text.index(BEGIN) + len(BEGIN)
    statements = list(_Reader(text).statements(begin))
    kept, dropped = _needed(text, statements)
    ranges = [(0, begin)]
    for statement in kept:
        ranges += _without(statement, dropped)
    ranges.append((statements[-1].end, len(text)))
    return _joined(ranges)


def _needed(text: str, statements: list[Statement]) -> tuple[list[Statement], tuple[int, int]]:
    """The statements that are needed, in order, and the part of one of them that names the other traces."""
    owner = {name: statement for statement in statements for name in statement.declares}
    registry = next(each for each in statements if _REGISTERS.search(text, each.start, each.end))
    listed = _REGISTERS.search(text, registry.start, registry.end)
    assert listed is not None
    traces = listed[1].split(",")
    others = frozenset(trace.removesuffix("()") for trace in traces[TRACES:])
    first = listed.start(1) + len(",".join(traces[:TRACES]))
    found: set[Statement] = set()
    wanted = [each for each in statements if text.startswith("return ", each.start)]
    while wanted:
        statement = wanted.pop()
        if statement in found:
            continue
        found.add(statement)
        names = statement.names - others if statement is registry else statement.names
        wanted += [owner[name] for name in names if name in owner]
        # what declares nothing completes what it names first: `define(module, {…})`
        wanted += [each for each in statements if not each.declares and _completes(text, each) in statement.declares]
    return [each for each in statements if each in found], (first, listed.end(1))


def _completes(text: str, statement: Statement) -> str | None:
    found = re.compile(rf"{_NAME.pattern}\(({_NAME.pattern})").match(text, statement.start)
    assert found is not None or text.startswith("return ", statement.start), text[statement.start : statement.end]
    return found[1] if found is not None else None


def _without(statement: Statement, dropped: tuple[int, int]) -> list[tuple[int, int]]:
    start, end = dropped
    if not statement.start <= start < statement.end:
        return [(statement.start, statement.end)]
    return [(statement.start, start), (end, statement.end)]


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


class _Reader:
    """Reads JavaScript as far as statements: texts, regular expressions, comments and brackets."""

    def __init__(self, text: str) -> None:
        self._text = text

    def statements(self, start: int) -> Iterator[Statement]:
        """Those from `start` to the end of the function around them."""
        at, depth, names, declares, declaring = start, 0, set[str](), set[str](), False
        before = ""
        while True:
            token, at = self._next(at, before)
            if token in ("}", ")", "]"):
                depth -= 1
            if depth < 0:
                return
            if _NAME.match(token):
                if depth == 0 and (declaring or before in ("function", "class")):
                    declares.add(token)
                declaring = depth == 0 and token == "var"
                names.add(token)
            elif token == "," and depth == 0 and self._text.startswith("var ", start):
                declaring = True
            if token in ("{", "(", "["):
                depth += 1
            before = token if token.strip() else before
            block = token == "}" and re.match(r"(?:async )?(?:function|class)\b", self._text[start : start + 20])
            if depth == 0 and (token == ";" or block):
                yield Statement(start, at, frozenset(names), frozenset(declares))
                start, names, declares, declaring = at, set(), set(), False

    def _next(self, at: int, before: str) -> tuple[str, int]:
        """The token at `at`, and where the next one begins. A text or regular expression is `"`."""
        if self._text[at] == "`":
            return '"', self._end_of_template(at + 1)
        if self._text[at] == "/" and self._text[at + 1] not in "/*":
            if _VALUE.match(before) and before not in _WORDS:
                return "/", at + 1
            found = _PATTERN.match(self._text, at)
            assert found is not None, self._text[at : at + 80]
            return '"', found.end()
        found = _TOKEN.match(self._text, at)
        assert found is not None
        token = found.group()
        return ('"' if token[0] in "\"'" else " " if token.startswith(("//", "/*")) else token), found.end()

    def _end_of_template(self, at: int) -> int:
        while self._text[at] != "`":
            if self._text.startswith("${", at):
                at = self._end_of_block(at + 2)
            else:
                at += 2 if self._text[at] == "\\" else 1
        return at + 1

    def _end_of_block(self, at: int) -> int:
        depth, before = 0, "{"
        while depth >= 0:
            token, at = self._next(at, before)
            depth += (token in ("{", "(", "[")) - (token in ("}", ")", "]"))
            before = token if token.strip() else before
        return at


if __name__ == "__main__":
    main()
