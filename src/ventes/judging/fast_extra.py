"""How the fast path writes the members of an object that no field reads, as `judge` does, character for character.

The names are known beforehand, from a sample of the batch (judging/unknown_names.py): producers send the same ones in
every message. So the query asks for each by its name, as JSON text, and joins the texts in the order of the names.
DuckDB writes a text otherwise than it was sent, or than `judge` does, in few ways. So the query proves:

- a value is a string, a number, true, false, null, a list of those, or an object whose names are known too: as many
  keys as were found by their names;
- a number with a fraction, 0 (which may have been -0), a list and an object are in the message with the same text, or
  the message has nothing that DuckDB writes otherwise: such a number, a comma before a bracket;
- nothing is written as \\u001F, as Python writes these in small letters.

All other messages are left to `Judge.extra`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ventes.stream.sql_text import literal, quoted

Names: TypeAlias = "tuple[tuple[str, ...], ...]"
"""Paths of members that no field reads, sorted; with a path, the paths of the objects that it is in."""

_BLANKS = r"[ \t\n\r]*"
_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?"
_LIST = rf"\[(?:(?:{_STRING}|{_NUMBER}|true|false|null)[,\]])*\]?"
_AS_SENT = r"true|false|null|-?[1-9][0-9]*"
"""Texts that can only have been sent so; of a string, that is for its first character to tell."""

_OTHERWISE = (
    rf"[:,\[]{_BLANKS}"
    r"(?:-0|-?[0-9]+(?:[.][0-9]+0|[.][0-9]{7,}|[.0-9]*[eE][-+0-9]+)|-?[0-9]{10,}[.][0-9]+)"
    rf"{_BLANKS}[,}}\]]"
)
"""A number that DuckDB may write differently. A double keeps 15 digits, and those from 0.000001 on have no exponent."""
_COMMA = rf",{_BLANKS}[}}\]]"

BLANK = "_blank"
"""The column with what the message has between a key and its value, if it has no other white space."""
BLANK_SQL = "CASE WHEN contains(_message, '\": ') THEN ' ' ELSE '' END"


@dataclass(frozen=True)
class Unknown:
    """A member that no field reads; `number` tells its columns from those of others.

    `holder`: the structure that it is asked for in; `keys`: the keys of the object that it is in. `alone`: no other
    object of a message has a member of this name, if all names of the message are known.
    """

    key: str
    number: str
    holder: str
    keys: str
    inner: tuple[Unknown, ...]
    alone: bool

    @classmethod
    def below(
        cls, names: Names, number: str, holder: str, keys: str, once: frozenset[str], taken: Iterable[str] = ()
    ) -> tuple[Unknown, ...]:
        """Those of one object, sorted by their names, without what DuckDB could not tell from a name in `taken`."""
        different = {name.lower() for name in taken}
        found = []
        for place, key in enumerate(path[0] for path in names if len(path) == 1):
            if key.lower() in different:
                continue
            different.add(key.lower())
            own = f"{number}_{place}"
            further = tuple(path[1:] for path in names if path[0] == key and len(path) > 1)
            inner = cls.below(further, own, f"_in{own}", f"_keys{own}", once)
            found.append(cls(key, own, holder, keys, inner, key in once))
        return tuple(found)

    @property
    def text(self) -> str:
        """The column with its value as JSON; NULL if it is not there."""
        return f"_text{self.number}"

    @property
    def there(self) -> str:
        return f"({self.text} IS NOT NULL)::INT"

    @property
    def _is_object(self) -> str:
        return f"starts_with({self.text}, '{{')"

    def steps(self, all_found: str = "false") -> list[list[tuple[str, str]]]:
        """Its columns, level by level. `all_found`: a condition that no member of the object has the value null."""
        value = f"{self.holder}.{quoted(self.key)}"
        null = f"{value} IS NULL AND NOT {all_found} AND list_contains({self.keys}, {literal(self.key)})"
        levels = [[(self.text, f"CASE WHEN {null} THEN 'null' ELSE CAST({value} AS VARCHAR) END")]]
        if not self.inner:
            return levels
        asked = literal(json.dumps(dict.fromkeys((member.key for member in self.inner), "JSON"), ensure_ascii=False))
        levels.append(
            [
                (f"_in{self.number}", f"CASE WHEN {self._is_object} THEN from_json({self.text}, {asked}) END"),
                (f"_keys{self.number}", f"CASE WHEN {self._is_object} THEN json_keys({self.text}) END"),
            ]
        )
        return levels + together(member.steps() for member in self.inner)

    def written(self) -> str:
        """The member as `judge` writes it; NULL if it is not there."""
        text = self.text
        if self.inner:
            text = (
                f"CASE WHEN {self._is_object} THEN {joined(member.written() for member in self.inner)} ELSE {text} END"
            )
        return f"{literal(json.dumps(self.key, ensure_ascii=False) + ':')} || {text}"

    def doubt(self) -> str:
        """0: its text is as it was sent. 1: that is for the message to tell. NULL: only Python can write it."""
        text, found = self.text, self._found()
        as_sent = f"({text} >= '\"' AND {text} < '#') OR regexp_full_match({text}, '{_AS_SENT}')"
        simple = (
            f"WHEN {text} IS NULL OR {as_sent} THEN 0"
            f" WHEN regexp_full_match({text}, {literal(f'{_NUMBER}|{_LIST}|[{{][}}]')}) THEN {found}"
        )
        if not self.inner:
            return f"CASE {simple} END"
        known = f"len(_keys{self.number}) = {' + '.join(member.there for member in self.inner)}"
        inner = " + ".join(member.doubt() for member in self.inner)
        whole = f"CASE WHEN {known} AND ({inner}) IS NOT NULL THEN {found} END"
        return f"CASE WHEN {self._is_object} THEN {whole} {simple} END"

    def _found(self) -> str:
        """0 if the message has the member with the same text, with or without the usual blanks; else 1.

        The name has no quote and no backslash and begins with a letter or digit, so the quotes in front of it and
        behind it are those of a key. A text with a bracket at its end is all of the value; a number is if it is
        followed by a comma or a brace.
        """
        if not self.alone:
            return "1"
        key, text = literal(f'"{self.key}":'), self.text
        spaced = f"replace(replace({text}, ',', ',' || {BLANK}), '\":', '\":' || {BLANK})"
        whole = f"contains(_message, {key} || {BLANK} || {spaced})"
        ended = " OR ".join(f"contains(_message, {key} || {BLANK} || {text} || '{end}')" for end in ",}")
        return f"CASE WHEN CASE WHEN {text} >= '[' THEN {whole} ELSE {ended} END THEN 0 ELSE 1 END"


def together(steps: Iterable[list[list[tuple[str, str]]]]) -> list[list[tuple[str, str]]]:
    """The levels of several, side by side."""
    levels: list[list[tuple[str, str]]] = []
    for own in steps:
        levels += [[] for _ in range(len(own) - len(levels))]
        for level, columns in zip(levels, own, strict=False):
            level += columns
    return levels


def joined(members: Iterable[str]) -> str:
    """An object of these members, in this order, without those that are NULL."""
    return f"('{{' || concat_ws(',', {', '.join(members)}) || '}}')"


def is_written(extra: str, doubt: str) -> str:
    """That the column `extra` is what `judge` writes; `doubt` is a column with the sum of the members' doubts."""
    otherwise = f"regexp_matches(_message, {literal(_OTHERWISE)}) OR regexp_matches(_message, {literal(_COMMA)})"
    return (
        f"CASE WHEN {extra} IS NULL THEN true WHEN contains({extra}, '\\u') THEN false WHEN {doubt} = 0 THEN true"
        f" WHEN {doubt} > 0 THEN NOT ({otherwise}) ELSE false END"
    )
