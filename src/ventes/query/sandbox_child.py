"""The child process that runs one query for sandbox.py: started with `python -I`, imports nothing of ours.

Reads one JSON object from stdin, writes to stdout the byte R when it is ready to start and then the result as an Arrow
IPC stream, and what went wrong to stderr (exit 1). Before it runs the query it gives up what a query could do harm
with: files other than those listed, writing, extensions, settings, memory beyond the limit, outliving its parent.
"""

import ctypes
import json
import os
import resource
import signal
import sys

import duckdb
import pyarrow as pa

SLACK = 640 << 20
"""Address space beyond the memory limit: thread stacks and what allocators reserve without using it."""
BATCH = 10_000
NICE = 5
"""Who asks gives way to the page's process, which serves everybody, and to the jobs."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    task = json.load(sys.stdin)
    confine(task["memory_mb"], task["cpu_seconds"])
    with open_database(task["memory_mb"], task["paths"]) as con:
        for name, select in task["views"].items():
            con.execute(f'CREATE VIEW "{name}" AS {select}')
        con.execute("SET enable_external_access = false; SET lock_configuration = true")
        out = sys.stdout.buffer
        out.write(b"R")
        out.flush()
        reader = con.execute(task["sql"]).to_arrow_reader(BATCH)
        with pa.ipc.new_stream(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        out.flush()


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


def open_database(memory_mb: int, paths: list[str]) -> duckdb.DuckDBPyConnection:
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


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        sys.exit("Out of Memory Error: the query needs more memory than it may use")
    except (duckdb.Error, pa.ArrowException) as error:
        sys.exit(str(error))
