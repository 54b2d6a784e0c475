"""DuckDB's fast path accepts no message that `judge` treats differently, and leaves few messages to it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from itertools import groupby

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.corpus import ARRIVAL, load
from harness.messages import (
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
from ventes.judging.judge_batch import Few, fast_rows
from ventes.judging.judge_batch import judge_batch as judge_any_number
from ventes.judging.verdict import Judging

INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
UTC = Settings()
PARIS = Settings(source=Source(time_zone="Europe/Paris"), rules=Rules(time_zone="Europe/Paris"))
NEW_YORK = Settings(source=Source(time_zone="Asia/Kathmandu"), rules=Rules(time_zone="America/New_York"))

NONE_IS_FEW = Few(0, 0)

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
    return judge_any_number(con, raw, config, at, NONE_IS_FEW)


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
