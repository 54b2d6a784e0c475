"""Which unknown names the fast path asks for: frequent ones, a bounded number, none that SQL could take for another."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone

import duckdb
import pyarrow as pa
import pytest

from harness.messages import VERDICT, assert_same_rows, expected, raw_table, valid_sale
from ventes.config import Settings
from ventes.judging.fast_extra import Names
from ventes.judging.judge_batch import fast_rows, judge_messages
from ventes.judging.unknown_names import MOST, SAMPLE, sampled, with_earlier
from ventes.judging.verdict import Judging, judge_of

JUDGING = Judging.of(Settings())
JUDGE = judge_of(JUDGING)


def names_of(*texts: str | None) -> Names:
    return sampled(pa.array(texts, pa.string()), JUDGE)


def test_names_of_unknown_members_and_of_objects_in_them() -> None:
    assert names_of('{"pays": "x", "geo": {"lon": 1, "lat": {"a": {"b": 1}}}, "canal": null}') == (
        ("canal",),
        ("geo",),
        ("geo", "lat"),
        ("geo", "lat", "a"),
        ("geo", "lon"),
    )


def test_what_is_no_object_has_none() -> None:
    assert names_of(None, "", "[1]", "3", '{"a"', "[" * 100_000, '{"": 1, "q\\"t": 1, "a\\\\b": 1, "\\u0000": 1}') == ()


def test_a_message_that_is_too_large_for_sql_is_not_read() -> None:
    text = json.dumps({"canal": "é" * 5_000}, ensure_ascii=False)
    assert names_of(text) == (("canal",),)
    assert names_of(text.replace("é", "éé")) == ()


def test_a_rare_name_does_not_count() -> None:
    texts = [json.dumps({"canal": "web", f"own_{number}": 1}) for number in range(SAMPLE * 10)]
    assert names_of(*texts) == (("canal",),)


def test_names_are_bounded_and_have_their_objects() -> None:
    names = names_of(json.dumps({f"o{number}": {f"k{inner}": 1 for inner in range(9)} for number in range(99)}))
    assert len(names) == MOST
    assert all(path[:-1] in names for path in names if len(path) > 1)


def test_names_of_earlier_batches_stay_while_they_are_few() -> None:
    few, many = (("a",), ("b",)), tuple((f"n{number}",) for number in range(9))
    assert with_earlier((("c",),), few) == (("a",), ("b",), ("c",))
    assert with_earlier((("c",),), many) == (("c",),)


@pytest.mark.parametrize(
    "first", ["e\u0301", "\u00e9", "\u0130", "ss", "K", "0", "a.b", "a b", "_f", "$x", "x$", "null"]
)
def test_any_name_that_is_asked_for_gives_what_judge_gives(first: str) -> None:
    others = (
        "\u00e9",
        "\u00c9",
        "\u00df",
        "\u1e9e",
        "k",
        "\u212a",
        "a",
        "_text0_0",
        "b/c",
        "0 ",
        "select",
        "東京",
        "PAYS",
        "٣",
    )
    text = json.dumps({first: {"a": 1, first: None}, **{name: 0.5 for name in others if name != first}})
    raw = raw_table([text.encode(), text.replace("0.5", "0.50").encode(), text.replace("}", ",}", 1).encode()])
    with duckdb.connect() as con:
        rows = judge_messages(con, raw, JUDGING, datetime(2026, 1, 5, tzinfo=timezone.utc), few=0)
    assert_same_rows(rows.select(VERDICT.names), expected(raw, Settings()), raw["value"].to_pylist())


HIDDEN = (
    ('"a": "\\u001f", "b": "\\u0001"', "Python writes small letters"),
    ('"a": ["\\u001f"]', "in a list"),
    ('"o": {"a": 1.5, "other": 2}', "a key of an unknown object that is not asked for"),
    ('"o": {"o": {"a": 1.5, "other": null}}', "deeper"),
    ('"a": 1, "a": 1', "a key twice"),
    ('"a": 1, "\\u0061": 2', "the same key with an escape"),
    ('"a": 1, "a": null', "once null"),
    ('"o": {"a": 1, "a": 1}', "in an unknown object"),
    ('"o": {"a": 1}, "o": {"a": 1}', "an unknown object twice"),
    ('"o": {"o": {"b": null, "b": null}}', "null twice"),
    ('"a": -0', "a number that DuckDB may write as 0"),
    ('"a": 1.50', "a zero at the end"),
    ('"a" : 1.50', "a blank before the colon"),
    ('"\\u0061": 1.50', "a key with an escape"),
    ('"o": {"b": 1.50}, "b": 1.5', "one name twice: the other one has the text"),
    ('"b": 1.50, "o": {"b": 1.5}', "the other way round"),
    ('"b": [0.50], "o": {"b": [0.5]}', "lists"),
    ('"only": 1.5e0', "with an exponent"),
    ('"only": 0.10000000000000000555', "more digits than a double has"),
    ('"only": 1234567890123456.75', "many digits before the point"),
    ('"only": [1.50, 2]', "in a list"),
    ('"only": [1,]', "a comma too many"),
    ('"only": [1 , ]', "and blanks"),
    ('"o": {"a": 1,}', "in an object"),
    ('"only": [NaN]', "no number of JSON"),
    ('"only": NaN', "alone"),
    ('"only": [[1.50]]', "a list in a list"),
    ('"only": 1.50, "a": "\\"only\\": 1.5,"', "the text in another text"),
    ('"only": ["a,b", 1.50]', "a comma in a text"),
    ('"PAYS": 1', "the name of a field but for its case"),
)


@pytest.mark.parametrize(("members", "why"), HIDDEN)
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_what_sql_cannot_write_is_left_to_judge(members: str, why: str, separators: tuple[str, str]) -> None:
    """Each among messages that have its names, so that it is asked for by them, and that SQL does write."""
    comma, colon = separators
    known = json.dumps(valid_sale(random.Random(1)) | {"montant": 5, "client_nom": "x"}, separators=separators)[:-1]
    usual = '"a": 1, "b": "x", "o": {"a": 1.5, "b": 2, "o": {"a": "x", "b": null}}, "only": [0.5, "x", null]'
    texts = [f"{known}{comma}{text.replace(', ', comma).replace(': ', colon)}}}" for text in (usual, members)]
    raw = raw_table([*[texts[0].encode()] * 15, texts[1].encode()])
    with duckdb.connect() as con:
        found = fast_rows(con, raw, JUDGING, 2026)
        rows = judge_messages(con, raw, JUDGING, datetime(2026, 1, 5, tzinfo=timezone.utc), few=0)
    assert found is not None
    assert found["_extra_open"].to_pylist() == [False] * 15 + [True], why
    assert_same_rows(rows.select(VERDICT.names), expected(raw, Settings()), raw["value"].to_pylist())
