"""Strict JSON: bytes → the members of one object, or the reason why there is none. Pure.

Uses the standard parser, with additional rules: no second value, no NaN or Infinity, no repeated key, limited nesting;
and a number stays the text that was sent, so that nothing is rounded and no digit limit applies.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, NoReturn

MAX_DEPTH = 100
"""Depth of nested arrays and objects. A fixed limit, because the parser's own limit depends on the depth of the call
stack, and a verdict must be the same in every process."""

BLANKS = " \t\n\r"
"""JSON's white space; no other character counts as blank around a value."""


class Number(str):
    """A JSON number, as its text."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object with repeated keys: these have no value here, only a name in `keys_repeated`."""

    keys_repeated: frozenset[str]


class Refused(Exception):
    """The message is not one JSON object. `reason` is the contract's code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_object(value: bytes | None) -> dict[str, Any]:
    """The members of the one JSON object that `value` holds; a `Repeated` if the top level has a key twice.

    Values are None, bool, str, Number, list and dict. Raises Refused with one of
    empty, not_utf8, not_json, not_object, trailing_data.
    """
    try:
        text = (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    text = text.strip(BLANKS)
    if not text:
        raise Refused("empty")
    if _too_deep(text):
        raise Refused("not_json")
    try:
        parsed, end = _DECODER.raw_decode(text)
    except ValueError:
        raise Refused("not_json") from None
    if end < len(text):
        # a scalar or array with something after it is not one of our messages: not_json only
        raise Refused("trailing_data" if isinstance(parsed, dict) else "not_json")
    if not isinstance(parsed, dict):
        raise Refused("not_object")
    return parsed


def has_repeated_key(value: Any) -> bool:
    """Whether an object anywhere in `value` has a key twice."""
    if isinstance(value, Repeated):
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_repeated_key(item) for item in items if isinstance(item, (dict, list)))


def to_text(value: Any) -> str:
    """A canonical JSON text: compact, keys sorted, numbers as they were sent."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(key)}:{to_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    return _CONSTANTS[value]


def is_unicode(text: str) -> bool:
    """False if an escape such as \\ud800 is half of a surrogate pair, which no UTF-8 column can hold."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def plain_object(value: bytes | None) -> dict[str, Any]:
    """The members of an object whose numbers can be Python's own, int and float: faster than `parse_object`.

    Raises ValueError for anything else: a repeated key, a number that Python writes differently, maybe too deep.
    """
    text = (value or b"").decode("utf-8")
    if text.count("[") + text.count("{") > MAX_DEPTH:
        raise ValueError("maybe too deep")
    members = _SAME.decode(text)
    if not isinstance(members, dict):
        raise ValueError("no object")
    return members


def sorted_text(members: dict[str, Any]) -> str:
    """`to_text` of what `plain_object` found. Raises ValueError for half a surrogate pair; "" for no member."""
    text = _SORTED.encode(members) if members else ""
    if not is_unicode(text):
        raise ValueError("half a surrogate pair")
    return text


_CONSTANTS = {None: "null", True: "true", False: "false"}


def _quoted(text: str) -> str:
    return encode_basestring(text) if is_unicode(text) else encode_basestring_ascii(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    times = Counter(key for key, _ in pairs)
    once = Repeated((key, item) for key, item in pairs if times[key] == 1)
    once.keys_repeated = frozenset(key for key, count in times.items() if count > 1)
    return once


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=Number, parse_float=Number, parse_constant=_no_constant
)


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a repeated key")
    return members


def _same_float(text: str) -> float:
    number = float(text)
    if repr(number) != text:
        raise ValueError(f"{text} is {number!r} in Python")
    return number


def _same_int(text: str) -> int:
    if text == "-0":
        raise ValueError("-0 is 0 in Python")
    return int(text)


_SAME = json.JSONDecoder(
    object_pairs_hook=_different, parse_int=_same_int, parse_float=_same_float, parse_constant=_no_constant
)
_SORTED = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))

# A string that is not closed ends at the end of the text, so that each character is read once.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def _too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in "]}":
            depth -= 1
    return False
