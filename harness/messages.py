"""Messages for tests of the verdict: valid sales in the forms of many producers, and damaged ones from a seed."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone

import pyarrow as pa

from harness.corpus import ARRIVAL
from harness.shipped import BRONZE, EVENT_FIELDS
from ventes.config import Settings
from ventes.contract.tables import HEADERS
from ventes.judging.judge_rows import columns_of, judge_rows
from ventes.judging.verdict import Judging

VERDICT = columns_of(Settings().stream)
"""The columns of the shipped stream's Bronze table that come from the verdict."""

NAMES = ("client_nom", "produit_nom", "categorie", "pays", "segment")
NUMBERS = ("vente_id", "client_id", "produit_id", "quantite", "montant")

_WORDS = (
    "Zoé Dupont", "Clavier mécanique", "France", "东京", "محمد", "😀", "O'Neil", 'a "b" c', "x\\y", "3M", "true",
    "nul", "NaN", "Infinity", "[x]", "{y}", "-1", "N", "I", "t", "f", "\t", "é" * 200, "a : b", 'k": v', "~",
    "\x7f", "ᙿ", "、",
)  # fmt: skip
_BLANKS = ("", " ", "\u00a0", "\u2003", "\u3000", "\x1f", "\u0085", "\u1680")

# Parts for damage: JSON syntax, errors that lenient parsers accept, and values that do not fit the columns.
_PIECES = (
    b'"', b",", b":", b"{", b"}", b"[", b"]", b"\\", b" ", b"\n", b"\t", b"\r", b"\0", b"0", b"1", b"9", b"-",
    b"+", b".", b"e", b"E5", b"\xff", b"\xc3", "é".encode(), "\u00a0".encode(), b"\\u0000", b"\\ud800",
    b"\\u00e9", b"\\n", b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"null", b"true", b"false", b"/*x*/",
    b"//", b"'", b"{}", b"[]", b'""', b"\xef\xbb\xbf", b', "canal": "web"', b', "pays": "FR"',
    b'"vente_id": 1, ', b'{"a": 1}', b" :", b",}", b" }", b"}}", b"1e400", b"0" * 25, b"9" * 25, b"00000000001",
    b"99999999999", b"Z", b"+02:00", b"T24", b".999999999",
)  # fmt: skip

_VALUES = (
    "null", "true", "{}", "[]", '""', '" "', "0", "-1", "-0", "1", "1.0", "1e0", "1e2", "01", "1.7", "12.345",
    "0.005", "12.340001", "12.3400011", "12.339999", "59.96999999999999", "59.98999899999999999999999",
    "12.3449999999999999999999", "9999999999.99", "9999999999.9900005", "10000000000", "9007199254740991",
    "9007199254740992", "9007199254740993.0", "2147483648", "1000001", "9223372036854775807",
    "9223372036854775808", "18446744073709551616", "1e400", "1e-400", "NaN", "-Infinity",
    "123456789012345678901234567890.5", "4611686018427387904.00", "0.1e1", "1E1", "999999999.990000001", '"1"',
    '" 1"', '"1_000"', '"+1"', '"1.0"', '"0x1"', '"true"', '"\\u0031"', '"1\\n"', '"59.96999999999999\\n"',
    '"٣"', '"2026-01-05T09:59:58Z"', '"2026-01-05T09:59:58Z\\n"', '"2026-01-05 09:59:58.999999999+05:30"',
    '"2026-02-30 09:59:58"', '"2026-01-05T24:00:00Z"', '"2026-01-05T09:59:60Z"', '"2026-01-06T10:00:00Z"',
    '"2026-01-06T10:00:00.000001Z"', '"1999-12-31T23:59:59Z"', '"9999-12-31T23:59:59-23:00"',
    '"2999-01-01T00:00:00"', '"0001-01-01"', '"2026-01-05T09:59:58+24:00"', '"2025-10-26 02:30:00"',
    '"2025-03-30 02:30:00"', '"2016-01-01T00:00:00"', '"2000-01-01T00:00:00"', "1767607198", '"a\\u0000b"',
    '"\\ud83d\\ude00"', '"\\ud83d"', '"NaN"', "nan", "inf", "Infinity", '"\\u00a0"', '"\\u3000x"', '"<script>"',
    '"' + "é" * 200 + '"', '"' + "é" * 201 + '"', '{"a": 1, "a": 2}', '["x", NaN]', '"\\"',
    '"a\\"pays\\": \\"b"',
)  # fmt: skip


TIMES_WRITTEN = (
    "2026-01-05T09:59:58+00:00",
    "2026-01-05T09:59:58.25Z",
    "2026-01-05 09:59:58",
    "2026-01-05T09:59:58.123456",
    "2025-10-26 02:30:00",
    "2025-03-30T02:30:00.999999999",
    "2026-01-05T11:59:58.123456+05:45",
)


def as_producers_write(rng: random.Random) -> list[bytes]:
    """Sales in the forms that the fast path must accept: both spacings, escapes or none, times of every kind."""
    plain = {**dict.fromkeys(NAMES, "Zoé Dupont"), "montant": rng.randint(1, 99) * 19.99}
    return [
        json.dumps({**valid_sale(rng), **plain, "timestamp": time}, ensure_ascii=ascii_, separators=separators).encode()
        for ascii_ in (True, False)
        for separators in ((", ", ": "), (",", ":"))
        for time in TIMES_WRITTEN
        for _ in range(20)
    ]


def valid_sale(rng: random.Random) -> dict[str, object]:
    """A sale that is valid for an arrival at `corpus.ARRIVAL`, sometimes with values near the bounds."""
    when = rng.choice(
        (
            ARRIVAL - timedelta(seconds=rng.randint(0, 86_400 * 400)),
            ARRIVAL - timedelta(microseconds=rng.randint(0, 10**9)),
            ARRIVAL + timedelta(hours=24),
            datetime(2000, 1, 2, tzinfo=timezone.utc),
        )
    )
    zone = rng.choice((timezone.utc, timezone(timedelta(minutes=rng.randint(-840, 840)))))
    local = when.astimezone(zone)
    text = local.isoformat(rng.choice(" T"), rng.choice(("auto", "milliseconds", "microseconds")))
    if zone is timezone.utc:
        text = text.replace("+00:00", rng.choice(("+00:00", "Z", "")))
    return {
        "vente_id": rng.choice((1, 2**53 - 1, rng.randint(1, 2**53 - 1))),
        "client_id": rng.choice((1, 2**31 - 1, rng.randint(1, 500))),
        "produit_id": rng.randint(1, 2**31 - 1),
        "timestamp": text,
        "quantite": rng.choice((1, 10**6, rng.randint(1, 9))),
        "montant": rng.choice((0.01, 9999999999.99, rng.randint(1, 10**6) / 100, rng.randint(1, 99) * 19.99, 5, 7.5)),
        **{name: rng.choice(_WORDS[:20]) for name in NAMES},
    }


def written(sale: dict[str, object], rng: random.Random) -> bytes:
    """The sale as JSON, in one of the forms of producers."""
    items = list(sale.items())
    if rng.random() < 0.3:
        rng.shuffle(items)
    if rng.random() < 0.2:
        items = [(key, str(item) if key in NUMBERS and rng.random() < 0.5 else item) for key, item in items]
    separators = rng.choice(((", ", ": "), (",", ":")))
    return json.dumps(dict(items), ensure_ascii=rng.random() < 0.5, separators=separators).encode()


def valid(rng: random.Random, count: int) -> list[bytes]:
    return [written(valid_sale(rng), rng) for _ in range(count)]


def damaged(rng: random.Random, count: int) -> list[bytes | None]:
    """Valid sales with damage: one value replaced, bytes added, removed or doubled, or two sales spliced."""
    return [_damaged(rng) for _ in range(count)]


def _damaged(rng: random.Random) -> bytes | None:
    sale = valid_sale(rng)
    way = rng.randrange(6)
    if way <= 2:
        field = rng.choice(EVENT_FIELDS)
        marker = json.dumps("@@")
        if way == 2 and field in NAMES:
            value = json.dumps(rng.choice(_WORDS + _BLANKS), ensure_ascii=rng.random() < 0.5)
        else:
            value = rng.choice(_VALUES)
        return written({**sale, field: "@@"}, rng).replace(marker.encode(), value.encode())
    message = written(sale, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(message) + 1)
        end = min(len(message), at + rng.choice((0, 0, 1, 1, 2, 8, 40)))
        piece = rng.choice((b"", rng.choice(_PIECES), rng.choice(_PIECES), message[at : at + 30]))
        message = message[:at] + piece + message[end:]
    if way == 5:
        other = written(valid_sale(rng), rng)
        at = rng.randrange(len(message) + 1)
        message = rng.choice((message + other, message[:at] + other[at:], message + b"\n", b" " + message))
    return message


UNKNOWN_KEYS = (
    "canal", "x", "a b", "é", "", "k.1", 'q"t', "a\\b", "Montant", "PAYS", "vente_id ", "\t", "\x1f", "\u2028", "a,b",
    "{", "zz", "_f", "$", "0", "it's",
)  # fmt: skip
UNKNOWN = (
    "null", "true", "false", "0", "-0", "1", "-7", "12345678901234567890123", "0.15", "-0.5", "1.50", "1.0", "1e2",
    "0.00001", "1E-7", "1e400", "0.1000000000000000055", "-0.0", "5e-324", '""', '"web"', '"\\u00e9t\\u00e9"',
    '"a\\"b"', '"a\\\\b"', '"\\n\\t\\r\\b\\f"', '"\\u001f"', '"\\u007f\x7f"', '"\\/"', '"\\ud83d\\ude00"',
    '"\\ud83d"', '"\\u0000"', '"{}"', '",}"', '"-0 "', '"\\\\u0041"', "{}", "[]", '{"a": 1}', '{"b": 1, "a": 2}',
    '{"a": 1, "a": 2}', "[1, 2.50]", "[1,]", "[[[]]]", '{"a": {"c": 1, "b": []}}', "NaN", "-Infinity", "nan", "01",
    '"a\\u2028b"', '{"remise": 0.15}', '"\\"remise\\": 0.15,"', '"x,"', '":x"', '"x]"',
    '["a", "b"]', "[0, -0]", '[0.50,"x,"]', '{"lat": 48.85}',
    '{"lat": 48.85, "lon": 2.35}', '{"lon": 2.35, "lat": 48.850}', '{"lat": 48.8500000000000014, "lat": -0}',
    '{"b": "x,", "a": ":y", "a b": 0, "a!": null}', '{"b": "x", "a": "y",}', '{"x": 1.5}', '{"x": {"x": 1.5}}',
    '{"b": "\\u001f", "a": "\\ud83d\\ude00"}', '{"canal": 0.15, "x": [1.0]}',
)  # fmt: skip
_SPACES = ("", "", " ", "  ", "\n", "\r\n", "\t", "\n    ")


def odd(rng: random.Random, count: int) -> list[bytes | None]:
    """Sales with white space anywhere, unknown fields, blanks around texts, and none or few broken values."""
    return [_odd(rng) for _ in range(count)]


def _odd(rng: random.Random) -> bytes:
    sale = valid_sale(rng)
    members = [(json.dumps(key), json.dumps(item)) for key, item in sale.items()]
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
        place = rng.randrange(len(members))
        key, _text = members[place]
        item = sale[json.loads(key)]
        way = rng.randrange(5)
        if way == 0:
            del members[place]
        elif way == 1 and isinstance(item, str):
            blank = rng.choice((*_BLANKS, "\u2028", "\u200b", "\ufeff", "\n"))
            members[place] = key, json.dumps(rng.choice((blank + item, item + blank, blank)))
        else:
            members[place] = key, rng.choice(_VALUES)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        key = json.dumps(rng.choice(UNKNOWN_KEYS), ensure_ascii=rng.random() < 0.5)
        members.insert(rng.randrange(len(members) + 1), (key, rng.choice(UNKNOWN)))
    if rng.random() < 0.05:
        members.append(
            rng.choice((members[0], ('"p\\u0061ys"', '"x"'), ('"remise"', "0.150"), ('"\\u0072emise"', "0.150")))
        )
    spaces = _SPACES if rng.random() < 0.5 else rng.choice((("",), (" ",)))

    def space() -> str:
        return rng.choice(spaces)

    inner = ",".join(space() + key + space() + ":" + space() + text + space() for key, text in members)
    return (space() + "{" + inner + "}" + space()).encode("utf-8", "surrogatepass")


def raw_table(values: list[bytes | None], kafka_ts: datetime = ARRIVAL) -> pa.Table:
    """Messages as the embedded engine reads them from Kafka: one partition, offsets from 0."""
    rows = len(values)
    return pa.table(
        {
            "key": pa.array([b"7"] * rows, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "headers": pa.array([[{"key": "source", "value": b"\x00x"}]] * rows, HEADERS),
            "topic_id": pa.array(["topic-1"] * rows),
            "partition": pa.array([0] * rows, pa.int32()),
            "offset": pa.array(range(rows), pa.int64()),
            "kafka_ts": pa.array([kafka_ts] * rows, BRONZE.schema.field("kafka_ts").type),
        }
    )


def expected(raw: pa.Table, settings: Settings) -> pa.Table:
    """The result of `judge` for each row: the VERDICT columns."""
    batch = judge_rows(raw["value"], raw["kafka_ts"], Judging.of(settings))
    return pa.Table.from_batches([batch], VERDICT)


def assert_same_rows(ours: pa.Table, theirs: pa.Table, values: list[bytes | None]) -> None:
    """Check that both tables are equal; if not, name the first message whose rows differ."""
    if ours.equals(theirs):
        return
    for value, left, right in zip(values, ours.to_pylist(), theirs.to_pylist(), strict=True):
        assert left == right, value
    raise AssertionError(f"equal values, different types: {ours.schema} and {theirs.schema}")
