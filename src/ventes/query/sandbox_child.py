"""The child processes of sandbox.py, started with `python -I`: one translates a query, another one runs it.

Both read a task, one JSON object, from stdin, write the byte R when they are ready to start, and have given up by then
what a text could do harm with: writing, memory and CPU beyond the limits, outliving their parent; the one that runs it
also files other than those listed, extensions and settings. `translate` answers with JSON. `run` answers with an Arrow
IPC stream. What went wrong goes to stderr as JSON, at most MESSAGE characters of it, with exit status 1.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

SLACK = 640 << 20
"""Address space beyond the memory limit: thread stacks and what allocators reserve without using it."""
BATCH = 10_000
MESSAGE = 2_000
"""Characters of an error that are passed on: a query can make one as long as its memory allows."""
LOCKS = "SET enable_external_access = false; SET lock_configuration = true"
"""After this DuckDB reads no file but the allowed paths, and no setting changes any more."""
NICE = 5
"""A query has a lower priority than the page's process, which serves all viewers, and the jobs."""
_PR_SET_PDEATHSIG = 1


def translate_query() -> None:
    """{"query", "tables", limits} → {"sql", "tables", "counts", "counts_only"}, or {"refused": [what, next step]}."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from ventes.query.outcome import SqlRefused
    from ventes.query.translate import translate

    task = begin()
    ready()
    try:
        done = translate(task["query"], task["tables"])
        answer: dict[str, Any] = {
            "sql": done.sql,
            "tables": done.tables,
            "counts": done.counts,
            "counts_only": done.counts_only,
        }
    except SqlRefused as error:
        answer = {"refused": [error.message[:MESSAGE], error.hint]}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def run_query() -> None:
    """{"sql", "views", "paths", limits} → the rows."""
    import duckdb
    import pyarrow as pa

    task = begin()
    paths: list[str] = task["paths"]
    try:
        with open_database(task["memory_mb"], paths) as con:
            for name, select in task["views"].items():
                con.execute(f'CREATE VIEW "{name}" AS {select}')
            con.execute(LOCKS)
            ready()
            result = con.sql(task["sql"])
            if result is None:
                raise duckdb.InvalidInputException("this gives no rows")
            reader = result.project(columns(result)).to_arrow_reader(BATCH)
            with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
            sys.stdout.buffer.flush()
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        complain(type(error).__name__, str(error), next((path for path in paths if path in str(error)), None))


def begin() -> dict[str, Any]:
    """Read the task and give up what it does not need."""
    task: dict[str, Any] = json.load(sys.stdin)
    confine(task["memory_mb"], task["cpu_seconds"])
    return task


def ready() -> None:
    sys.stdout.buffer.write(b"R")
    sys.stdout.buffer.flush()


def confine(memory_mb: int, cpu_seconds: int | None) -> None:
    """Limits of the kernel, below DuckDB's own: they hold whatever the query does."""
    end_with_parent()
    os.nice(NICE)
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as statm:
            used = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + (memory_mb << 20) + SLACK
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def open_database(memory_mb: int, paths: list[str]) -> Any:
    import duckdb  # here: the translating child needs none

    con = duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": 2,
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        }
    )
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    con.execute(f"SET TimeZone = 'UTC'; SET allowed_paths = [{listed}]")
    return con


def columns(result: Any) -> str:
    """The columns under names that differ, in types that Arrow and Python know."""
    parts = []
    for number, (name, kind) in enumerate(zip(names(result.columns), result.types, strict=True), 1):
        plain = plain_type(kind)
        value = f"#{number}" if plain == str(kind) else f"CAST(#{number} AS {plain})"
        parts.append(f"{value} AS {quoted(name)}")
    return ", ".join(parts)


def names(given: list[str]) -> list[str]:
    """Every name once: the second `a` is `a_2`, or the next of a_3, a_4 … that is free."""
    taken = {name.lower() for name in given}
    seen: set[str] = set()
    unique = []
    for name in given:
        found, number = name, 1
        while found.lower() in seen or (number > 1 and found.lower() in taken):
            number += 1
            found = f"{name}_{number}"
        seen.add(found.lower())
        unique.append(found)
    return unique


AS_THEY_ARE = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "float",
    "double", "decimal", "blob", "date", "timestamp", "timestamp with time zone",
}  # fmt: skip


def plain_type(kind: Any) -> str:
    """The type that stands for `kind` in the result: a sum of whole numbers is one, what Arrow lacks is text."""
    if kind.id in ("list", "array"):
        return f"{plain_type(kind.children[0][1])}[]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {plain_type(part)}' for name, part in kind.children)})"
    if kind.id == "map":
        return f"MAP({', '.join(plain_type(part) for _, part in kind.children)})"
    if kind.id == "hugeint":
        return "BIGINT"
    return str(kind) if kind.id in AS_THEY_ARE else "VARCHAR"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def complain(kind: str, message: str, path: str | None = None) -> None:
    """Say what went wrong and end."""
    os.write(2, json.dumps({"kind": kind, "message": message[:MESSAGE], "path": path}).encode())
    os._exit(1)


if __name__ == "__main__":
    try:
        {"translate": translate_query, "run": run_query}[sys.argv[1]]()
    except MemoryError:
        complain("MemoryError", "")
