"""The pipeline's SQL: written in Spark's dialect, translated for DuckDB by sqlglot.

Most statements are composed from the stream's declaration (`statement`); a fixed one is a file in the package of the
code that runs it, named by its path (`sql`). `:name` is a parameter; its value becomes a literal, or, if it was made
with `fragment`, that SQL expression.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from typing import Literal

import sqlglot
from sqlglot import exp

PACKAGE = resources.files("ventes")
"""Also in a zip, as workers of a Spark cluster get this package."""
Dialect = Literal["spark", "duckdb"]
Value = str | int | Decimal | datetime | exp.Expr

_SLOT = re.compile(r"__slot_(\w+?)__")
_SOURCE = "databricks"
"""Spark 4 is ANSI, like Databricks: CAST fails on a bad value. sqlglot's "spark" would write TRY_CAST."""


def sql(name: str, dialect: Dialect, **params: Value) -> str:
    """The statement in <name>.sql for `dialect`, with every `:param` as a literal or fragment.

    Raises KeyError for a parameter that has no value.
    """
    return statement(_file(name), dialect, **params)


def statement(text: str, dialect: Dialect, **params: Value) -> str:
    """A statement in Spark's dialect for `dialect`, with every `:param` as a literal or fragment.

    Raises KeyError for a parameter that has no value.
    """
    return _SLOT.sub(lambda slot: _literal(params[slot[1]]).sql(dialect), _translated(text, dialect))


def fragment(expression: str) -> exp.Expr:
    """An SQL expression in Spark's dialect, as a value for a `:param`."""
    return sqlglot.parse_one(expression, read=_SOURCE)


@cache
def _file(name: str) -> str:
    return (PACKAGE / f"{name}.sql").read_text(encoding="utf-8")


@lru_cache(maxsize=256)
def _translated(text: str, dialect: Dialect) -> str:
    """The statement with a placeholder for each parameter, cached: translating takes 1–4 ms, too much for each lot."""
    parsed = sqlglot.parse_one(text, read=_SOURCE)
    for placeholder in list(parsed.find_all(exp.Placeholder)):
        placeholder.replace(exp.Var(this=f"__slot_{placeholder.name}__"))
    return parsed.sql(dialect, comments=False)


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
