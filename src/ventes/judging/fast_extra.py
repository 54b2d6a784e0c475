"""How the fast path writes the members of an object that no field reads, as `judge` does, character for character.

DuckDB takes the known members out of the object (a JSON merge patch) and writes the rest with numbers as a double is
written, in the order of the message. So the query proves of the rest:

- its values are as they were sent: strings, whole numbers, true, false and null always are; numbers with a fraction are
  if the message has the same text, or no number that DuckDB would write differently;
- its keys are different, and in order: it sorts the members of an object if their values are scalars.

What it cannot sort is left to Python (`strict_json.sorted_text`), which also reads it strictly; what may not be as it
was sent is left to `Judge.extra`, which reads the message. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ventes.stream.sql_text import literal

_BLANKS = r"[ \t\n\r]*"
_NAME = r"[^\x00-\x22\\,:{}\[\]]+"
"""A key that sorts before another if `key":value` does, as no character of it is below the quote; and that cannot come
after the quote that ends a string."""
_CHARACTER = r'(?:[^"\\]|\\[^u])'
"""Python writes other control characters than DuckDB's \\u001F."""
_STRING = rf'"(?:[^"\\,]|\\[^u]|{_CHARACTER}+(?:[^"\\,]|\\[^u]))?"'
"""Without a comma at its end, so that each `,"` is between two members."""
_SCALAR = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|true|false|null)"
_MEMBERS = rf'[{{](?:"{_NAME}":{_SCALAR}[,}}])+'
"""An object with scalars, of a JSON text as DuckDB writes it."""
_ONE = rf'[{{]"{_NAME}":(?:{_MEMBERS}|\[(?:{_SCALAR}[,\]])*\]?)[}}]'
"""With one such object, or one list of scalars."""

_OTHERWISE = (
    rf"[:,\[]{_BLANKS}"
    r"(?:-0|-?[0-9]+(?:[.][0-9]+0|[.][0-9]{7,}|[.0-9]*[eE][-+0-9]+)|-?[0-9]{10,}[.][0-9]+)"
    rf"{_BLANKS}[,}}\]]"
)
"""A number that DuckDB may write differently. A double keeps 15 digits, and those from 0.000001 on have no exponent."""


@dataclass(frozen=True)
class Rest:
    """The columns of an object: the message is number 0, and `alone` if it is the only one that has fields."""

    number: int
    alone: bool

    @property
    def text(self) -> str:
        """The object without the known members, equal keys kept; NULL if nothing is left to look at."""
        return f"_rest{self.number}"

    @property
    def parts(self) -> str:
        """Of a simple form: the texts `key":value` that have to be put in order, sorted. NULL for another."""
        return f"_parts{self.number}"

    @property
    def names(self) -> str:
        return f"_names{self.number}"

    @property
    def repeated(self) -> str:
        """Whether two parts have the same key."""
        return f"_repeated{self.number}"

    @property
    def as_sent(self) -> str:
        return f"_as_sent{self.number}"

    @property
    def is_none(self) -> str:
        return f"({self.text} IS NULL OR {self.text} = '{{}}')"

    @property
    def in_one(self) -> str:
        """Whether the parts are those of one unknown object."""
        return f"ends_with({self.text}, '}}}}')"

    @property
    def count(self) -> str:
        """How many members a rest of a simple form has."""
        return f"CASE WHEN {self.in_one} THEN 1 ELSE len({self.parts}) END"

    @property
    def _before(self) -> str:
        """How many characters are before the first quote of the parts of one unknown object."""
        return f"(strpos({self.text}, ':{{') + 1)"

    def parts_sql(self) -> str:
        text = self.text
        members = f"substring({text}, 3, length({text}) - 3)"
        inner = f"substring({text}, {self._before} + 2, length({text}) - {self._before} - 3)"
        several = f"contains({text}, ',\"')"

        def in_order(part: str) -> str:
            return f"list_sort(string_split({part}, ',\"'))"

        return (
            f"CASE WHEN regexp_full_match({text}, {literal(_MEMBERS)})"
            f" THEN CASE WHEN {several} THEN {in_order(members)} ELSE [{members}] END"
            f" WHEN regexp_full_match({text}, {literal(_ONE)})"
            f" THEN CASE WHEN {self.in_one} AND {several} THEN {in_order(inner)} ELSE [{members}] END END"
        )

    def names_sql(self) -> str:
        """The keys of parts that could be repeated."""
        names = f"list_transform({self.parts}, lambda part: split_part(part, '\"', 1))"
        return f"CASE WHEN len({self.parts}) > 1 THEN {names} END"

    def repeated_sql(self) -> str:
        names = self.names
        pairs = f"list_zip({names}[2:], {names})"  # they are sorted: equal ones are neighbours
        same = f"list_contains(list_transform({pairs}, lambda pair: pair[1] = pair[2]), true)"
        return f"CASE WHEN {names} IS NOT NULL THEN {same} WHEN {self.parts} IS NOT NULL THEN false END"

    def as_sent_sql(self) -> str:
        """That the message has the rest's numbers with the same text, and no comma before a bracket in a value."""
        text = self.text
        scalars = f"{self.parts} IS NOT NULL AND NOT {self.in_one} AND NOT ends_with({text}, ']}}')"
        no_comma = f"CASE WHEN {scalars} THEN true ELSE NOT regexp_matches(_message, ',{_BLANKS}[}}\\]]') END"
        # a whole number keeps its digits, but -0 is read as 0
        numbers = " OR ".join(f"contains({text}, '{some}')" for some in (".", ":0", ",0", "[0"))
        found = f"WHEN {self._found()} THEN true " if self.alone else ""
        otherwise = f"regexp_matches(_message, {literal(_OTHERWISE)})"
        return (
            f"CASE WHEN {self.is_none} THEN NULL WHEN NOT ({numbers}) THEN {no_comma}"
            f" {found}WHEN {otherwise} THEN false ELSE {no_comma} END"
        )

    def _found(self) -> str:
        """That the message has the text of all members, one after the other, with or without the usual blanks.

        The text begins after a comma with a key's quote, which cannot be the end of a string there; and ends before a
        comma or a brace. So it is members of an object. That is the message: one in an unknown value of it would be
        deeper than all values in the text, of which this value is one.
        """
        body = f"substring({self.text}, 2, length({self.text}) - 2)"
        spaced = f"replace(replace({body}, ',\"', ', \"'), '\":', '\": ')"
        begins = literal(rf'^[{{]"{_NAME}":')
        known = f"CASE WHEN {self.parts} IS NOT NULL THEN true ELSE regexp_matches({self.text}, {begins}) END"
        found = " ".join(
            f"WHEN contains(_message, {comma} || {members} || '{end}') THEN true"
            for comma, members in (("', '", spaced), ("','", body))
            for end in "},"
        )
        return f"CASE WHEN {known} THEN CASE {found} ELSE false END END"

    def extra_sql(self, inner: dict[str, str]) -> str:
        """A JSON object; NULL for none, or if Python has to read the message. `inner`: the extras of objects in it."""
        joined = f"array_to_string({self.parts}, ',\"')"
        in_order = (
            f"CASE WHEN {self.in_one} THEN left({self.text}, {self._before}) || '\"' || {joined} || '}}}}'"
            f" ELSE '{{\"' || {joined} || '}}' END"
        )
        own = (
            f"CASE WHEN {self.is_none} OR NOT {self.as_sent} THEN NULL"
            f" WHEN {self.parts} IS NULL OR len({self.parts}) = 1 THEN {self.text} ELSE {in_order} END"
        )
        if not inner:
            return own
        known = [f"{literal(key)} || '\":' || {extra}" for key, extra in inner.items()]  # NULL if there is none
        there = f"list_filter([{', '.join(known)}], lambda part: part IS NOT NULL)"
        members = f"list_sort(list_concat(CASE WHEN {self.is_none} THEN [] ELSE {self.parts} END, {there}))"
        some = " OR ".join(f"{extra} IS NOT NULL" for extra in inner.values())
        return f"CASE WHEN {some} THEN '{{\"' || array_to_string({members}, ',\"') || '}}' ELSE {own} END"

    def open_sql(self, inner: dict[str, str]) -> str:
        """Whether Python has to write what is left."""
        own = f"NOT {self.as_sent} OR {self.parts} IS NULL OR {self.repeated}"
        there = {key: f"{extra} IS NOT NULL" for key, extra in inner.items()}
        if inner:
            own += f" OR ({self.in_one} AND ({' OR '.join(there.values())}))"
        unsorted = [some for key, some in there.items() if not re.fullmatch(_NAME, key)]
        return " OR ".join([f"CASE WHEN {self.is_none} THEN false ELSE {own} END", *unsorted])
