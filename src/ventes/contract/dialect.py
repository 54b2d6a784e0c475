"""The pipeline's SQL: written in Spark's dialect, translated for DuckDB by sqlglot.

The statements are composed from the stream's declaration. `:name` is a parameter; its value becomes a literal.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import sqlglot
from sqlglot import exp

Dialect = Literal["spark", "duckdb"]
Value = str | int | Decimal | datetime

_SLOT = re.compile(r"__slot_(\w+?)__")
_SOURCE = "databricks"
"""Spark 4 is ANSI, like Databricks: CAST fails on a bad value. sqlglot's "spark" would write TRY_CAST."""


def statement(text: str, dialect: Dialect, **params: Value) -> str:
    """A statement in Spark's dialect for `dialect`, with every `:param` as a literal.

    Raises KeyError for a parameter that has no value.
    """
    return _SLOT.sub(lambda slot: _literal(params[slot[1]]).sql(dialect), _translated(text, dialect))


@lru_cache(maxsize=256)
def _translated(text: str, dialect: Dialect) -> str:
    """The statement with a placeholder for each parameter, cached: translating takes 1–4 ms, too much for each lot."""
    parsed = sqlglot.parse_one(text, read=_SOURCE)
    for placeholder in list(parsed.find_all(exp.Placeholder)):
        placeholder.replace(exp.Var(this=f"__slot_{placeholder.name}__"))
    return parsed.sql(dialect, comments=False)


def _literal(value: Value) -> exp.Expr:
    if isinstance(value, datetime):
        return exp.Literal.string(value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))
    if isinstance(value, Decimal):
        return exp.Literal.number(format(value, "f"))
    if isinstance(value, int):
        return exp.Literal.number(value)
    return exp.Literal.string(value)
