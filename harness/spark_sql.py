"""What Spark answers to SQL, kept in tests/corpus/spark_sql.jsonl: the pattern for what a typed query answers here.

A line has the SQL, Spark's rows with their types or the name of its error, and what is expected here:
  same      the same rows, or an error where Spark raises
  refused   refused by name, where Spark has an answer
  differs   another answer, for the reason that "why" gives

`python -m harness.spark_sql` asks Spark again about every line of the file, and about every line of standard input that
is SQL, for which "here" is "same". It takes a second a line.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlglot

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "corpus" / "spark_sql.jsonl"
_NUMBER = re.compile(r"\b(tinyint|smallint|int|bigint|decimal|double|float)\b")
_UTC = pa.timestamp("us", "UTC")
TABLES = {
    "one": pa.table(
        {
            "n": pa.array([7], pa.int64()),
            "z": pa.array([0], pa.int64()),
            "i": pa.array([3], pa.int32()),
            "big": pa.array([2**63 - 1], pa.int64()),
            "m": pa.array([Decimal("12.50")], pa.decimal128(12, 2)),
            "mz": pa.array([Decimal("0.00")], pa.decimal128(12, 2)),
            "x": pa.array([2.5]),
            "s": ["Chaise pliante"],
            "w": [" a b "],
            "bad": ["abc"],
            "num": ["42"],
            "ts": pa.array([datetime(2026, 3, 10, 13, 5, 9, 123456, tzinfo=timezone.utc)], _UTC),
            "d": [date(2026, 3, 10)],
            "l": pa.array([["b", "a", None]], pa.list_(pa.string())),
            "ln": pa.array([[3, 1, 2]], pa.list_(pa.int64())),
            "b": ["hé".encode()],
            "t": [True],
            "nul": pa.array([None], pa.int64()),
            "nul_s": pa.array([None], pa.string()),
            "nul_l": pa.array([None], pa.list_(pa.string())),
            "h": pa.array([[{"key": "k", "value": b"v"}]]),
            "pays_": ["FR"],
        }
    ),
    "t": pa.table(
        {
            "a": pa.array([1, 2, None, 1], pa.int32()),
            "b": pa.array([10, 20, 30, 40], pa.int32()),
            "c": ["x", "y", "x", "z"],
            "l": pa.array([["p", "q"], [], ["p", None], None], pa.list_(pa.string())),
            "d": [date(2026, 3, day) for day in range(1, 5)],
        }
    ),
    "u": pa.table({"x": ["x", "y", "w"], "y": pa.array([100, 200, 300], pa.int32())}),
}
"""What the lines of the corpus ask for."""


def corpus() -> Iterator[dict[str, Any]]:
    with CORPUS.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def plain(value: Any) -> Any:
    """A value of either engine as JSON has it: exact decimals, times and bytes as text."""
    if isinstance(value, datetime):
        return str(value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value)
    if isinstance(value, bytes | bytearray):
        return f"bytes {bytes(value).hex()}"
    if isinstance(value, Decimal | date | timedelta):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {str(plain(key)): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def same(ours: Any, theirs: Any, kind: str) -> bool:
    """Whether two plain values of Spark's type `kind` are the same; quotients and averages are doubles here."""
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(ours) == len(theirs) and all(same(a, b, kind) for a, b in zip(ours, theirs, strict=True))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key], kind) for key in theirs)
    if ours is None or theirs is None or isinstance(theirs, bool) or isinstance(ours, bool):
        return ours is theirs
    if _NUMBER.search(kind) and "string" not in kind:
        try:
            a, b = float(ours), float(theirs)
        except (TypeError, ValueError):
            return False
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
    return bool(ours == theirs)


def same_rows(ours: Sequence[Sequence[Any]], line: dict[str, Any]) -> bool:
    """Whether the rows are those of a line of the corpus.

    Their order counts as far as ORDER BY determines it: the columns it names have the same sequence of values. Rows
    that tie in it, and rows without it, may come in any order in either engine.
    """
    theirs, kinds = line["rows"], line["types"]
    left = list(theirs)
    for row in ours:
        equal = next((wanted for wanted in left if _same_row(row, wanted, kinds)), None)
        if equal is None:
            return False
        left.remove(equal)
    ordered = _ordered_columns(line["sql"])
    return not left and all(same(a[i], b[i], kinds[i]) for a, b in zip(ours, theirs, strict=True) for i in ordered)


def _same_row(ours: Sequence[Any], theirs: Sequence[Any], kinds: Sequence[str]) -> bool:
    return len(ours) == len(theirs) and all(same(*cell) for cell in zip(ours, theirs, kinds, strict=True))


def _ordered_columns(sql: str) -> list[int]:
    """The columns of the result that the statement's own ORDER BY names, as far as all before them are there too."""
    statement = sqlglot.parse_one(sql, read="spark")
    order = statement.args.get("order")
    if order is None or not isinstance(statement, sqlglot.exp.Query):
        return []
    names = [column.alias_or_name for column in statement.selects]
    keys = [key.this.name for key in order.expressions]
    return [names.index(key) for key in takewhile(names.__contains__, keys)]


def _ask_spark(statements: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Spark's answer to each statement: {"types", "rows"} or {"error"}."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    for name, table in TABLES.items():
        spark.createDataFrame(table).coalesce(1).cache().createOrReplaceTempView(name)
    for statement in statements:
        try:
            frame = spark.sql(statement)
            types = [field.dataType.simpleString() for field in frame.schema]
            yield {"types": types, "rows": [plain(list(row)) for row in frame.collect()]}
        except PySparkException as error:
            yield {"error": error.getCondition() or type(error).__name__}


def main() -> None:
    lines = list(corpus()) if CORPUS.exists() else []
    known = {line["sql"] for line in lines}
    added = [] if sys.stdin.isatty() else [text.strip() for text in sys.stdin]
    lines += [{"sql": text, "here": "same"} for text in added if text and text not in known]
    with CORPUS.open("w", encoding="utf-8") as out:
        for line, answer in zip(lines, _ask_spark([line["sql"] for line in lines]), strict=True):
            kept = {key: line[key] for key in ("sql", "here", "why") if key in line}
            out.write(json.dumps({**kept, **answer}, ensure_ascii=False) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
