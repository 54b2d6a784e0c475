"""A proposal → the text of its file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from decimal import Decimal
from typing import Any

from ventes.propose.proposal import Proposal
from ventes.stream.declaration import Event, Stream
from ventes.stream.declared import Declared

WIDTH = 120
_INDENT = "    "


def source_text(proposal: Proposal, origin: str) -> str:
    """The file: `loading.load` of it gives the proposed stream. `origin`: from what it was proposed."""
    stream = proposal.stream
    classes = sorted({type(part).__name__ for part in _parts(stream)})
    decimals = "from decimal import Decimal\n\n" if "Decimal(" in _text(stream.event, 0) else ""
    lines = [
        f'"""The events of the topic {stream.topic}, proposed from {origin}.\n',
        "Check each line, above all those with a remark. docs/streams.md explains every argument.",
        '"""\n',
        decimals + _imports(classes),
        *_comments(proposal.remarks.get("", ()), ""),
        "STREAM = Stream(",
        f"    {_text(stream.name, 1)},",
        f"    topic={_text(stream.topic, 1)},",
        *([f"    noun={_text(stream.noun, 1)},"] if stream.noun != Stream.noun else []),
        "    event=Event(",
        f"        id={_text(stream.event.id, 2)},",
        f"        at={_text(stream.event.at, 2)},",
        *_wrapping(stream.event),
        "        fields=(",
    ]
    for field in stream.event.fields:
        lines += _comments(proposal.remarks.get(field.name, ()), _INDENT * 3)
        lines.append(f"{_INDENT * 3}{_text(field, 3)},")
    lines += ["        ),", "    ),", "    tables=("]
    lines += [f"{_INDENT * 2}{_text(table, 2)}," for table in stream.tables]
    return "\n".join([*lines, "    ),", ")", ""])


def _wrapping(event: Event) -> Iterator[str]:
    for name, value in (("frame", event.frame), ("envelope", event.envelope)):
        if value is not None:
            yield f"        {name}={_text(value, 2)},"


def _imports(classes: list[str]) -> str:
    line = f"from ventes.stream import {', '.join(classes)}\n"
    if len(line) <= WIDTH:
        return line
    return "from ventes.stream import (\n" + "".join(f"{_INDENT}{name},\n" for name in classes) + ")\n"


def _comments(remarks: tuple[str, ...], indent: str) -> list[str]:
    """A comment for each remark. A name of the data in it cannot end the comment."""
    return [f"{indent}# remark: {_printable(remark)}" for remark in remarks]


def _parts(value: Any) -> Iterator[Declared]:
    """A part of a declaration and all parts in it."""
    if isinstance(value, Declared):
        yield value
        for part in fields(value):
            yield from _parts(getattr(value, part.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)


def _text(value: Any, depth: int) -> str:
    """A value as Python text; `depth`: the indentation of its first line, in steps of four."""
    if isinstance(value, str):
        return '"' + "".join({'"': '\\"', "\\": "\\\\"}.get(mark) or _printable(mark) for mark in value) + '"'
    if isinstance(value, Decimal):
        return f'Decimal("{value}")'
    if isinstance(value, Declared):
        return _laid_out(type(value).__name__, list(_arguments(value, depth + 1)), depth, trailing=False)
    if isinstance(value, tuple):
        return _laid_out("", [_text(item, depth + 1) for item in value], depth, trailing=len(value) == 1)
    return repr(value)


def _arguments(part: Declared, depth: int) -> Iterator[str]:
    """The arguments that differ from their default; the first two of a measure or table, and a name, by position."""
    positional = {"name", "table"} | ({"field"} if not hasattr(part, "fields") else set())
    parts = sorted((each for each in fields(part) if each.init), key=lambda each: each.name not in ("name", "table"))
    for each in parts:
        value = getattr(part, each.name)
        if each.default is not MISSING and value == each.default:
            continue
        text = _text(value, depth)
        yield text if each.name in positional else f"{each.name}={text}"


def _laid_out(name: str, arguments: list[str], depth: int, *, trailing: bool) -> str:
    one_line = f"{name}({', '.join(arguments)}{',' if trailing else ''})"
    if "\n" not in one_line and len(one_line) + len(_INDENT) * depth + len("measures=,") <= WIDTH:
        return one_line
    inner, outer = _INDENT * (depth + 1), _INDENT * depth
    return f"{name}(\n" + "".join(f"{inner}{argument},\n" for argument in arguments) + f"{outer})"


def _printable(text: str) -> str:
    """Line ends, control characters and those of the writing direction as escapes."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape", "backslashreplace").decode() for mark in text
    )
