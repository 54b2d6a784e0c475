"""A query that DuckDB plans once and runs on other rows each time."""

from __future__ import annotations

import gc
import weakref

import duckdb
import pyarrow as pa
import pytest

from ventes.deltalog.database import Prepared, connect

SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.string())])


def rows(*numbers: int) -> pa.Table:
    return pa.table([pa.array(numbers, pa.int64()), [f"w{number}" for number in numbers]], schema=SCHEMA)


def test_each_run_has_its_own_rows() -> None:
    with connect() as con:
        doubled = Prepared(con, "SELECT 2 * n AS n, word FROM given WHERE n > 0", "given", SCHEMA)
        for numbers in ([1, 2], [], [-1], list(range(1, 10_000)), [3]):
            expected = [(2 * number, f"w{number}") for number in numbers if number > 0]
            found = doubled.run(rows(*numbers))
            assert list(zip(*found.to_pydict().values(), strict=True)) == expected


def test_other_statements_of_the_connection_do_not_touch_it() -> None:
    with connect() as con:
        total = Prepared(con, "SELECT sum(n)::BIGINT AS n FROM given", "given", SCHEMA)
        same_name = Prepared(con, "SELECT count(*) AS n FROM given", "given", SCHEMA)
        con.register("given", rows(100))
        con.execute("CREATE TABLE other AS SELECT 1 AS n")
        pending = con.execute("SELECT * FROM range(100_000)")
        assert total.run(rows(1, 2))["n"].to_pylist() == [3]
        assert same_name.run(rows(1, 2))["n"].to_pylist() == [2]
        assert len(pending.fetchall()) == 100_000


def test_after_an_error_it_runs_again() -> None:
    with connect() as con:
        cast = Prepared(con, "SELECT error('too large') AS n FROM given WHERE n > 9 UNION ALL SELECT word FROM given",
                        "given", SCHEMA)  # fmt: skip
        with pytest.raises(duckdb.Error, match="too large"):
            cast.run(rows(10))
        assert cast.run(rows(3))["n"].to_pylist() == ["w3"]


def test_it_keeps_neither_rows_nor_result() -> None:
    with connect() as con:
        same = Prepared(con, "SELECT * FROM given", "given", SCHEMA)
        given = rows(*range(50_000))
        kept = weakref.ref(given)
        before = pa.total_allocated_bytes()
        found = same.run(given)
        assert found.num_rows == 50_000
        del given, found
        gc.collect()
        assert kept() is None
        assert pa.total_allocated_bytes() < before
