"""Random SQL that tries to get out: trees of sqlglot's own classes around functions that read, in several dialects.

Each fence of ventes.query is tried alone, with the others taken away:
  the text    `translate` takes it, and what comes of it is run by a DuckDB that may read files and change settings;
  DuckDB      the text as it is, run by a DuckDB with the sandbox's locks;
  a list      of allowed.py is taken away: what it alone refused is run by a DuckDB with the sandbox's locks.
Files, a setting and an environment variable hold a secret that may be in no result and no message, and no file may come
into being. `translate` may raise nothing but SqlRefused.

`python -m harness.hostile_sql --seed N --count N` tries N texts and prints those that got through.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ventes.query import sandbox_child
from ventes.query.allowed import ALLOWED, Lists
from ventes.query.outcome import SqlRefused
from ventes.query.translate import translate

SECRET = "canary-5e0c1d"
VARIABLE = "VENTES_CANARY"
OFFERED = ("bronze_data", "ventes_clean")
FILES = ("secret.csv", "secret.json", "secret.parquet", "secret.txt", "secret.db", "*", "secret.*")
SECONDS = 2.0
"""A text is interrupted after this: the time limit is not what is tried here."""


def _words(text: str) -> list[str]:
    return text.split()


READING = _words(
    """
    read_csv read_csv_auto read_text read_blob read_json read_json_objects read_parquet parquet_scan
    parquet_metadata parquet_schema glob sniff_csv duckdb_settings duckdb_views duckdb_secrets duckdb_databases
    pragma_database_list pragma_table_info query query_table getenv current_setting histogram
    json_execute_serialized_sql sqlite_scan read_duckdb test_all_types unnest explode range java_method reflect
    input_file_name write_log
    """
)
SYSTEM = _words(
    """
    duckdb_settings sqlite_master pragma_database_list information_schema.tables pg_catalog.pg_class
    system.main.duckdb_settings memory.main.bronze_data
    """
)
PATTERNS = (
    *("{query}",) * 4,
    *("{nodes}",) * 2,
    "SELECT {function} FROM bronze_data",
    "SELECT * FROM {source}",
    "SELECT * FROM bronze_data, LATERAL {source}",
    "SELECT * FROM bronze_data LATERAL VIEW {call} t AS a",
    "SELECT * FROM bronze_data JOIN {source} ON true",
    "SELECT (SELECT max(a) FROM {source})",
    "WITH t AS (SELECT * FROM {source}) SELECT * FROM t",
    "WITH a AS (SELECT 1), t AS (WITH b AS (SELECT * FROM {source}) SELECT * FROM b) SELECT * FROM t",
    "SELECT * FROM (WITH `{path}` AS (SELECT 1) SELECT * FROM `{path}`) AS t, `{path}`",
    "SELECT a FROM bronze_data UNION ALL SELECT * FROM {source}",
    "SELECT {call} FROM bronze_data",
    "SELECT sum(1) OVER w FROM bronze_data WINDOW w AS (ORDER BY {call})",
    "SELECT max(a) FILTER (WHERE a IN (SELECT a FROM {source})) FROM bronze_data",
    "FROM {source}",
    "SELECT 1; {statement}",
    "{statement}",
    "SELECT '\\'; {statement}; --'",
    "SELECT 'a''; {statement}; --'",
    'SELECT "x""y" AS `a"; {statement}; --`',
)
STATEMENTS = (
    "COPY (SELECT 1) TO '{folder}/new'", "EXPORT DATABASE '{folder}/new'", "ATTACH '{folder}/new'", "LOAD httpfs",
    "SET enable_external_access = true", "RESET allowed_paths", "CREATE TABLE x AS SELECT * FROM '{folder}/secret.csv'",
    "CREATE MACRO f() AS TABLE SELECT * FROM '{folder}/secret.csv'", "PREPARE p AS SELECT * FROM '{folder}/secret.csv'",
    "EXPLAIN ANALYZE SELECT * FROM '{folder}/secret.csv'", "SUMMARIZE '{folder}/secret.csv'", "DROP VIEW bronze_data",
    "PIVOT '{folder}/secret.csv' ON a", "CALL pragma_database_list()", "SHOW TABLES",
    "ATTACH '{folder}/secret.db' AS o",
)  # fmt: skip
WITHOUT_NODES = (
    "SELECT TRANSFORM({call}) USING 'cat {path}' AS b FROM bronze_data",
    "SELECT * FROM bronze_data VERSION AS OF 1, {source}",
    "SELECT * FROM bronze_data TIMESTAMP AS OF {call}",
    "SELECT {call} AT TIME ZONE '{path}' FROM bronze_data",
    "SELECT :a, {call} FROM bronze_data",
    "SELECT @@a FROM {source}",
    "SELECT * FROM bronze_data PIVOT (max(a) FOR s IN ('{path}'))",
    "SELECT a FROM bronze_data WHERE s GLOB '{path}'",
    "SELECT /*+ BROADCAST(`{path}`) */ a FROM bronze_data",
    "SELECT a FROM bronze_data CLUSTER BY {call}",
)
"""Pieces of a SELECT that Spark has and that are not offered."""
DIALECTS = ("databricks", "databricks", "duckdb", "duckdb", "postgres", "snowflake", "bigquery", "")


@dataclass(frozen=True)
class Through:
    """A text that a fence let through, and what it did."""

    text: str
    fence: str
    what: str


class Texts:
    """Random texts. The same seed gives the same ones."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._folder = folder
        known = {one for one in _subclasses(exp.Expression) if one.__module__.startswith("sqlglot")}
        self._classes = sorted(known, key=lambda one: one.__name__)
        self._functions = [one for one in self._classes if issubclass(one, exp.Func)]

    def one(self) -> str:
        text = self._rng.choice(PATTERNS)
        pieces: dict[str, Callable[[], str]] = {
            "{nodes}": lambda: self._rng.choice(WITHOUT_NODES),
            "{function}": lambda: self._written(self._filled(self._rng.choice(self._functions), 1)),
            "{statement}": lambda: self._rng.choice(STATEMENTS).format(folder=self._folder),
            "{query}": lambda: self._written(self._query(3)),
            "{source}": lambda: self._written(self._source(1)),
            "{call}": lambda: self._written(self._call()),
            "{path}": self._path,
        }
        for name, piece in pieces.items():
            while name in text:
                text = text.replace(name, piece(), 1)
        if self._rng.random() < 0.2:
            at = self._rng.randrange(len(text) + 1)
            text = (
                text[:at]
                + self._rng.choice(("'", '"', "`", ";", "--", "/*", "*/", "(", ")", "\\", "\0", "$$"))
                + text[at:]
            )
        return text

    def _path(self) -> str:
        name = self._rng.choice(FILES)
        return self._rng.choice((name, f"{self._folder}/{name}", f"file://{self._folder}/{name}", "/proc/self/environ"))

    def _call(self) -> exp.Expr:
        path, choose = exp.Literal.string(self._path()), self._rng.choice
        named = exp.Literal.string(choose((VARIABLE, "allowed_paths")))
        arguments = choose(([path], [exp.array(path)], [], [named], [path, exp.column("a")]))
        call = exp.Anonymous(this=choose(READING), expressions=arguments)
        return choose((call, call, exp.Dot(this=exp.to_identifier("main"), expression=call)))

    def _tree(self, depth: int) -> exp.Expr:
        if depth <= 0 or self._rng.random() < 0.15:
            return self._leaf()
        if self._rng.random() < 0.2:
            return self._rng.choice((self._call, lambda: exp.Subquery(this=self._query(depth - 1))))()
        return self._filled(self._rng.choice(self._functions if self._rng.random() < 0.6 else self._classes), depth)

    def _filled(self, kind: type[exp.Expr], depth: int) -> exp.Expr:
        parts: dict[str, Any] = {}
        for name, needed in kind.arg_types.items():
            if needed or self._rng.random() < 0.25:
                one: exp.Expr = self._tree(depth - 1)
                parts[name] = [one] if name == "expressions" else one
        return kind(**parts)

    def _leaf(self) -> exp.Expr:
        return self._rng.choice(
            (
                exp.Literal.string(self._path()),
                exp.Literal.string(VARIABLE),
                exp.Literal.number(self._rng.randint(0, 99)),
                exp.column("a"),
                exp.column(self._path(), quoted=True),
                exp.Star(),
                exp.var("DAY"),
                exp.DataType.build(self._rng.choice(("int", "text", "array<int>", "json", "blob"))),
            )
        )

    def _source(self, depth: int) -> exp.Expr:
        alias = exp.TableAlias(this=exp.to_identifier("s"), columns=[exp.to_identifier("a")])
        kinds: tuple[Callable[[], exp.Expr], ...] = (
            lambda: exp.to_table(self._rng.choice(OFFERED)),
            lambda: exp.to_table(self._rng.choice(SYSTEM)),
            lambda: exp.Table(this=exp.to_identifier(self._path(), quoted=True)),
            lambda: exp.Table(this=exp.Literal.string(self._path())),
            lambda: exp.Table(this=exp.to_identifier(self._path(), quoted=True), db=exp.to_identifier("parquet")),
            lambda: exp.Table(this=self._call(), alias=alias),
            lambda: exp.Lateral(this=self._call(), alias=alias, view=self._rng.random() < 0.5),
            lambda: exp.Unnest(expressions=[self._tree(depth - 1)], alias=alias),
            lambda: exp.Values(expressions=[exp.Tuple(expressions=[self._tree(depth - 1)])], alias=alias),
            lambda: exp.Subquery(this=self._query(depth - 1), alias=alias),
            lambda: self._filled(exp.Table, depth - 1),
        )
        return self._rng.choice(kinds)() if depth > 0 else kinds[0]()

    def _query(self, depth: int) -> exp.Query:
        query = exp.Select(expressions=[self._tree(depth - 1)])
        query.set("from_", exp.From(this=self._source(depth - 1)))
        for name, kind in (("where", exp.Where), ("group", exp.Group), ("having", exp.Having), ("order", exp.Order),
                           ("limit", exp.Limit), ("qualify", exp.Qualify), ("into", exp.Into)):  # fmt: skip
            if self._rng.random() < 0.1:
                query.set(name, self._filled(kind, depth - 1))
        return query

    def _written(self, tree: exp.Expr) -> str:
        for dialect in self._rng.sample(DIALECTS, 3):
            with suppress(Exception):  # a tree that this dialect cannot write
                return tree.sql(dialect)
        return f"'{self._path()}'"


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


@contextmanager
def trap() -> Iterator[Path]:
    """A folder of files with the secret, which is the current one; an environment variable with the secret."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(pa.table({"a": [SECRET]}), folder / "secret.parquet")
        for file in ("secret.csv", "secret.txt", "secret.json"):
            (folder / file).write_text(f'{{"a": "{SECRET}"}}\n' if file.endswith("json") else f"a\n{SECRET}\n")
        with duckdb.connect(str(folder / "secret.db")) as con:
            con.execute(f"CREATE TABLE secret AS SELECT '{SECRET}' AS a")
        before = Path.cwd()
        os.environ[VARIABLE] = SECRET
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            del os.environ[VARIABLE]


class Everything:
    """In place of a list: it refuses nothing."""

    def __contains__(self, one: object) -> bool:
        return True


def _without(name: str) -> Lists:
    instead: dict[str, Any] = {name: {} if name == "inside" else Everything()}
    return replace(ALLOWED, **instead)


WITHOUT = {field.name: _without(field.name) for field in fields(Lists)}
"""The lists of allowed.py, without the one that is named."""


def refused_alone(text: str) -> Iterator[tuple[str, str]]:
    """The lists that alone refuse the text, and what it is for DuckDB without this list."""
    for name, lists in (("", ALLOWED), *WITHOUT.items()):
        with suppress(SqlRefused):
            sql = translate(text, OFFERED, lists).sql
            if not name:
                return
            yield name, sql


def shown_by_locked_duckdb(sql: str) -> str:
    """What the second fence alone lets out: rows, or an error."""
    with _database([]) as con:
        con.execute(sandbox_child.LOCKS)
        return _shown(con, sql)


def tried(text: str, folder: Path, alone: Counter[str]) -> Iterator[Through]:
    """What the text got out of each fence alone; nothing if both hold. `alone`: the texts that each list alone refused,
    this one is added.
    """
    before = _files(folder)
    try:
        done = translate(text, OFFERED)
    except SqlRefused:
        pass
    except Exception as error:
        yield Through(text, "text", f"translate raised {type(error).__name__}: {error}"[:300])
    else:
        with _database([f"/{SECRET}"]) as con:  # a path that the settings would tell
            shown = _shown(con, done.sql)
        if SECRET in shown or not set(done.tables) <= set(OFFERED):
            yield Through(text, "text", f"{done.sql} gave {shown[:300]}")
    for name, sql in [("", text), *refused_alone(text)]:
        shown = shown_by_locked_duckdb(sql)
        if SECRET in shown:
            yield Through(text, f"DuckDB, without the list {name}" if name else "DuckDB", f"{sql} gave {shown[:300]}")
        alone[name] += 1
    if _files(folder) != before:
        yield Through(text, "either", f"files {sorted(_files(folder) ^ before)}")


def _files(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


@contextmanager
def _database(allowed: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB as the child opens it, with the offered tables, before its locks."""
    with sandbox_child.open_database(128, allowed) as con:
        for name in OFFERED:
            con.execute(f"CREATE VIEW {name} AS SELECT 1 AS a, 'x' AS s")
        yield con


def _shown(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The first rows of what it gives, or its error."""
    timer = threading.Timer(SECONDS, con.interrupt)
    timer.start()
    try:
        found = con.execute(sql)
        return str(found.fetchmany(1000)) if found is not None and found.description else ""
    except (duckdb.Error, UnicodeError, SqlglotError, MemoryError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        timer.cancel()
        timer.join()


def search(seed: int, count: int, alone: Counter[str] | None = None) -> Iterator[Through]:
    """Try `count` texts of this seed. `alone` counts those that each list of allowed.py alone refused."""
    alone = Counter() if alone is None else alone
    with trap() as folder:
        texts = Texts(seed, folder)
        for _ in range(count):
            yield from tried(texts.one(), folder, alone)


def every_function() -> Iterator[Through]:
    """Each function that DuckDB has, where it may stand and with what it could read, through the first fence alone."""
    arguments = (
        "", "'secret.csv'", "['secret.csv']", "'secret.csv', a", "'SELECT * FROM ''secret.csv'' '", f"'{VARIABLE}'",
        "'allowed_paths'", "'allowed_paths', 1",
    )  # fmt: skip
    with trap(), _database([f"/{SECRET}"]) as con:
        names = con.execute("SELECT DISTINCT function_name FROM duckdb_functions() ORDER BY 1").fetchall()
        for name in [name for (name,) in names if name.isidentifier() and "sleep" not in name]:
            for call in [f"{name}({one})" for one in arguments]:
                for text in (f"SELECT {call} FROM bronze_data", f"SELECT * FROM {call}"):
                    with suppress(SqlRefused):
                        shown = _shown(con, translate(text, OFFERED).sql)
                        if SECRET in shown:
                            yield Through(text, "text", shown[:300])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    found = 0
    alone: Counter[str] = Counter()
    for one in itertools.chain(every_function(), search(options.seed, options.count, alone)):
        found += 1
        print(f"{one.fence}: {one.text!r}\n    {one.what}")
    refused = ", ".join(f"{name} {alone[name]}" for name in WITHOUT)
    print(f"{options.count} texts of seed {options.seed}: {found} got through; refused by one list alone: {refused}")
    raise SystemExit(found > 0)


if __name__ == "__main__":
    main()
