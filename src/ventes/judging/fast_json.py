"""What the fast path knows of a message as JSON: that it is one strict object, its known members, and the unknown ones.

DuckDB's parser (yyjson) refuses trailing data, raw control characters and half surrogate pairs, as `judge` does, but
takes a comma before a closing bracket, NaN, and keys more than once. So the query proves for each object:

- no comma is before the brace that ends it (such a text in a string is undecided);
- its keys are different: as many are known as there are members that are not NULL, or all are compared;
- each value is one that a field's form or fast_extra has decided, which NaN never is.

How unknown members are written: judging/fast_extra.py. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from ventes.judging.fast_extra import Rest
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
    """An object of the message, at the path `way`: its members, which are fields or objects on the way to fields.

    `number` tells its columns from those of other objects; the message itself has 0.
    """

    way: tuple[str, ...]
    members: dict[str, FastForm | Node]
    optional: frozenset[str]
    number: int

    @property
    def rest(self) -> Rest:
        return Rest(self.number, alone=self.number == 0 and not self._children())

    @classmethod
    def of(cls, forms: dict[Field, FastForm]) -> Node | None:
        """The message, with these fields; None if DuckDB could not tell its keys apart."""
        return cls._at((), forms, count())

    @classmethod
    def _at(cls, keys: tuple[str, ...], forms: dict[Field, FastForm], numbers: Iterator[int]) -> Node | None:
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
                node = cls._at(way, inside, numbers)
                if node is None or not _KEY.fullmatch(key):
                    return None
                members[key] = node
                optional |= {key} if all(other.optional for other in inside) else set()
        if len({key.lower() for key in members}) < len(members):
            return None  # DuckDB's structures do not distinguish upper and lower case
        return cls(keys, members, frozenset(optional), number)

    def structure(self) -> dict[str, object]:
        """For from_json."""
        return {
            key: member.structure() if isinstance(member, Node) else member.asked
            for key, member in self.members.items()
        }

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

    # -- the steps for odd messages; <n> is the number of the object ------------------------------

    def counts(self) -> list[tuple[str, str]]:
        """`_present<n>`: how many of the known members are there, and not null."""
        return [(f"_present{node.number}", node._present()) for node in self._all()]

    def _present(self) -> str:
        return " + ".join(
            f"(_kind{member.number} <> 'NULL')::INT" if isinstance(member, Node) else f"(NOT {member.absent})::INT"
            for member in self.members.values()
        )

    def rests(self) -> list[tuple[str, str]]:
        """`_rest<n>`: the object without the members that fields read; NULL if none is left, or it is no object."""
        return [(node.rest.text, node._rest()) for node in self._all()]

    def _rest(self) -> str:
        keys, present = f"_keys{self.number}", f"_present{self.number}"
        known = ", ".join(map(literal, self.members))
        # where a member is missing or null, asking for its key is cheaper than taking the members out for nothing
        only_known = f"len(list_filter({keys}, lambda key: key NOT IN ({known}))) = 0"
        # RFC 7396: a member that is null in the patch is removed
        patch = literal(json.dumps(dict.fromkeys(self.members), ensure_ascii=False))
        whole = f"json_extract(_message, {_place(self.way)})" if self.way else "_message"
        return (
            f"CASE WHEN {keys} IS NULL OR len({keys}) = {present}"
            f" OR CASE WHEN {present} < {len(self.members)} THEN {only_known} ELSE false END"
            f" THEN NULL ELSE CAST(json_merge_patch({whole}, {patch}) AS VARCHAR) END"
        )

    def parts(self) -> list[tuple[str, str]]:
        return [(node.rest.parts, node.rest.parts_sql()) for node in self._all()]

    def keys(self) -> list[tuple[str, str]]:
        """The keys of what is left, `_names<n>` if it has parts, else `_new<n>`; and whether it is as it was sent."""
        return [
            column
            for node in self._all()
            for column in (
                (node.rest.names, node.rest.names_sql()),
                (f"_new{node.number}", f"CASE WHEN {node.rest.parts} IS NULL THEN json_keys({node.rest.text}) END"),
                (node.rest.as_sent, node.rest.as_sent_sql()),
            )
        ]

    def repeated(self) -> list[tuple[str, str]]:
        return [(node.rest.repeated, node.rest.repeated_sql()) for node in self._all()]

    def differences(self) -> list[tuple[str, str]]:
        """`_different<n>`: that the keys of the object are different, or that there is none."""
        return [(f"_different{node.number}", node._different()) for node in self._all()]

    def _different(self) -> str:
        rest, keys, new, present = self.rest, *(f"_{name}{self.number}" for name in ("keys", "new", "present"))
        none = f"WHEN _kind{self.number} = 'NULL' THEN true " if self.way else ""
        # as many known keys as members that are there: each is there once
        return (
            f"CASE {none}WHEN len({keys}) = {present} THEN true"
            f" WHEN {rest.parts} IS NOT NULL AND len({keys}) = {present} + {rest.count}"
            f" THEN {rest.in_one} OR NOT {rest.repeated}"
            f" WHEN {rest.parts} IS NULL AND len({keys}) = {present} + len({new}) THEN list_unique({new}) = len({new})"
            f" ELSE list_unique({keys}) = len({keys}) END"
        )

    def decided(self) -> str:
        """That this module takes the message for one strict object, but for the values of its members."""
        is_object = "regexp_matches(_message, '^[ \\t\\n\\r]*[{]')"
        return " AND ".join([is_object, *(f"_different{node.number}" for node in self._all())])

    def extras(self) -> list[list[tuple[str, str]]]:
        """Steps: `_extra<n>`, the members that no field reads, and `_open<n>`, whether Python has to write them, each
        object's after those in it."""
        return [node._extra() for node in self._all()]

    def _extra(self) -> list[tuple[str, str]]:
        inner = {child.way[-1]: f"_extra{child.number}" for child in self._children()}
        return [
            (f"_extra{self.number}", self.rest.extra_sql(inner)),
            (f"_open{self.number}", self.rest.open_sql(inner)),
        ]

    def extra(self) -> str:
        """The result's columns."""
        is_open = " OR ".join(f"coalesce(_open{node.number}, false)" for node in self._all())
        extra = f"_extra{self.number}"
        if not self.rest.alone:  # some of it may be left out
            extra = f"CASE WHEN {is_open} THEN NULL ELSE {extra} END"
        return f"{extra} AS _extra, {is_open} AS _extra_open"


# -- from the text to the structure -------------------------------------------------------------


def parsed(root: Node) -> list[str]:
    """The relations up to `_parsed`: _row, kafka_ts, _message (NULL if it could not be read), the structure `_f` with
    the asked members, `_keys0`, for nested objects `_keys<n>` and `_kind<n>`, and `_exact`: known keys only."""
    proofs = [_exact_keys(root)]
    inner = root.inner()
    kinds = [f"coalesce(json_type(_message, {_place(node.way)}), 'NULL') AS _kind{node.number}" for node in inner]
    keys = [f"{expression} AS {name}" for name, expression in root.asked()]
    for node in inner:
        kind = f"_kind{node.number}"
        proofs.append(f"({kind} = 'NULL' OR {kind} = 'OBJECT' AND {_exact_keys(node)})")
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
        f"_parsed AS (SELECT *, {' AND '.join(proofs)} AS _exact FROM _asked)",
    ]


def _exact_keys(node: Node) -> str:
    """That the object has known keys only, each at most once; of one whose required members have a value."""
    members = [str(len(node.members) - len(node.optional))]
    members += [f"({_in_structure((*node.way, key))} IS NOT NULL)::INT" for key in sorted(node.optional)]
    return f"len(_keys{node.number}) = {' + '.join(members)}"
