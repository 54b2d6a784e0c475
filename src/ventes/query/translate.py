"""The first fence: a text in Spark's dialect becomes SQL for DuckDB if it is one SELECT made of what allowed.py lists.

sqlglot reads and writes it; corrections.py corrects its SQL where it would silently give another answer than Spark 4.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from ventes.query.allowed import ALLOWED, Lists, function_name
from ventes.query.corrections import RENAMED, Spark4, correct
from ventes.query.outcome import SqlRefused, Translated, perhaps

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it would log what people type

_WORD = re.compile(r"[^\W\d]\w*")


def translate(query: str, tables: Collection[str], allowed: Lists = ALLOWED) -> Translated:
    """`query` for DuckDB, if it is one SELECT over `tables` (lower case). Raises SqlRefused, MemoryError."""
    try:
        statements = [statement for statement in sqlglot.parse(query, read=Spark4) if statement is not None]
        if len(statements) != 1:
            raise SqlRefused(f"this holds {len(statements)} statements", "one SELECT is allowed")
        (statement,) = statements
        if not isinstance(statement, exp.Query):
            raise SqlRefused("only a SELECT is allowed", "the tables can be read, not changed")
        for node in statement.walk():
            _check(node, allowed)
        used, counts, counts_only = _tables_used(statement, tables), _counts(statement), _reads_no_column(statement)
        correct(statement)
        sql = statement.sql("duckdb", identify=True, comments=False)
        return Translated(sql, tuple(sorted(used)), tuple(sorted(counts)), counts_only)
    except SqlglotError as error:
        raise SqlRefused(f"this cannot be run here: {_first_line(error)}", "correct it, or write it simpler") from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # a tree that sqlglot did not expect
        raise SqlRefused(f"this cannot be run here: {_first_line(error)}", "write it simpler") from None
    except RecursionError:
        raise SqlRefused("this is nested too deeply", "write it with fewer brackets") from None


def _check(node: exp.Expr, allowed: Lists) -> None:
    """Raises SqlRefused for what is not listed in allowed.py."""
    kind = type(node).__name__
    if isinstance(node, exp.Func):
        name = function_name(node)
        if isinstance(node.parent, exp.Table | exp.Lateral):
            known = name.upper() in allowed.in_from
        elif isinstance(node, exp.Anonymous):
            known = name.lower() in allowed.names or name.lower() in RENAMED
        else:
            known = kind in allowed.functions
        if not known:
            raise SqlRefused(f"the function {name} is not allowed", "docs/dashboard.md says how far the dialect goes")
    elif kind not in allowed.nodes:
        raise SqlRefused(f"{_as_typed(kind)} is not allowed", "write a SELECT without it")
    if not isinstance(node.this, allowed.inside.get(type(node), object)):
        raise SqlRefused("something in FROM is no table", "write tables and subqueries there")
    # these are written as they stand
    if isinstance(node, exp.Var) and not _WORD.fullmatch(node.name):
        raise SqlRefused(f"{node.name!r} cannot stand there", "write a SELECT without it")
    if isinstance(node, exp.DataType) and not _is_known(node):
        raise SqlRefused(f"there is no type {node.sql(Spark4)}", "use a type of Spark")


def _reads_no_column(statement: exp.Query) -> bool:
    """Whether the answer is the same for any tables with as many rows: `*` only in count(*), no name of a column."""
    if any(statement.find_all(exp.Column, exp.Join, exp.Lateral)):  # a join may name columns in other ways
        return False
    return all(type(star.parent) is exp.Count for star in statement.find_all(exp.Star))


def _is_known(kind: exp.DataType) -> bool:
    return isinstance(kind.this, exp.DataType.Type | exp.Interval) and kind.this != exp.DataType.Type.USERDEFINED


def _as_typed(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).upper()


def _tables_used(statement: exp.Query, tables: Collection[str]) -> set[str]:
    """Raises SqlRefused for a table that is not offered, and for a WITH query whose name is no plain word."""
    listed = ", ".join(sorted(tables))
    for query in statement.find_all(exp.CTE):
        if not _WORD.fullmatch(query.alias):  # DuckDB takes others for files
            raise SqlRefused(f"{query.alias!r} cannot name a WITH query", "use letters and digits")
    own = _names_of_own(statement)
    used = set()
    for table in statement.find_all(exp.Table):
        if id(table) in own or isinstance(table.this, exp.Func):
            continue
        name = table.name.lower()
        if table.db or table.catalog or name not in tables:
            raise SqlRefused(f"there is no table {table.sql(Spark4)}", f"there are {listed}{perhaps(name, tables)}")
        used.add(name)
    return used


_COUNTED = (exp.Count, exp.CountIf, exp.Sum, exp.ApproxDistinct)


def _counts(statement: exp.Query) -> set[str]:
    """The names that are given to counts and sums, in subqueries too."""
    found = set()
    for alias in statement.find_all(exp.Alias):
        inner = alias.this.this if isinstance(alias.this, exp.Window) else alias.this
        if isinstance(inner, _COUNTED):
            found.add(alias.alias.lower())
    return found


def _names_of_own(statement: exp.Query) -> set[int]:
    """Ids of the nodes that name no table but a WITH query of the statement, where they stand."""
    return {
        id(node)
        for scope in traverse_scope(statement)
        for node, source in scope.selected_sources.values()
        if isinstance(source, Scope)
    }


_TOKEN = re.compile(r"<Token token_type: [^,]+, text: (.*?), line: [^>]*>")


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return _TOKEN.sub(r"\1", lines[0])[:300].rstrip(".") if lines else ""
