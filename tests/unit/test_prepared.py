"""Queries that DuckDB plans once and runs on other rows each time."""

from __future__ import annotations

import gc
import weakref
from datetime import datetime, timezone

import duckdb
import pyarrow as pa
import pytest

from ventes.deltalog.database import Prepared, connect, run

SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.string())])
AT = datetime(2026, 1, 5, 9, 0, 0, 250_000, tzinfo=timezone.utc)


def rows(*numbers: int) -> pa.Table:
    return pa.table([pa.array(numbers, pa.int64()), [f"w{number}" for number in numbers]], schema=SCHEMA)


def planned(con: duckdb.DuckDBPyConnection) -> int:
    """How many queries the database has planned, since `enable_logging`."""
    found = con.execute("SELECT count(*) FROM duckdb_logs WHERE type = 'QueryLog' AND message LIKE 'PREPARE%'")
    return int(found.fetchall()[0][0])


def test_each_run_has_its_own_rows() -> None:
    with connect() as con:
        con.execute("CALL enable_logging('QueryLog')")
        for numbers in ([1, 2], [], [-1], list(range(1, 10_000)), [3]):
            found = run(con, "SELECT 2 * n AS n, word FROM given WHERE n > 0", {"given": rows(*numbers)})
            expected = [(2 * number, f"w{number}") for number in numbers if number > 0]
            assert list(zip(*found.to_pydict().values(), strict=True)) == expected
        assert planned(con) == 1


def test_relations_and_parameters() -> None:
    columns = "g.n + CAST($more AS BIGINT) AS n, CAST($at AS TIMESTAMPTZ) AS at"
    query = f"SELECT {columns} FROM given g JOIN others o ON g.word = o.word"
    with connect() as con:
        con.execute("CALL enable_logging('QueryLog')")
        for more in (1, -(2**40)):
            relations = {"given": rows(1, 2, 3), "others": rows(2)}
            assert run(con, query, relations, more=more, at=AT).to_pylist() == [{"n": 2 + more, "at": AT}]
        assert planned(con) == 1


def test_rows_of_another_schema_are_another_relation() -> None:
    with connect() as con:
        for kind, value in ((pa.int64(), 2**40), (pa.string(), "x"), (pa.int64(), 5)):
            given = pa.table({"n": pa.array([value], kind)})
            assert run(con, "SELECT * FROM given", {"given": given}).equals(given)


def test_other_statements_of_the_connection_do_not_touch_it() -> None:
    total, count = "SELECT sum(n)::BIGINT AS n FROM given", "SELECT count(*) AS n FROM given"
    with connect() as con:
        con.register("given", rows(100))
        for _ in range(2):
            pending = con.execute("SELECT * FROM range(100_000)")
            assert run(con, total, {"given": rows(1, 2)})["n"].to_pylist() == [3]
            assert run(con, count, {"given": rows(1, 2)})["n"].to_pylist() == [2]
            assert len(pending.fetchall()) == 100_000
            con.execute("CREATE OR REPLACE TABLE other AS SELECT 1 AS n")


def test_after_an_error_it_runs_again() -> None:
    query = "SELECT error('too large') AS n FROM given WHERE n > 9 UNION ALL SELECT word FROM given"
    with connect() as con:
        with pytest.raises(duckdb.Error, match="too large"):
            run(con, query, {"given": rows(10)})
        assert run(con, query, {"given": rows(3)})["n"].to_pylist() == ["w3"]


def test_so_many_queries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ventes.deltalog.database._MOST_PREPARED", 2)
    with connect() as con:
        con.execute("CALL enable_logging('QueryLog')")
        for number in (1, 2, 1, 3, 1, 2):  # 3 takes the place of 2, which was not used for the longest time
            assert run(con, f"SELECT n + {number} AS n FROM given", {"given": rows(0)})["n"].to_pylist() == [number]
        assert planned(con) == 4


def test_it_keeps_neither_rows_nor_result() -> None:
    with connect() as con:
        same = Prepared(con, "SELECT * FROM given", {"given": SCHEMA})
        given = rows(*range(50_000))
        kept = weakref.ref(given)
        before = pa.total_allocated_bytes()
        found = same.run({"given": given})
        assert found.num_rows == 50_000
        del given, found
        gc.collect()
        assert kept() is None
        assert pa.total_allocated_bytes() < before
