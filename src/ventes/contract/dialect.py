"""SQL is written once: files in Spark's dialect, handed to Spark as they are and to DuckDB through sqlglot.

A file is one query. `{{name}}` in it is a place for SQL of the caller (an expression, a table), put in
before translation. Keep to what both engines run; tests/spark proves it file by file.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Literal

import sqlglot

Dialect = Literal["spark", "duckdb"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def sql(name: str, dialect: Dialect, **params: str) -> str:
    """The query of contract/sql/<name>.sql in `dialect`, each `{{key}}` replaced by params[key].

    `name` may hold folders ("silver/clean"). Raises KeyError for a place without a value or a value
    without a place: both are errors of the program, not of the data.
    """
    return _translated(name, dialect, tuple(sorted(params.items())))


@lru_cache(maxsize=256)
def _translated(name: str, dialect: Dialect, params: tuple[tuple[str, str], ...]) -> str:
    values = dict(params)
    text = _source(name)
    places = set(_PLACE.findall(text))
    if places != set(values):
        raise KeyError(f"sql/{name}.sql takes {sorted(places)}, given {sorted(values)}")
    text = _PLACE.sub(lambda place: values[place[1]], text)
    if dialect == "spark":
        return text
    (translated,) = sqlglot.transpile(text, read="spark", write=dialect, pretty=True)
    return translated


@lru_cache(maxsize=64)
def _source(name: str) -> str:
    return resources.files("ventes.contract").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8").rstrip("; \n")
