"""What the fast path knows of a message as JSON: that it is one strict object, its known members, and the unknown ones.

DuckDB's parser (yyjson) refuses trailing data, raw control characters and half surrogate pairs, as `judge` does, but
takes a comma before a closing bracket, NaN, and keys more than once. So the query proves for each object:

- no comma is before the brace that ends it (such a text in a string is undecided);
- its keys are different: as many are known as there are members that are not NULL, or all are compared;
- each value is one that a field's form or this module has decided, which NaN never is.

Unknown members are written by DuckDB where it writes them as `judge` does, character for character: strings, whole
numbers, true, false, null, and numbers with a fraction whose text is found in the message. Others are left open, and
Python writes them (`Judge.extra`), which also reads the message strictly. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from ventes.stream.fast_form import FastForm, Member
from ventes.stream.kinds import Field
from ventes.stream.sql_text import literal, quoted

MOST_BYTES = 16_384
"""Larger messages go to `judge`."""

_KEY = re.compile(r"[A-Za-z0-9_ -]+")
"""Keys that need no escape in a JSON path."""
_FEW = 3
"""Up to so many unknown members are asked for one by one."""


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

    def keys(self) -> list[tuple[str, str]]:
        """`_new<n>`: the keys that no field reads; NULL if there is something else than an object."""
        return [(f"_new{node.number}", node._new()) for node in self._all()]

    def _new(self) -> str:
        keys, present = f"_keys{self.number}", f"_present{self.number}"
        known = ", ".join(map(literal, self.members))
        none = f"len({keys}) = {present}" + (f" OR _kind{self.number} = 'NULL'" if self.way else "")
        return f"CASE WHEN {none} THEN []::VARCHAR[] ELSE list_filter({keys}, lambda key: key NOT IN ({known})) END"

    def differences(self) -> list[tuple[str, str]]:
        """`_different<n>`: that the keys of the object are different, or that there is none."""
        return [(f"_different{node.number}", node._different()) for node in self._all()]

    def _different(self) -> str:
        keys, new, present = f"_keys{self.number}", f"_new{self.number}", f"_present{self.number}"
        none = f"WHEN _kind{self.number} = 'NULL' THEN true " if self.way else ""
        # as many known keys as members that are there: each is there once
        return (
            f"CASE {none}WHEN len({keys}) - len({new}) = {present} THEN CASE WHEN len({new}) <= 1 THEN true"
            f" ELSE list_unique({new}) = len({new}) END ELSE list_unique({keys}) = len({keys}) END"
        )

    def decided(self) -> str:
        """That this module takes the message for one strict object, but for the values of its members."""
        is_object = "regexp_matches(_message, '^[ \\t\\n\\r]*[{]')"
        return " AND ".join([is_object, *(f"_different{node.number}" for node in self._all())])

    def maps(self) -> list[tuple[str, str]]:
        """`_few<n>`: whether the unknown members are asked for one by one. `_map<n>`: key → JSON text, if they are not.

        One costs 0.5 µs, as each reads the message again, a map 1.6. Equal keys in a map are an error, which TRY does
        not catch everywhere in DuckDB 1.5: it is made of different ones only.
        """
        return [column for node in self._all() for column in node._maps()]

    def _maps(self) -> list[tuple[str, str]]:
        new, number = f"_new{self.number}", self.number
        plain = f"regexp_full_match(array_to_string({new}, ','), {literal(f'{_KEY.pattern}(,{_KEY.pattern})*')})"
        few = f"len({new}) <= {_FEW} AND {plain}"
        many = f"_different{number} AND len({new}) > 0 AND NOT ({few})"
        text = f"""TRY(from_json({self._text(many)}, '"MAP(VARCHAR, JSON)"'))"""
        return [(f"_few{number}", f"CASE WHEN len({new}) > 0 THEN {few} END"), (f"_map{number}", text)]

    def _text(self, condition: str) -> str:
        """The object's text, where the condition is true."""
        text = f"CASE WHEN {condition} THEN _message END"
        return f"json_extract({text}, {_place(self.way)})" if self.way else text

    def extras(self) -> list[list[tuple[str, str]]]:
        """Steps: `_unknown<n>`, the members that no field reads; `_open<n>`, whether Python has to write them; then
        `_extra<n>`, each object's after those in it."""
        lists = [(f"_unknown{node.number}", node._unknown()) for node in self._all()]
        opens = [(f"_open{node.number}", _is_open(node.number)) for node in self._all()]
        return [lists, opens, *([(f"_extra{node.number}", node._extra())] for node in self._all())]

    def _unknown(self) -> str:
        known = ", ".join(map(literal, self.members))
        path = " || ".join([literal("$." + "".join(f"{quoted(key)}." for key in self.way) + '"'), "key", "'\"'"])
        one = f"{{'key': key, 'value': json_extract(_message, {path})}}"
        return (
            f"CASE WHEN _few{self.number} AND _different{self.number}"
            f" THEN list_transform(_new{self.number}, lambda key: {one})"
            f" WHEN _map{self.number} IS NOT NULL"
            f" THEN list_filter(map_entries(_map{self.number}), lambda member: member.key NOT IN ({known})) END"
        )

    def _extra(self) -> str:
        """A JSON object, keys sorted; NULL for none."""
        members, some = f"_unknown{self.number}", [f"len(_unknown{self.number}) > 0"]
        for child in self._children():
            inside = f"_extra{child.number}"
            entry = f"[{{'key': {literal(child.way[-1])}, 'value': {inside}::JSON}}]"
            members = f"list_concat({members}, CASE WHEN {inside} IS NOT NULL THEN {entry} END)"
            some.append(f"{inside} IS NOT NULL")
        written = "to_json(member.key) || ':' || coalesce(member.value, 'null')"
        text = f"'{{' || array_to_string(list_transform(list_sort({members}), lambda member: {written}), ',') || '}}'"
        return f"CASE WHEN {' OR '.join(some)} THEN {text} END"

    def extra(self) -> str:
        """The result's columns."""
        some = [f"coalesce(_open{node.number}, false)" for node in self._all()]
        return f"_extra{self.number} AS _extra, {' OR '.join(some)} AS _extra_open"


def _is_open(number: int) -> str:
    """Whether an unknown member of the object is not certainly written as `judge` writes it, or was not found."""
    members, new = f"_unknown{number}", f"_new{number}"
    value, key = "member.value", "to_json(member.key)"
    # Python writes other control characters than DuckDB's \\u001F; and the text may hold \\u itself
    plain_key = f"NOT contains({key}, '\\u')"
    minus_zero = "regexp_matches(_message, '-0[ \\t\\n\\r,}]')"  # it is read as 0
    # CASE: the conditions on the message are evaluated only where they are needed
    written = (
        f"CASE WHEN {value} IS NULL OR {value} IN ('true', 'false', 'null') THEN true"
        f" WHEN starts_with({value}, '\"') THEN NOT contains({value}, '\\u')"
        f" WHEN regexp_full_match({value}, '-?[1-9][0-9]*') THEN true"
        f" WHEN {value} = '0' THEN NOT {minus_zero} ELSE {_as_sent()} END"
    )
    return (
        f"CASE WHEN len({new}) = 0 THEN false WHEN len({members}) = len({new})"
        f" THEN len(list_filter({members}, lambda member: NOT ({plain_key} AND coalesce({written}, false)))) > 0"
        " ELSE true END"
    )


def _as_sent() -> str:
    """That a number with a fraction was sent with the text that DuckDB writes, which is the shortest of its double.

    The message has one object, whose keys are different, and in it the text `"key":number`: no backslash is before it,
    so it is a member's key, and the number ends there.
    """
    key = "'\"' || member.key || '\"'"
    found = " ".join(
        f"WHEN contains(_message, {key} || {colon} || member.value || {end}) THEN true"
        for end in ("','", "'}'", "chr(10)", "chr(13)")
        for colon in ("': '", "':'")
    )
    return (
        "CASE WHEN NOT regexp_full_match(member.value, '-?[0-9]+[.][0-9]+') THEN false"
        " WHEN NOT regexp_full_match(member.key, '\\w+') OR _message LIKE '%{%{%' THEN false"
        f" WHEN contains(_message, '\\' || {key}) THEN false {found} ELSE false END"
    )


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
