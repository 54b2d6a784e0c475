"""What the fast path knows of a message as JSON: that it is one strict object, its known members, and the unknown ones.

DuckDB's parser (yyjson) refuses trailing data, raw control characters and half surrogate pairs, as `judge` does, but
takes a comma before a closing bracket, NaN, and keys more than once. So the query proves for each object:

- no comma is before the brace that ends it (such a text in a string is undecided);
- its keys are different: there are as many as members that were found by their names, or all are compared;
- each value is one that a field's form or fast_extra has decided, which NaN never is.

How unknown members are written: judging/fast_extra.py. Pure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from ventes.judging.fast_extra import BLANK, BLANK_SQL, Names, Unknown, is_written, joined, together
from ventes.stream.fast_form import FastForm, Member
from ventes.stream.kinds import Field
from ventes.stream.sql_text import literal, quoted

MOST_BYTES = 16_384
"""Larger messages go to `judge`."""

_KEY = re.compile(r"[A-Za-z0-9_ -]+")
"""Keys that need no escape in a JSON path."""


def member(field: Field) -> Member:
    """The value of a field in the parsed structure `_f`."""
    kind = f"json_type(_message, {_place(field.keys)})" if all(map(_KEY.fullmatch, field.keys)) else "NULL"
    return Member(_in_structure(field.keys), kind)


def _place(keys: tuple[str, ...]) -> str:
    return literal("$." + ".".join(quoted(key) for key in keys))


def _in_structure(keys: tuple[str, ...]) -> str:
    return ".".join(["_f", *map(quoted, keys)])


@dataclass(frozen=True)
class Node:
    """An object of the message, at the path `way`: its members, which are fields or objects on the way to fields, and
    the members that no field reads, as far as their names are known.

    `number` tells its columns from those of other objects; the message itself has 0.
    """

    way: tuple[str, ...]
    members: dict[str, FastForm | Node]
    optional: frozenset[str]
    number: int
    unknown: tuple[Unknown, ...]

    @classmethod
    def of(cls, forms: dict[Field, FastForm], names: Names = ()) -> Node | None:
        """The message, with these fields and unknown members; None if DuckDB could not tell its keys apart."""
        times = Counter([*(key for field in forms for key in field.keys), *(path[-1] for path in names)])
        once = frozenset(key for key, count in times.items() if count == 1)
        return cls._at((), forms, names, once, count())

    @classmethod
    def _at(
        cls,
        keys: tuple[str, ...],
        forms: dict[Field, FastForm],
        names: Names,
        once: frozenset[str],
        numbers: Iterator[int],
    ) -> Node | None:
        number = next(numbers)
        members: dict[str, FastForm | Node] = {}
        optional = set()
        for field, form in forms.items():
            key = field.keys[len(keys)]
            if len(field.keys) == len(keys) + 1:
                members[key] = form
                optional |= {key} if field.optional else set()
            elif key not in members:
                way = (*keys, key)
                inside = {other: forms[other] for other in forms if other.keys[: len(way)] == way}
                further = tuple(path[1:] for path in names if path[0] == key and len(path) > 1)
                node = cls._at(way, inside, further, once, numbers)
                if node is None or not _KEY.fullmatch(key):
                    return None
                members[key] = node
                optional |= {key} if all(other.optional for other in inside) else set()
        if len({key.lower() for key in members}) < len(members):
            return None  # DuckDB's structures do not distinguish upper and lower case
        unknown = Unknown.below(names, str(number), _in_structure(keys), f"_keys{number}", once, members)
        return cls(keys, members, frozenset(optional), number, unknown)

    def structure(self) -> dict[str, object]:
        """For from_json."""
        known = {
            key: member.structure() if isinstance(member, Node) else member.asked
            for key, member in self.members.items()
        }
        return {**known, **{member.key: "JSON" for member in self.unknown}}

    def inner(self) -> list[Node]:
        """The nested objects, each after those that it holds."""
        return [found for child in self._children() for found in (*child.inner(), child)]

    def _children(self) -> list[Node]:
        return [member for member in self.members.values() if isinstance(member, Node)]

    def _all(self) -> list[Node]:
        """The nested objects, and the message at the end."""
        return [*self.inner(), self]

    def asked(self) -> list[tuple[str, str]]:
        """`_keys<n>`: the keys of the object; NULL if there is something else. Only of a message that could be read."""
        return [(f"_keys{node.number}", node._asked()) for node in self._all()]

    def _asked(self) -> str:
        if not self.way:
            return "json_keys(_message)"
        return f"CASE WHEN _kind{self.number} = 'OBJECT' THEN json_keys(_message, {_place(self.way)}) END"

    def full(self) -> list[tuple[str, str]]:
        """`_full<n>`: that the object has as many keys as members that are not null, if its required ones are not."""
        return [(f"_full{node.number}", node._full()) for node in self._all()]

    def _full(self) -> str:
        members = [str(len(self.members) - len(self.optional))]
        asked = [*sorted(self.optional), *(member.key for member in self.unknown)]
        members += [f"({self._value(key)} IS NOT NULL)::INT" for key in asked]
        return f"len(_keys{self.number}) = {' + '.join(members)}"

    def _value(self, key: str) -> str:
        return _in_structure((*self.way, key))

    def unknown_steps(self) -> list[list[tuple[str, str]]]:
        """The columns of the unknown members; `_extra0`, all of them as one object, NULL if there are none, and whether
        it is `_written` as `judge` does."""
        nodes = [node for node in self._all() if node.unknown]
        if not nodes:
            return []
        members = [(member, f"_full{node.number}") for node in nodes for member in node.unknown]
        return [
            [(BLANK, BLANK_SQL)],
            *together(member.steps(full) for member, full in members),
            [("_extra0", self._extra()), ("_doubt", " + ".join(member.doubt() for member, _ in members))],
            [("_written", is_written("_extra0", "_doubt"))],
        ]

    def _extra(self) -> str:
        members = {member.key: member.written() for member in self.unknown}
        for child in self._children():
            if child._some_unknown():
                key = child.way[-1]
                members[key] = f"{literal(json.dumps(key, ensure_ascii=False) + ':')} || {child._extra()}"
        return f"nullif({joined(members[key] for key in sorted(members))}, '{{}}')" if members else "NULL"

    def exact(self) -> str:
        """That all keys of a message whose required fields have a value are known and different, and what no field
        reads is written."""
        counted = self._each(lambda node: f"CASE WHEN _full{node.number} THEN true ELSE {node._counted()} END")
        return f"{counted} AND {self._written()}"

    def known(self) -> str:
        """`exact`, of any message."""
        return f"{self._each(Node._counted)} AND {self._written()}"

    def _each(self, condition: Callable[[Node], str]) -> str:
        """The condition of each object that is there."""
        inner = (f"(_kind{node.number} = 'NULL' OR {condition(node)})" for node in self.inner())
        return " AND ".join([condition(self), *inner])

    def _some_unknown(self) -> bool:
        return any(node.unknown for node in self._all())

    def _written(self) -> str:
        return "_written" if self._some_unknown() else "true"

    def _counted(self) -> str:
        """As many keys as members that are there: each is there once, and no other one."""
        there = [member.there for member in self.unknown]
        for key, member in self.members.items():
            absent = f"_kind{member.number} = 'NULL'" if isinstance(member, Node) else f"{self._value(key)} IS NULL"
            found = f"list_contains(_keys{self.number}, {literal(key)})::INT"
            there.append(f"CASE WHEN {absent} THEN {found} ELSE 1 END")
        return f"len(_keys{self.number}) = {' + '.join(there)}"

    def decided(self) -> str:
        """That this module takes the message for one strict object, but for the values of its members."""
        is_object = "regexp_matches(_message, '^[ \\t\\n\\r]*[{]')"
        objects = [f"_kind{node.number} IN ('NULL', 'OBJECT')" for node in self.inner()]
        different = self._each(lambda node: f"list_unique(_keys{node.number}) = len(_keys{node.number})")
        return " AND ".join([is_object, *objects, f"CASE WHEN _known THEN true ELSE {different} END"])

    def extra(self) -> str:
        """The result's columns."""
        known = "(_plain OR coalesce(_known, false))"
        extra = f"CASE WHEN {known} THEN _extra0 END" if self._some_unknown() else "CAST(NULL AS VARCHAR)"
        return f"{extra} AS _extra, NOT {known} AS _extra_open"


# -- from the text to the structure -------------------------------------------------------------


def parsed(root: Node) -> list[str]:
    """The relations up to `_parsed`: _row, kafka_ts, _message (NULL if it could not be read), the structure `_f` with
    the asked members, `_keys<n>` and `_full<n>` of each object, `_kind<n>` of the nested ones."""
    inner = root.inner()
    kinds = [f"coalesce(json_type(_message, {_place(node.way)}), 'NULL') AS _kind{node.number}" for node in inner]
    keys = [f"{expression} AS {name}" for name, expression in root.asked()]
    full = [f"{expression} AS {name}" for name, expression in root.full()]
    comma = "regexp_matches(_message, ',[ \\t\\n\\r]*[}]')"
    no_comma = (
        f"NOT {comma}"
        if inner
        else "CASE WHEN suffix(_message, '}')"
        " AND NOT (suffix(_message, ',}') OR suffix(_message, ' }') OR suffix(_message, chr(9) || '}')"
        " OR suffix(_message, chr(10) || '}') OR suffix(_message, chr(13) || '}'))"
        f" THEN true ELSE NOT {comma} END"
    )
    structure = literal(json.dumps(root.structure(), ensure_ascii=False))
    return [
        f"""_objects AS (
  SELECT _row, kafka_ts,
    CASE WHEN strlen(_message) <= {MOST_BYTES} AND NOT contains(_message, '\\u0000') AND {no_comma} THEN _message
    END AS _message
  FROM _messages
)""",
        f"_read AS (SELECT *, TRY(from_json(_message, {structure})) AS _f FROM _objects)",
        # no other function fails on a message that this one takes
        "_taken AS (SELECT * REPLACE (CASE WHEN _f IS NOT NULL THEN _message END AS _message) FROM _read)",
        f"_typed AS (SELECT {', '.join(['*', *kinds])} FROM _taken)",
        f"_asked AS (SELECT *, {', '.join(keys)} FROM _typed)",
        f"_parsed AS (SELECT {', '.join(['*', *full])} FROM _asked)",
    ]
