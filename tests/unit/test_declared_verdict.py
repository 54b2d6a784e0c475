"""For any declaration: what SQL decides, `judge` decides so too: values, reasons, unknown fields, day.

`DECLARATIONS=1000 pytest tests/unit/test_declared_verdict.py` draws more of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.corpus import ARRIVAL
from harness.declared_streams import declarations, messages
from harness.messages import raw_table
from harness.verdicts import decided
from ventes.judging.judge_batch import fast_rows, judge_messages
from ventes.judging.judge_rows import judge_rows
from ventes.judging.verdict import Judging

INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
ZONES = (ZoneInfo("UTC"), ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kathmandu"))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


@settings(
    max_examples=int(os.environ.get("DECLARATIONS", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_the_fast_path_says_only_what_judge_says(con: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    stream = data.draw(declarations())
    judging = Judging(stream, data.draw(st.sampled_from(ZONES)), data.draw(st.sampled_from(ZONES)))
    values: list[bytes | None] = data.draw(st.lists(messages(stream), min_size=15, max_size=25))
    raw = raw_table(values, ARRIVAL)
    fast = fast_rows(con, raw, judging, INGESTED.year)
    if fast is not None:
        decided(fast, raw, judging)
    judged = judge_rows(raw["value"], raw["kafka_ts"], judging).to_pylist()
    rows = judge_messages(con, raw, judging, INGESTED, 0).to_pylist()
    for value, row, wanted in zip(values, rows, judged, strict=True):
        assert {name: row[name] for name in wanted} == wanted, value
