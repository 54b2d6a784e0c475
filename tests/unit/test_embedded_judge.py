"""DuckDB's fast path accepts no message that `judge` treats differently, and leaves few messages to it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import groupby

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.corpus import ARRIVAL, load
from harness.messages import (
    NAMES,
    VERDICT,
    as_producers_write,
    assert_same_rows,
    damaged,
    expected,
    odd,
    raw_table,
    valid,
    valid_sale,
    written,
)
from harness.shipped import BRONZE, EVENT_FIELDS
from harness.verdicts import decided
from ventes.config import Rules, Settings, Source
from ventes.judging.judge_batch import FEW, fast_rows
from ventes.judging.judge_batch import judge_batch as judge_any_number
from ventes.judging.verdict import Judging
from ventes.stream.fast_form import blank

INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
UTC = Settings()
PARIS = Settings(source=Source(time_zone="Europe/Paris"), rules=Rules(time_zone="Europe/Paris"))
NEW_YORK = Settings(source=Source(time_zone="Asia/Kathmandu"), rules=Rules(time_zone="America/New_York"))

property_test = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        yield connection


def judge_batch(con: duckdb.DuckDBPyConnection, raw: pa.Table, config: Settings, at: datetime) -> pa.Table:
    """Through SQL, however few messages there are."""
    return judge_any_number(con, raw, config, at, few=0, threads=2)


def verdicts(con: duckdb.DuckDBPyConnection, values: list[bytes | None], config: Settings = UTC) -> None:
    """Assert that each message gets `judge`'s verdict, alone and among others."""
    raw = raw_table(values)
    table = judge_batch(con, raw, config, INGESTED)
    assert table.schema == BRONZE.schema
    assert_same_rows(table.select(VERDICT.names), expected(raw, config), values)


def sure(con: duckdb.DuckDBPyConnection, values: Sequence[bytes | None], config: Settings = UTC) -> list[bool]:
    """Which messages SQL decides; what it says of them is what `judge` says."""
    raw = raw_table(list(values))
    rows = fast_rows(con, raw, Judging.of(config), INGESTED.year)
    assert rows is not None
    return decided(rows, raw, Judging.of(config))


def test_corpus(con: duckdb.DuckDBPyConnection) -> None:
    def same(event):
        return event.source_zone, event.business_zone, event.kafka_ts

    for (source, business, kafka_ts), group in groupby(sorted(load(), key=same), key=same):
        events = list(group)
        config = Settings(source=Source(time_zone=source), rules=Rules(time_zone=business))
        table = judge_batch(con, raw_table([event.value for event in events], kafka_ts), config, INGESTED)
        for event, row in zip(events, table.to_pylist(), strict=True):
            assert tuple(row["motifs"]) == event.motifs, event.name
            assert {field: row[field] for field in event.shown} == event.shown, event.name
            assert not event.expects_extra or row["_extra"] == event.extra, event.name
            assert row["value"] == event.value


@pytest.mark.parametrize("config", [UTC, PARIS, NEW_YORK], ids=["UTC", "Paris", "New York"])
def test_seeded_damage(con: duckdb.DuckDBPyConnection, config: Settings) -> None:
    rng = random.Random(f"damage {config.source.time_zone}")
    verdicts(con, [*damaged(rng, 6_000), *valid(rng, 1_000)], config)


@pytest.mark.parametrize("config", [UTC, PARIS, NEW_YORK], ids=["UTC", "Paris", "New York"])
def test_seeded_odd_messages(con: duckdb.DuckDBPyConnection, config: Settings) -> None:
    rng = random.Random(f"odd {config.source.time_zone} {os.environ.get('SEED', '')}")
    values = odd(rng, int(os.environ.get("ODD_MESSAGES", "4000")))
    assert sum(sure(con, values, config)) > len(values) / 3, "the rest has members that only Python can write"
    verdicts(con, values, config)


def test_what_producers_write_is_on_the_fast_path(con: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random("producers")
    for config in (UTC, PARIS):
        values = as_producers_write(rng)
        assert sure(con, values, config) == [True] * len(values)


def _added(member: str) -> Callable[[str], str]:
    return lambda text: f"{text[:-1]}, {member}}}"


def _changed(**members: object) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **members})


def _without(field: str) -> Callable[[str], str]:
    return lambda text: json.dumps({key: item for key, item in json.loads(text).items() if key != field})


SHAPES: dict[str, Callable[[str], str]] = {
    "indented": lambda text: json.dumps(json.loads(text), indent=2),
    "blanks around": lambda text: f" \r\n\t{text}\n",
    "blanks between": lambda text: text.replace(": ", " :\t").replace(", ", "\n,\r\n"),
    "a leading blank": _changed(client_nom=" Zoé"),
    "blanks of Unicode": _changed(client_nom="\u00a0Zoé\u3000", pays="\u2028x\n"),
    "an unknown text": _added('"canal": "web"'),
    "an unknown text with escapes": _added('"note": "caf\\u00e9 \\"noir\\"\\n"'),
    "unknown numbers": _added('"n": 7, "z": 0, "long": 123456789012345678901234567890'),
    "an unknown number with a fraction": _added('"remise": 0.15'),
    "unknown true and null": _added('"vip": true, "non": false, "rien": null'),
    "an unknown object": _added('"geo": {"lat": 48.85, "lon": 2.35}'),
    "an unknown object, not in order": _added('"adresse":{"ville":"Lyon","numero":7,"cp":"69001"}'),
    "an unknown list": _added('"tags": ["b", "a", 3]'),
    "unknown numbers apart": lambda text: '{"remise": 0.15, ' + text[1:-1] + ', "taux": 1.5}',
    "unknown numbers, indented": lambda text: json.dumps({**json.loads(text), "a": 0.0, "b": -2.5}, indent=1),
    "many unknown fields": _added(", ".join(f'"champ_{number}": "web"' for number in range(9))),
    "an unknown object, an object and null in it, and a text": _added(
        '"b": {"z": {"y": 1, "x": null}, "a": null}, "canal": "web"'
    ),
    "a field missing": _without("pays"),
    "a field null": _changed(pays=None),
    "a field blank": _changed(pays="\u2003 "),
    "a number that is a text": _changed(quantite="deux"),
    "a number with a fraction": _changed(quantite=1.5),
    "a number that is true": _changed(montant=True),
    "a number too large": _changed(quantite=2_000_000),
    "a number beyond the column": _changed(vente_id=10**30),
    "three decimals": _changed(montant=12.345),
    "a negative amount": _changed(montant=-5.25),
    "no amount": _changed(montant=0.0),
    "an amount too large": _changed(montant=99_999_999_999),
    "an amount that is a text": _changed(montant="12,50"),
    "a text that is a number": _changed(segment=5),
    "a text too long": _changed(segment="é" * 201),
    "a time that is a number": _changed(timestamp=1_767_600_000),
    "a time that is none": _changed(timestamp="05/01/2026 10:00"),
    "a day that does not exist": _changed(timestamp="2026-02-30T10:00:00Z"),
    "a time too old": _changed(timestamp="1970-01-01T00:00:00Z"),
    "a time too new": _changed(timestamp="2030-01-01T00:00:00Z"),
    "several reasons": _changed(montant=-12.345, quantite=0, pays=None, canal="web"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_message_of_a_common_shape_goes_to_python(con: duckdb.DuckDBPyConnection, shape: str) -> None:
    rng = random.Random(shape)
    plain = {**dict.fromkeys(NAMES, "Zoé Dupont"), "timestamp": "2026-01-05T09:59:58.25Z", "montant": 19.99}
    values = [SHAPES[shape](json.dumps({**valid_sale(rng), **plain})).encode() for _ in range(50)]
    raw = raw_table([*values])
    for config in (UTC, PARIS):
        found = fast_rows(con, raw, Judging.of(config), INGESTED.year)
        assert found is not None
        assert found["_reasons"].null_count == 0
        assert not any(found["_extra_open"].to_pylist())
        assert all(decided(found, raw, Judging.of(config)))


def test_unknown_fields_that_python_writes_leave_the_rest_to_sql(con: duckdb.DuckDBPyConnection) -> None:
    text = json.dumps({**valid_sale(random.Random(5)), "montant": 5, "client_nom": "x"})
    members = ('"a": {"c": 1, "b": 2.50}', '"a": [1e2]', '"a": 1.50', '"a": -0', '"\\u0001": 1', '"a": "\\u0001"')
    broken = ('"a": {"b": 1, "b": 2}', '"a": [1,]', '"a": NaN', '"a": [NaN]')
    values = [_added(member)(text).encode() for member in (*members, *broken)]
    found = fast_rows(con, raw_table([*values]), Judging.of(UTC), INGESTED.year)
    assert found is not None
    assert (found["_reasons"].null_count, found["_extra_open"].to_pylist()) == (0, [True] * len(values))
    verdicts(con, [*values])


def test_names_that_are_not_in_the_sample_are_written_by_python(con: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(9)
    texts = [json.dumps({**valid_sale(rng), "montant": 5, "client_nom": "x"}) for _ in range(400)]
    values = [_added(f'"own_{number}": 0.5, "canal": "web"')(text).encode() for number, text in enumerate(texts)]
    values[::2] = [_added('"canal": "web"')(text).encode() for text in texts[::2]]
    found = fast_rows(con, raw_table([*values]), Judging.of(UTC), INGESTED.year)
    assert found is not None
    assert found["_extra_open"].to_pylist() == [False, True] * 200
    verdicts(con, [*values])


def test_a_number_too_small_for_anything_is_not_zero(con: duckdb.DuckDBPyConnection) -> None:
    text = json.dumps({**valid_sale(random.Random(6)), "montant": "@@"})
    values = [text.replace('"@@"', amount).encode() for amount in ("0.0", "1e-400", "1e-99999999999999999999")]
    assert sure(con, values) == [True, False, False]


def test_odd_messages_among_others(con: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(7)
    verdicts(con, [*valid(rng, 4_000), *odd(rng, 1_500), *valid(rng, 500)])


def test_the_query_is_planned_once_for_each_thread() -> None:
    rng = random.Random(8)
    added = [_added('"canal": "web"')(text.decode()).encode() for text in valid(rng, 3_000 + FEW + 1)]
    many, few = raw_table([*valid(rng, 3_000), *added[:3_000]]), raw_table([*added[3_000:]])
    with duckdb.connect() as own:
        own.execute("CALL enable_logging('QueryLog')")
        for raw in (many, few, many, few):
            assert_same_rows(
                judge_batch(own, raw, UTC, INGESTED).select(VERDICT.names), expected(raw, UTC), raw["value"].to_pylist()
            )
        ran = [text for (text,) in own.execute("SELECT message FROM duckdb_logs WHERE type = 'QueryLog'").fetchall()]
    assert sum(text.startswith("PREPARE") for text in ran) == 2
    assert sum(text.startswith("EXECUTE") for text in ran) == 2 + 1 + 2 + 1
    assert not [text for text in ran if "WITH" in text and not text.startswith("PREPARE")]


def test_white_space_is_what_python_strips(con: duckdb.DuckDBPyConnection) -> None:
    characters = [chr(code) for code in range(1, 0x11000) if not 0xD800 <= code < 0xE000]
    con.register("_characters", pa.table({"one": characters}))
    found = con.execute(f"SELECT {blank('one')} FROM _characters").fetchall()
    con.unregister("_characters")
    assert [one for one, (white,) in zip(characters, found, strict=True) if white] == [
        one for one in characters if not one.strip()
    ]


def test_a_row_of_the_fast_path_is_typed_as_sent(con: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(3)
    sale = {**valid_sale(rng), "timestamp": "2026-01-05T09:59:58.250000+00:00", "montant": 59.97, "client_nom": "Zoé"}
    value = json.dumps(sale).encode()
    assert sure(con, [value]) == [True]
    (row,) = judge_batch(con, raw_table([value]), UTC, INGESTED).to_pylist()
    assert (row["client_nom"], str(row["montant"]), row["motifs"], row["_extra"]) == ("Zoé", "59.97", [], None)
    assert row["timestamp"] == datetime(2026, 1, 5, 9, 59, 58, 250_000, tzinfo=timezone.utc)
    assert (row["topic_id"], row["partition"], row["offset"], row["kafka_ts"]) == ("topic-1", 0, 0, ARRIVAL)
    assert (row["date_ingestion"], row["key"], row["value"]) == (INGESTED, b"7", value)
    assert row["headers"] == [{"key": "source", "value": b"\x00x"}]


def test_rows_keep_their_order_whatever_the_connection_does(con: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(4)
    values: list[bytes | None] = [*valid(rng, 45_000)]
    values[::1000] = damaged(rng, 45)
    con.execute("SET preserve_insertion_order = false")
    try:
        verdicts(con, values)
    finally:
        con.execute("RESET preserve_insertion_order")


def test_no_message_at_all(con: duckdb.DuckDBPyConnection) -> None:
    assert judge_batch(con, raw_table([]), UTC, INGESTED).schema == BRONZE.schema


def test_only_hostile_messages(con: duckdb.DuckDBPyConnection) -> None:
    """A batch of unreadable messages only, deeply nested or invalid as text: judged like any other."""
    deep = b"{" + b'"a":{' * 20_000 + b"}" * 20_001
    verdicts(con, [deep, b"[" * 100_000, b"\xff\xfe", None, b"", b'{"a":' * 3_000] * 3)


FIELDS = st.sampled_from(EVENT_FIELDS)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@property_test
@given(seed=st.integers(0, 2**32), changes=st.dictionaries(FIELDS, json_values))
def test_any_values_in_a_sale(con: duckdb.DuckDBPyConnection, seed: int, changes: dict[str, object]) -> None:
    rng = random.Random(seed)
    verdicts(con, [written({**valid_sale(rng), **changes}, rng)])


_ASKED_FOR = st.sampled_from(("a", "b", "ab"))
_KEYS = _ASKED_FOR | st.sampled_from(
    ("a b", "a!", "A", "é", "z", "", ",", ":", '\\"', '\\"a', "\\u0001", "{", "0", "pays")
)
_SCALARS = st.one_of(
    st.sampled_from(
        ("0", "-0", "0.0", "-0.0", "1.5", "1.50", "2", "1e5", "1E-7", "1e400", "1e-400", "NaN", "null", "true")
    ),
    st.decimals(-(10**12), 10**12, places=7).map(lambda number: f"{number:f}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text('ab,:"\\{}[] 0.é\x1f\n', max_size=4).map(json.dumps),
)


def _joined(brackets: str, members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The members between the brackets as different writers separate them, rarely with a comma too many."""
    return st.tuples(
        st.lists(members, max_size=4), st.sampled_from((",", ", ", ",", ", ", " ,\n")), st.integers(0, 20)
    ).map(
        lambda drawn: brackets[0] + drawn[1].join(drawn[0]) + ("," if drawn[2] == 0 and drawn[0] else "") + brackets[1]
    )


def _members(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(_KEYS, st.sampled_from((":", ": ", " : ")), values).map(lambda one: f'"{one[0]}"{one[1]}{one[2]}')


_unknown = _members(
    st.recursive(_SCALARS, lambda inner: st.one_of(_joined("{}", _members(inner)), _joined("[]", inner)), max_leaves=6)
)


@property_test
@given(
    seed=st.integers(0, 2**32),
    messages=st.lists(st.tuples(st.lists(_unknown, max_size=5), st.integers(0, 11)), min_size=10, max_size=20),
    comma=st.sampled_from((",", ", ")),
)
def test_any_unknown_members(
    con: duckdb.DuckDBPyConnection, seed: int, messages: list[tuple[list[str], int]], comma: str
) -> None:
    """Their text as sent: keys in any order and repeated, numbers in all forms, the same member at several depths."""
    sale = {**valid_sale(random.Random(seed)), "montant": 5.25, "client_nom": "x"}
    known = [json.dumps({key: item}, separators=(comma, ": "))[1:-1] for key, item in sale.items()]
    values = [
        ("{" + comma.join([*known[:place], *unknown, *known[place:]]) + "}").encode() for unknown, place in messages
    ]
    sure(con, values)
    verdicts(con, [*values])


@property_test
@given(st.lists(st.binary(max_size=60) | json_values.map(lambda item: json.dumps(item).encode()), max_size=5))
def test_any_bytes_and_any_json(con: duckdb.DuckDBPyConnection, values: list[bytes | None]) -> None:
    verdicts(con, values)


@property_test
@given(seed=st.integers(0, 2**32), amount=st.text("0123456789.eE+-", min_size=1, max_size=24), quoted=st.booleans())
def test_any_amount(con: duckdb.DuckDBPyConnection, seed: int, amount: str, quoted: bool) -> None:
    rng = random.Random(seed)
    text = f'"{amount}"' if quoted else amount
    verdicts(con, [written({**valid_sale(rng), "montant": "@@"}, rng).replace(b'"@@"', text.encode())])


@property_test
@given(cents=st.integers(1, 10**12), noise=st.integers(-30, 30), power=st.integers(5, 20))
def test_amounts_near_a_cent(con: duckdb.DuckDBPyConnection, cents: int, noise: int, power: int) -> None:
    """Near the tolerance around a cent, with more digits than a double has."""
    scaled = cents * 10 ** (power - 2) + noise * 10 ** max(power - 7, 0)
    amount = f"{scaled // 10**power}.{scaled % 10**power:0{power}d}"
    rng = random.Random(cents)
    verdicts(con, [written({**valid_sale(rng), "montant": "@@"}, rng).replace(b'"@@"', amount.encode())])


@property_test
@given(when=st.datetimes(datetime(1999, 12, 31), datetime(2027, 1, 1)), form=st.sampled_from((" ", "T")))  # noqa: DTZ001
def test_any_naive_time_in_paris(con: duckdb.DuckDBPyConnection, when: datetime, form: str) -> None:
    rng = random.Random(0)
    verdicts(con, [written({**valid_sale(rng), "timestamp": when.isoformat(form)}, rng)], PARIS)


def test_a_few_messages_are_judged_without_sql() -> None:
    raw = raw_table([b'{"a": 1}', None, b"x"])
    with duckdb.connect() as con:
        by_sql = judge_batch(con, raw, UTC, INGESTED)
    assert judge_any_number(con, raw, UTC, INGESTED).equals(by_sql), "a closed connection is not asked"
