"""Declarations drawn at random, and messages for them: valid, odd and broken. For property tests of the verdict.

A message is built as text, because the interesting ones are no JSON that a library would write.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeAlias

from hypothesis import strategies as st

from harness.messages import UNKNOWN, UNKNOWN_KEYS
from ventes.stream.declaration import Event, Stream
from ventes.stream.kinds import Boolean, Day, Decimals, Field, Instant, Integer, Json, Money, Text

Draw: TypeAlias = Any
Tree: TypeAlias = "dict[str, Tree | str]"
"""Key → the JSON text of its value, or an object."""

KEYS = ("a", "B", "a b", "c-d", "é", 'q"t', "it's", "$x", "a*", "k_1", "0")
OBJECTS = ("o", "Obj", "p q", "o-1")
PATTERNS = (
    r"[A-Z]{2}[0-9]{3}", r"\d{2,4}", r"[a-z_.-]+@[a-z]+\.(fr|com)", r"(?:a|b)*c?", r"\w+ \w+", r".{1,5}", r"x\s?y",
)  # fmt: skip
ODD_PATTERNS = (r"[^a]+", r"(?i)ab", r"a$", r"\bfoo\b", r"(a)\1", r"é+")
"""RE2 refuses them, or takes them for other texts."""
TEXTS = (
    "FR123", "12", "1234", "٣٤", "a.b@x.fr", "abc", "x\ny", "x\u00a0y", "foo", "aa", "AB", "éé", "Zoé D", "a\n", "a",
)  # fmt: skip

NUMBERS = (
    "0", "-0", "1", "-1", "7", "7.0", "7e0", "1E2", "0.1e1", "1.5", "-2.25", "0.005", "12.345", "59.96999999999999",
    "9999999999.99", "9999999999.9899989", "8589934591.99", "8589934592.01", "123456.123456789", "999.999999999",
    "99.99999999900000001", "0.000000001", "1e400", "1e-400", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "18446744073709551615", "123456789012345678901234567890.5",
    "1767600000", "1767600000123", "1767600000123456", "1767600000123456789", "-5", "32503680000", "NaN", "Infinity",
    "01", "+1", ".5", "5.", "100000.00001", "100000.000001", "-12.3400000000001",
)  # fmt: skip
STRINGS = (
    "", " ", "\u00a0", "\u3000x", "true", "false", "True", "null", "infinity", "-infinity", "epoch", "2026-01-05",
    "2026-02-30", "0000-01-01", "9999-12-31", "10000-01-01", "2026-1-5", "2026-01-05T09:59:58Z",
    "2026-01-05 09:59:58.123456789+05:30", "2026-01-05T09:59:58", "2999-12-31T23:59:59Z", "1999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:00", "2026-01-05T24:00:00Z", "2026-01-05T09:59:58z", "a", "b" * 10, "é" * 10, "é" * 11,
    "x\\y", 'q"x', ",}", "{,}", ", }", "[1,]", "a\0b", "\t", "1_000", "0x1", " 1", "1 ", "1\n", "😀",
)  # fmt: skip
OTHERS = (
    "null", "true", "false", "{}", "[]", "[1,2]", "[1,]", '{"a":1}', '{"a":1,"a":2}', '{"a":1,}', '"\\ud83d"',
    '"a\\u0000b"', '"\\u0031"', '"\\u00e9"', "nul", "'x'", "/*x*/1", '"\\"', "",
)  # fmt: skip


@st.composite
def declarations(draw: Draw) -> Stream:
    """A stream of two to eight fields of any kind, some optional, some nested."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=8, max_size=8, unique=True))
    nested = draw(st.lists(st.sampled_from(OBJECTS), min_size=2, max_size=2, unique=True))
    others = draw(st.integers(0, 6))
    fields = [
        draw(_integers("id_", keys[0], False)) if draw(st.booleans()) else draw(_texts("id_", keys[0], False)),
        draw(_instants("quand", keys[1], False)),
    ]
    for number in range(others):
        where = draw(st.sampled_from(((), (), nested[:1], nested[1:], nested)))
        path = ".".join([*where, keys[2 + number]])
        kind = draw(st.sampled_from((_integers, _decimals, _money, _texts, _booleans, _instants, _days, _jsons)))
        fields.append(draw(kind(f"f{number}", path, draw(st.booleans()))))
    order = draw(st.permutations(fields))
    return Stream("essai", topic="essai", event=Event(id="id_", at="quand", fields=tuple(order)))


def _integers(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    limits = st.sampled_from(((-(2**63), 2**63 - 1), (1, 2**53 - 1), (0, 10), (-5, 5)))
    return limits.map(lambda two: Integer(name, path=path, optional=optional, least=two[0], most=two[1]))


@st.composite
def _decimals(draw: Draw, name: str, path: str, optional: bool) -> Field:
    most = draw(st.sampled_from((Decimal(9_999_999_999), Decimal(10) ** 16 - 1, Decimal("99.5"))))
    least = draw(st.sampled_from((-most, Decimal(0), Decimal("0.25"))))
    return Decimals(name, path=path, optional=optional, scale=draw(st.integers(0, 9)), least=least, most=most)


def _money(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    least = st.sampled_from((Decimal("0.01"), Decimal(5)))
    return least.map(lambda amount: Money(name, path=path, optional=optional, least=amount))


@st.composite
def _texts(draw: Draw, name: str, path: str, optional: bool) -> Field:
    values = draw(st.sampled_from(((), (), ("a", "FR123", "é' \""), ("a\0b", "abc"))))
    odd = draw(st.integers(0, 15)) == 0
    pattern = draw(st.sampled_from(ODD_PATTERNS) if odd else st.none() | st.sampled_from(PATTERNS))
    if values and draw(st.integers(0, 3)):
        pattern = None  # seldom both: few texts satisfy them
    most = draw(st.sampled_from((10, 10, 200, 10_000)))
    return Text(name, path=path, optional=optional, most=most, values=values, pattern=pattern)


def _booleans(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    return st.just(Boolean(name, path=path, optional=optional))


def _instants(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    forms = st.sampled_from(("iso", "iso", "s", "ms", "us", "ns"))
    return forms.map(lambda form: Instant(name, path=path, optional=optional, form=form))


def _days(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    return st.just(Day(name, path=path, optional=optional))


def _jsons(name: str, path: str, optional: bool) -> st.SearchStrategy[Field]:
    rarely = st.integers(0, 7).map(lambda number: optional or number > 0)  # required, it leaves all messages to judge
    return rarely.map(lambda absent: Json(name, path=path, optional=absent))


# -- messages -----------------------------------------------------------------------------------


@st.composite
def messages(draw: Draw, stream: Stream) -> bytes:
    """A message for the stream. Most have one thing at most that is odd, so that nothing else hides what it does."""
    oddity = draw(st.sampled_from(("none", "none", "value", "value", "value", "values", "object", "text")))
    fields = stream.event.read
    odd = {"value": 1, "values": 3}.get(oddity, 0)
    strange = draw(st.lists(st.sampled_from(fields), min_size=min(odd, 1), max_size=odd))
    tree: Tree = {}
    for field in fields:
        if field in strange:
            _put(tree, field.keys, draw(_odd()))
        elif not field.optional or draw(st.integers(0, 3)):
            _put(tree, field.keys, draw(_valid(field)))
    place = draw(st.integers(0, 3)) if oddity == "object" else -1
    text = _object(draw, tree, [place])
    if oddity == "text":
        piece = draw(st.sampled_from((",", "}", "{", '"', " ", "\n", "\\", ",}", "null", "\t", ':"', "\u00a0")))
        at = draw(st.integers(0, len(text)))
        text = text[:at] + piece + text[at + draw(st.integers(0, 2)) :]
    return text.encode("utf-8", "surrogatepass")


def _object(draw: Draw, tree: Tree, countdown: list[int]) -> str:
    """The object as text. The object that the countdown reaches at 0 is damaged, or has members that no field reads."""
    damaged = countdown[0] == 0
    countdown[0] -= 1
    pairs = []
    for key, item in tree.items():
        text = _object(draw, item, countdown) if isinstance(item, dict) else item
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        pairs.append(name + draw(st.sampled_from((":", ": ", "\n :\t"))) + text)
    end = draw(st.sampled_from(("", "", "", " ", "\n")))
    if damaged:
        way = draw(st.sampled_from(("comma", "member", "other", "unknown", "unknown", "unknown")))
        if way == "other":
            return draw(st.sampled_from(OTHERS))
        if way == "comma":
            end = draw(st.sampled_from((",", ", ", ",\n\t")))
        elif way == "member":
            extra = draw(st.sampled_from((*pairs, '"inconnu":1', '"A":2', '"O":{}', f'"{next(iter(tree))}":null')))
            pairs.insert(draw(st.integers(0, len(pairs))), extra)
        else:
            for _ in range(draw(st.integers(1, 5))):
                extra = json.dumps(draw(st.sampled_from(UNKNOWN_KEYS))) + ":" + draw(st.sampled_from(UNKNOWN))
                pairs.insert(draw(st.integers(0, len(pairs))), extra)
    return "{" + draw(st.sampled_from((",", ", ", "\n,\r\n  "))).join(pairs) + end + "}"


def _put(tree: Tree, keys: Sequence[str], text: str) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        assert isinstance(inner, dict)
        tree = inner
    tree[keys[-1]] = text


def _odd() -> st.SearchStrategy[str]:
    texts = st.sampled_from((*STRINGS, *TEXTS)) | st.datetimes().map(datetime.isoformat) | st.sampled_from(NUMBERS)
    return st.sampled_from(NUMBERS) | st.sampled_from(OTHERS) | texts.map(json.dumps)


def _valid(field: Field) -> st.SearchStrategy[str]:
    """A value that is likely to be valid, as a number or its text where the kind takes both."""
    if isinstance(field, Integer):
        return _number_or_text(st.integers(max(field.least, -(10**15)), min(field.most, 10**15)).map(str))
    if isinstance(field, Decimals):
        low, high = (int(bound * 10**field.scale) for bound in (field.least, field.most))
        scaled = st.integers(max(low, -(10**13)), min(high, 10**13)) | st.integers(low, high)
        plain = scaled.map(lambda number: f"{Decimal(number).scaleb(-field.scale):f}")
        return _number_or_text(plain | plain.map(float).map(repr))
    if isinstance(field, Boolean):
        return st.sampled_from(("true", "false", '"true"', '"false"'))
    if isinstance(field, Day):
        return st.dates().map(lambda day: json.dumps(day.isoformat()))
    if isinstance(field, Json):
        return st.sampled_from(("{}", "[1, 2.50]", '{"z": 1e2, "a": null}'))
    if isinstance(field, Instant):
        return _instant_text(field.form)
    assert isinstance(field, Text)
    if field.values:
        return st.sampled_from(field.values).map(json.dumps)
    if field.pattern in PATTERNS:
        return st.from_regex(field.pattern, fullmatch=True).map(json.dumps)
    return (st.sampled_from(TEXTS) | st.text(min_size=1, max_size=10)).map(json.dumps)


def _instant_text(form: str) -> st.SearchStrategy[str]:
    seconds = st.integers(1_700_000_000, 1_767_607_200)
    if form == "iso":
        zones = st.sampled_from((timezone.utc, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-8))))
        recent = st.datetimes(datetime(2015, 1, 1), datetime(2026, 1, 5))  # noqa: DTZ001
        moments = recent | st.builds(lambda when, zone: when.replace(tzinfo=zone), recent, zones)
        return moments.map(lambda when: json.dumps(when.isoformat()))
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[form]
    return _number_or_text(seconds.map(lambda number: str(number * units + number % units)))


def _number_or_text(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return numbers | numbers.map(json.dumps)
