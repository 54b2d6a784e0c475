"""Streams that are declared otherwise than the shipped one: nested and optional fields, frames, envelopes, rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from harness.corpus import ARRIVAL
from harness.messages import raw_table
from harness.verdicts import decided, judge
from ventes.config import PROJECT
from ventes.contract import tables
from ventes.judging.judge_batch import fast_rows, judge_messages
from ventes.judging.verdict import Judging
from ventes.runtime import heartbeat
from ventes.runtime.exit_codes import NEEDS_A_PERSON
from ventes.stream import DeclarationError, Event, Instant, Integer, Json, Money, Rule, Stream, Text
from ventes.stream.kinds import Field
from ventes.stream.reasons import sentence

UTC = ZoneInfo("UTC")
AT = "2026-01-05T09:59:58Z"
INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)


def judging(*fields: Field, rules: tuple[Rule, ...] = (), **event: Any) -> Judging:
    """A stream of orders: the id `ref` (a text), the time `at`, and `fields`."""
    declared = Event("ref", "at", (Text("ref"), Instant("at"), *fields), **event)
    return Judging(Stream("commandes", "commandes", declared, rules=rules, noun="order"), UTC, UTC)


def order(**members: Any) -> bytes:
    return json.dumps({"ref": "A-1", "at": AT, **members}).encode()


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def rows_of(con: duckdb.DuckDBPyConnection, values: list[bytes | None], of: Judging) -> list[dict[str, Any]]:
    """Bronze's rows; the same through the fast path and one by one."""
    raw = raw_table(values)
    rows = judge_messages(con, raw, of, INGESTED, 0)
    assert rows.equals(judge_messages(con, raw, of, INGESTED, len(values)))
    assert rows.schema == tables.of_stream(of.stream).bronze.schema
    return rows.to_pylist()


def proven(con: duckdb.DuckDBPyConnection, values: list[bytes | None], of: Judging) -> list[bool]:
    """Which messages SQL decides."""
    raw = raw_table(values)
    found = fast_rows(con, raw, of, INGESTED.year)
    assert found is not None
    return decided(found, raw, of)


# -- nested and optional ------------------------------------------------------------------------

CUSTOMER = judging(
    Integer("client", path="customer.id"),
    Text("ville", path="customer.address.city", optional=True),
    Text("shop", optional=True),
)


@pytest.mark.parametrize(
    ("members", "shown", "motifs", "extra"),
    [
        ({"customer": {"id": 7, "address": {"city": "Nice"}}, "shop": "S1"}, (7, "Nice", "S1"), (), None),
        ({"customer": {"id": 7}}, (7, None, None), (), None),
        ({"customer": {"id": 7, "address": None}, "shop": None}, (7, None, None), (), None),
        ({"customer": {"id": 7, "address": {"city": " "}}, "shop": ""}, (7, None, None), (), None),
        ({"customer": {"id": 7, "address": {}}}, (7, None, None), (), None),
        ({}, (None, None, None), ("missing:client",), None),
        ({"customer": None}, (None, None, None), ("missing:client",), None),
        ({"customer": 5}, (None, None, None), ("type:client", "type:ville"), '{"customer":5}'),
        ({"customer": {"id": 7, "address": "N"}}, (7, None, None), ("type:ville",), '{"customer":{"address":"N"}}'),
        ({"customer": {"id": 7, "vip": True, "address": {"zip": 1}}, "x": 2}, (7, None, None), (),
         '{"customer":{"address":{"zip":1},"vip":true},"x":2}'),
        ({"customer": {"id": "x"}, "shop": 3}, (None, None, "3"), ("type:client", "type:shop"), None),
    ],
)  # fmt: skip
def test_nested_and_optional_values(
    members: dict[str, Any], shown: tuple[Any, ...], motifs: tuple[str, ...], extra: str | None
) -> None:
    verdict = judge(order(**members), ARRIVAL, CUSTOMER)
    assert (verdict.client, verdict.ville, verdict.shop) == shown
    assert (verdict.motifs, verdict.extra) == (motifs, extra)


def test_a_key_that_is_repeated_on_the_way_makes_the_value_ambiguous() -> None:
    for text in ('"customer":{"id":7},"customer":{"id":8}', '"customer":{"id":7,"id":8}'):
        verdict = judge(f'{{"ref":"A","at":"{AT}",{text}}}'.encode(), ARRIVAL, CUSTOMER)
        assert (verdict.client, verdict.motifs) == (None, ("duplicate_key",))


def test_an_optional_value_that_is_repeated_is_not_proved(con: duckdb.DuckDBPyConnection) -> None:
    twice = order(customer={"id": 7}, shop="S1").replace(b'"shop"', b'"shop": "S2", "shop"')
    assert proven(con, [twice], CUSTOMER) == [False]
    (row,) = rows_of(con, [twice], CUSTOMER)
    assert (row["shop"], row["motifs"]) == (None, ["duplicate_key"])


def test_nested_and_optional_values_are_on_the_fast_path(con: duckdb.DuckDBPyConnection) -> None:
    full = {"customer": {"id": 7, "address": {"city": "Nice"}}, "shop": "S1"}
    without = {"customer": {"id": 7, "address": None}, "shop": None}
    values: list[bytes | None] = [order(**full), order(**without), order(customer={"id": 7}), order(**full, more=1)]
    values.append(order(customer={"id": 7, "vip": True, "address": {"zip": "06"}}))
    values += [order(**full).replace(b"}", b",}", 1), order(**full).replace(b'"id"', b'"ID"'), order(customer=7)]
    assert proven(con, values, CUSTOMER) == [True, True, True, True, True, False, True, False]
    rows = rows_of(con, values, CUSTOMER)
    assert [(row["client"], row["ville"], row["shop"]) for row in rows[:3]] == [
        (7, "Nice", "S1"),
        (7, None, None),
        (7, None, None),
    ]
    assert [row["motifs"] for row in rows[3:]] == [
        [], [], ["not_json"], ["missing:client"], ["type:client", "type:ville"],
    ]  # fmt: skip
    assert rows[4]["_extra"] == '{"customer":{"address":{"zip":"06"},"vip":true}}'


def test_keys_that_differ_in_case_only_are_left_to_judge(con: duckdb.DuckDBPyConnection) -> None:
    of = judging(Integer("one", path="n"), Integer("two", path="N"))
    assert fast_rows(con, raw_table([order(n=1, N=2)]), of, 2026) is None
    (row,) = rows_of(con, [order(n=1, N=2)], of)
    assert (row["one"], row["two"], row["motifs"]) == (1, 2, [])
    odd = judging(Integer("one", path='a"b.n'))
    assert fast_rows(con, raw_table([order()]), odd, 2026) is None, "a key that a JSON path would have to escape"
    assert judge(order(**{'a"b': {"n": 1}}), ARRIVAL, odd).one == 1


def test_a_time_whose_json_type_cannot_be_asked_for_is_left_to_judge(con: duckdb.DuckDBPyConnection) -> None:
    of = judging(Instant("sent", path="é"))
    values = [order(é=sent) for sent in (AT, "soon", 5, "5", True)]
    assert proven(con, [*values], of) == [True, True, False, False, False]
    rows = rows_of(con, [*values], of)
    unreadable, wrong = ["time_unreadable:sent"], ["type:sent"]
    assert [row["motifs"] for row in rows] == [[], unreadable, wrong, unreadable, wrong]


def test_a_kind_without_fast_form_leaves_every_message_to_judge(con: duckdb.DuckDBPyConnection) -> None:
    of = judging(Json("lines"))
    (row,) = rows_of(con, [order(lines=[{"n": 1.50}])], of)
    assert (row["lines"], row["motifs"]) == ('[{"n":1.5}]', [])
    optional = judging(Json("lines", optional=True))
    assert proven(con, [order(), order(lines=[])], optional) == [True, False]


def test_instants_beside_the_events_time_have_reasons_with_their_name() -> None:
    of = judging(Instant("sent"))
    assert judge(order(sent="soon"), ARRIVAL, of).motifs == ("time_unreadable:sent",)
    assert judge(order(sent="9999-12-31T23:00:00-05:00"), ARRIVAL, of).motifs == ("time_out_of_range:sent",)
    assert judge(order(sent="1970-01-01T00:00:00Z"), ARRIVAL, of).motifs == ()
    late = json.dumps({"ref": "A", "at": "2027-01-01T00:00:00Z", "sent": AT}).encode()
    assert judge(late, ARRIVAL, of).motifs == ("time_out_of_range",)


# -- frames and envelopes -----------------------------------------------------------------------


def test_a_registry_frame_is_taken_off(con: duckdb.DuckDBPyConnection) -> None:
    of = judging(frame="registry")
    values = [b"\0\0\0\0\x07" + order(), order(), b"\0\0\0\0", b"\1\0\0\0\x07" + order(), b"\0\0\0\0\x07", None, b""]
    rows = rows_of(con, values, of)
    assert [row["motifs"] for row in rows] == [
        [], ["bad_frame"], ["bad_frame"], ["bad_frame"], ["empty"], ["empty"], ["empty"],
    ]  # fmt: skip
    assert [row["value"] for row in rows] == values, "the bytes as sent"
    assert rows[0]["ref"] == "A-1"
    assert proven(con, values, of) == [True, *[False] * 6]


@pytest.mark.parametrize("count", [1, 2, 3, 200])
def test_any_number_of_framed_messages_is_on_the_fast_path(con: duckdb.DuckDBPyConnection, count: int) -> None:
    of = judging(frame="registry")
    values: list[bytes | None] = [b"\0\0\0\0\x07" + order(canal="web")] * count
    assert proven(con, values, of) == [True] * count
    assert [row["_extra"] for row in rows_of(con, values, of)] == ['{"canal":"web"}'] * count


AFTER = {"ref": "A-1", "at": AT}


@pytest.mark.parametrize(
    ("change", "motifs"),
    [
        ({"before": None, "after": AFTER, "op": "c", "source": {"db": "x"}, "ts_ms": 1}, ()),
        ({"schema": {"type": "struct"}, "payload": {"before": None, "after": AFTER, "op": "u"}}, ()),
        ({"payload": {"after": AFTER, "op": "r"}}, ()),
        ({"before": AFTER, "after": None, "op": "d"}, ("no_event",)),
        ({"before": AFTER, "after": AFTER, "op": "d"}, ("no_event",)),
        ({"schema": None, "payload": None}, ("no_event",)),
        ({"payload": {"op": "m"}}, ("no_event",)),
        ({"after": "A-1"}, ("no_event",)),
        (AFTER, ("no_event",)),
        ({"after": {**AFTER, "ref": " "}, "op": "c"}, ("missing:ref",)),
    ],
)
def test_the_event_of_a_change_is_its_after(change: dict[str, Any], motifs: tuple[str, ...]) -> None:
    verdict = judge(json.dumps(change).encode(), ARRIVAL, judging(envelope="debezium"))
    assert (verdict.motifs, verdict.extra) == (motifs, None)
    assert motifs or verdict.ref == "A-1"


def test_unknown_members_of_after_are_kept_and_repeated_ones_reported() -> None:
    of = judging(envelope="debezium")
    verdict = judge(json.dumps({"after": {**AFTER, "x": 1}, "op": "c"}).encode(), ARRIVAL, of)
    assert (verdict.motifs, verdict.extra) == ((), '{"x":1}')
    twice = f'{{"after":{json.dumps(AFTER)},"after":{json.dumps(AFTER)}}}'
    assert judge(twice.encode(), ARRIVAL, of).motifs == ("duplicate_key",)


def test_a_frame_and_an_envelope_together() -> None:
    of = judging(frame="registry", envelope="debezium")
    assert judge(b"\0\0\0\0\1" + json.dumps({"after": AFTER}).encode(), ARRIVAL, of).motifs == ()


def test_an_unknown_frame_or_envelope_is_refused() -> None:
    with pytest.raises(DeclarationError, match="frame 'avro'"):
        judging(frame="avro")
    with pytest.raises(DeclarationError, match="envelope 'maxwell'"):
        judging(envelope="maxwell")


# -- rules --------------------------------------------------------------------------------------

RULES = (
    Rule("paid_too_much", "paid <= price", "More was paid than the price."),
    Rule("old", 'year("at") >= 2025', "The order is old.", severity="flag"),
    Rule("cheap", "price >= 10 -- euros", "The order is cheap.", severity="flag"),
    Rule("share", "CAST(paid / (price - 7) AS INTEGER) < 100", "The share is large."),
)
PAID = judging(Money("price"), Money("paid", optional=True), rules=RULES)


def test_rules_reject_and_flag_on_every_path(con: duckdb.DuckDBPyConnection) -> None:
    values = [
        order(price=20, paid=20),
        order(price=20, paid=21),
        order(price=20),
        order(price=7, paid=7),
        order(price=5, at="2024-02-01T00:00:00Z"),
        order(price=0, paid=99),
        order(price=20, paid=21, more=1),
        None,
    ]
    rows = rows_of(con, values, PAID)
    assert [(row["motifs"], row["signalements"]) for row in rows] == [
        ([], []),
        (["paid_too_much"], []),
        ([], []),
        ([], ["cheap"]),
        ([], ["cheap", "old"]),
        (["zero:price"], []),
        (["paid_too_much"], []),
        (["empty"], []),
    ]


def test_rules_keep_the_order_of_rows(con: duckdb.DuckDBPyConnection) -> None:
    values: list[bytes | None] = [order(price=20, paid=20 + (number % 7 == 0)) for number in range(45_000)]
    con.execute("SET preserve_insertion_order = false")
    try:
        rows = judge_messages(con, raw_table(values), PAID, INGESTED)
    finally:
        con.execute("RESET preserve_insertion_order")
    broken = [bool(motifs) for motifs in rows["motifs"].to_pylist()]
    assert broken == [number % 7 == 0 for number in range(45_000)]


@pytest.mark.parametrize(
    "condition",
    ["pris > 0", "price >", "price", "max(price) > 1", "row_number() OVER () > 1", "random() > 0.5",
     "price > (SELECT max(price) FROM _typed)", "true) OR (true", "price > 0; DROP TABLE x"],
)  # fmt: skip
def test_a_condition_that_cannot_be_used_is_refused_with_its_line(
    con: duckdb.DuckDBPyConnection, condition: str
) -> None:
    rule = Rule("r", condition, "")
    of = judging(Money("price"), rules=(rule,))
    with pytest.raises(DeclarationError, match=f"line {rule.line}: rule r"):
        judge_messages(con, raw_table([order(price=1)]), of, INGESTED)


BAD_RULE = """
from ventes.stream import *
STREAM = Stream("essai", "essai", Event("n", "t", (Integer("n"), Instant("t"))), rules=(
    Rule("r", "m > 0", "None."),
))
"""
STARTED = """
import sys
from pathlib import Path
from ventes.config import Settings
from ventes.engines import job
folder = Path(sys.argv[1])
places = {"lake": folder, "state": folder / "state", "logs": folder}
settings = Settings(stream=folder / "essai.py", paths=places)
sys.exit(job.run(settings, "bronze", "embedded", lambda _: print("the job runs")))
"""


def test_a_job_with_a_rule_that_cannot_be_used_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "essai.py").write_text(BAD_RULE, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", STARTED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (NEEDS_A_PERSON, ""), ended.stderr
    record = heartbeat.read(tmp_path / "state", "bronze")
    assert record is not None
    assert "line 4: rule r: 'm > 0' cannot be used" in record.reason


def test_a_rules_code_has_its_own_sentence_and_no_reason_of_ours() -> None:
    assert sentence("paid_too_much", PAID.stream) == "More was paid than the price."
    assert sentence("conflict", PAID.stream) == "An order with this ref and other content came before."
    with pytest.raises(DeclarationError, match="the pipeline's own"):
        Rule("duplicate", "true", "")


def test_without_rules_no_query_is_made() -> None:
    of = judging(Money("price", least=Decimal(1)))
    closed = duckdb.connect()
    closed.close()
    rows = judge_messages(closed, raw_table([order(price=2)]), of, INGESTED)
    assert rows["motifs"].to_pylist() == [[]]
    assert "signalements" not in rows.schema.names
    assert isinstance(rows, pa.Table)
