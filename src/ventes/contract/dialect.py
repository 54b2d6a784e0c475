"""The pipeline's SQL files: written in Spark's dialect, translated for DuckDB by sqlglot.

A file is in the package of the code that runs it and is named by its path: "engines/sql/clean". The statements in
BOTH_ENGINES are run by Spark and by DuckDB; a test compares their rows. All others are run by DuckDB only, with either
engine. `:name` in a file is a parameter; its value becomes a literal, or, if it was made with `fragment`, that SQL
expression.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Literal

import sqlglot
from sqlglot import exp

PACKAGE = resources.files("ventes")
"""Also in a zip, as workers of a Spark cluster get this package."""
BOTH_ENGINES = ("engines/sql/judged", "engines/sql/clean", "engines/sql/rejected")
"""Statements that Spark runs too, for lots that do not fit in memory."""
Dialect = Literal["spark", "duckdb"]
Value = str | int | Decimal | datetime | exp.Expr

_SLOT = re.compile(r"__slot_(\w+?)__")
_SOURCE = "databricks"
"""Spark 4 is ANSI, like Databricks: CAST fails on a bad value. sqlglot's "spark" would write TRY_CAST."""


def sql(name: str, dialect: Dialect, **params: Value) -> str:
    """The statement in <name>.sql for `dialect`, with every `:param` as a literal or fragment.

    Raises KeyError for a parameter that has no value.
    """
    return _SLOT.sub(lambda slot: _literal(params[slot[1]]).sql(dialect), _translated(name, dialect))


def fragment(expression: str) -> exp.Expr:
    """An SQL expression in Spark's dialect, as a value for a `:param`."""
    return sqlglot.parse_one(expression, read=_SOURCE)


@cache
def _translated(name: str, dialect: Dialect) -> str:
    """The statement with a placeholder for each parameter, cached: translating takes 1–4 ms, too much for each lot."""
    statement = sqlglot.parse_one((PACKAGE / f"{name}.sql").read_text(encoding="utf-8"), read=_SOURCE)
    for placeholder in list(statement.find_all(exp.Placeholder)):
        placeholder.replace(exp.Var(this=f"__slot_{placeholder.name}__"))
    return statement.sql(dialect, comments=False)


def _literal(value: Value) -> exp.Expr:
    if isinstance(value, exp.Expr):
        return value
    if isinstance(value, datetime):
        return exp.Literal.string(value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))
    if isinstance(value, Decimal):
        return exp.Literal.number(format(value, "f"))
    if isinstance(value, int):
        return exp.Literal.number(value)
    return exp.Literal.string(value)
