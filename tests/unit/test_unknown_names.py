"""Which unknown names the fast path asks for: frequent ones, a bounded number, none that SQL could take for another."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import duckdb
import pyarrow as pa
import pytest

from harness.messages import VERDICT, assert_same_rows, expected, raw_table
from ventes.config import Settings
from ventes.judging.fast_extra import Names
from ventes.judging.judge_batch import judge_messages
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
        "٣",
    )
    text = json.dumps({first: {"a": 1, first: None}, **{name: 0.5 for name in others if name != first}})
    raw = raw_table([text.encode(), text.replace("0.5", "0.50").encode(), text.replace("}", ",}", 1).encode()])
    with duckdb.connect() as con:
        rows = judge_messages(con, raw, JUDGING, datetime(2026, 1, 5, tzinfo=timezone.utc), few=0)
    assert_same_rows(rows.select(VERDICT.names), expected(raw, Settings()), raw["value"].to_pylist())
