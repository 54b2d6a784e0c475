"""Typed SQL answers as Spark 4 did (tests/corpus/spark_sql.jsonl), or as the line of the corpus says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from harness import hostile_sql, spark_sql
from ventes.query import sandbox_child, values
from ventes.query.outcome import SqlRefused
from ventes.query.translate import translate

LINES = list(spark_sql.corpus())


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB as the child opens it, with the tables of the corpus."""
    with sandbox_child.open_database(256, []) as con:
        for name, table in spark_sql.TABLES.items():
            con.register(name, table)
        yield con


def answer(con: duckdb.DuckDBPyConnection, sql: str) -> list[list[Any]] | None:
    """The rows as plain values; None if it is refused or fails."""
    try:
        result = con.sql(translate(sql, set(spark_sql.TABLES)).sql)
        found = result.project(sandbox_child.columns(result)).to_arrow_table()
    except (SqlRefused, duckdb.Error):
        return None
    columns = [values.python_values(column) for column in found.columns]
    return [[spark_sql.plain(value) for value in row] for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["sql"])
def test_a_query_answers_as_spark_did(con: duckdb.DuckDBPyConnection, line: dict[str, Any]) -> None:
    ours = answer(con, line["sql"])
    as_spark = ours is None if "error" in line else ours is not None and spark_sql.same_rows(ours, line)
    expected = {"same": as_spark, "refused": ours is None, "differs": ours is not None and not as_spark}
    assert expected[line["here"]], ours
    assert ("why" in line) == (line["here"] == "differs")


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT SUM(CAST(t AS INT)), CAST(9007199254740993 AS BIGINT) FROM one", [[1, 9007199254740993]]),
        ("SELECT n / (i - i) FROM one WHERE false", []),
        ("SELECT s AS a, n AS a, 'x' AS a_2, z AS A FROM one", [["Chaise pliante", 7, "x", 0]]),
    ],
)
def test_what_is_mended_stays_right(con: duckdb.DuckDBPyConnection, sql: str, rows: list[list[Any]]) -> None:
    assert answer(con, sql) == rows


@pytest.mark.parametrize(
    ("sql", "equal"),
    [
        ("SELECT a, b FROM t ORDER BY a", True),  # the rows with a = 1 tie
        ("SELECT a, b FROM t", True),
        ("SELECT a, b FROM t ORDER BY a, b", False),
    ],
)
def test_the_order_counts_as_far_as_the_statement_determines_it(sql: str, equal: bool) -> None:
    line = {"sql": sql, "types": ["int", "int"], "rows": [[1, 10], [1, 40], [2, 20]]}
    assert spark_sql.same_rows([[1, 40], [1, 10], [2, 20]], line) is equal
    assert not spark_sql.same_rows([[1, 40], [1, 40], [2, 20]], line)


def test_random_texts_pass_neither_fence_alone() -> None:
    """Nor the second fence and the first one without one of its lists, each of which refuses some of them alone."""
    alone: Counter[str] = Counter()
    assert list(hostile_sql.search(seed=7, count=300, alone=alone)) == []
    assert all(alone[name] for name in hostile_sql.WITHOUT), alone


@pytest.mark.parametrize(
    ("without", "sql", "refused", "by_duckdb"),
    [
        ("nodes", "SELECT TRANSFORM(a) USING 'cat secret.txt' AS b FROM bronze_data", "QUERY TRANSFORM is not allowed",
         "syntax error"),
        ("functions", "SELECT read_parquet('secret.parquet') FROM bronze_data", "function READ_PARQUET is not allowed",
         "table function but it was used as a scalar function"),
        ("names", "SELECT getenv('VENTES_CANARY')", "function getenv is not allowed", "getenv does not exist"),
        ("in_from", "SELECT * FROM read_text('secret.txt')", "function read_text is not allowed",
         "file system operations are disabled by configuration"),
        ("in_from", "SELECT * FROM bronze_data, LATERAL read_blob('secret.txt')", "function read_blob is not allowed",
         "file system operations are disabled by configuration"),
        ("inside", "SELECT * FROM bronze_data, LATERAL `secret.csv`", "something in FROM is no table", "syntax error"),
    ],
)  # fmt: skip
def test_what_one_list_alone_refuses_duckdb_refuses_too(without: str, sql: str, refused: str, by_duckdb: str) -> None:
    with pytest.raises(SqlRefused, match=refused):
        translate(sql, hostile_sql.OFFERED)
    with hostile_sql.trap():
        ((name, passed),) = hostile_sql.refused_alone(sql)
        shown = hostile_sql.shown_by_locked_duckdb(passed)
    assert name == without
    assert by_duckdb in shown
    assert hostile_sql.SECRET not in shown


def test_no_function_passes_the_text_that_reads() -> None:
    assert list(hostile_sql.every_function()) == []
