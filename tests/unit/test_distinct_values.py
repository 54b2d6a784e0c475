"""Distinct values in memory, of any type and any key, against Python's sets."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventes.lake.distinct_values import DistinctValues

UTC = timezone.utc
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1])),
    (pa.string(), st.sampled_from(["", "a", "A", "é", "e\u0301"])),
    (pa.decimal128(25, 9), st.sampled_from([Decimal("0.000000001"), Decimal("-1"), Decimal("1")])),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates(date(1969, 12, 30), date(1970, 1, 2))),
    (pa.timestamp("us", "UTC"), st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), datetime(1960, 1, 1, tzinfo=UTC)])),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
@pytest.mark.parametrize("width", [1, 3])
@given(data=st.data())
def test_as_many_as_in_a_set(
    kind: pa.DataType, values: st.SearchStrategy[Any], width: int, data: st.DataObject
) -> None:
    parts = st.tuples(*[st.sampled_from([None, "x", "y"])] * width)
    lots = data.draw(st.lists(st.lists(st.tuples(parts, st.one_of(st.none(), values)), max_size=12), max_size=4))
    kept, sets = DistinctValues(), defaultdict(set)
    for lot in lots:
        columns = [pa.chunked_array([pa.array([key[place] for key, _ in lot], pa.string())]) for place in range(width)]
        kept.add(columns, pa.chunked_array([pa.array([value for _, value in lot], kind)]))
        for key, value in lot:
            if value is not None:
                sets[key].add(value)
    keys = list({key for lot in lots for key, _ in lot} | {("nobody",) * width})
    columns = [pa.chunked_array([pa.array([key[place] for key in keys], pa.string())]) for place in range(width)]
    assert kept.counts(columns).to_pylist() == [len(sets[key]) for key in keys]


def test_more_keys_than_a_small_number_holds() -> None:
    many = 70_000
    kept = DistinctValues()
    keys = pa.chunked_array([pa.array(range(many))])
    for value in (2, 1, 2):
        kept.add([keys], pa.chunked_array([pa.array([value] * many)]))
    assert set(kept.counts([keys]).to_pylist()) == {2}
