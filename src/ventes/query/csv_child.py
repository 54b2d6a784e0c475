"""The child process that writes one CSV file for a download: started by the page's server with `python -I`.

It reads a task (CsvTask as JSON) from stdin. To stdout it writes one line of JSON, {"status": 200} or why there is no
file, and then the file. A file that fails midway ends with exit code 1; its cause goes to stderr, into the page's
output. Killing the process ends the download, whatever it is doing: a query runs in a child of its own, which ends
with this one.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ventes.errors import VentesError
from ventes.query.readable import TableToRead

if TYPE_CHECKING:
    import pyarrow as pa

PIPE_BYTES = 1 << 20
"""Between this process and the page: a larger pipe wakes the page less often."""
QUERY_SECONDS = 3600.0
"""A query whose rows are all asked for is ended after this."""


@dataclass(frozen=True)
class CsvTask:
    """All rows of `query` over `tables` (name in SQL → table); without a query, of the one table there is."""

    tables: Mapping[str, TableToRead]
    query: str = ""
    memory_mb: int = 512
    """Of the query."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> CsvTask:
        task = json.loads(data)
        return cls(**{**task, "tables": {name: TableToRead(**table) for name, table in task["tables"].items()}})


def main() -> int:
    from ventes.query.export import csv_chunks
    from ventes.query.sandbox_child import NICE, end_with_parent
    from ventes.runtime.logs import printable

    end_with_parent()
    os.nice(NICE)  # and its query's process by as much again
    out = sys.stdout.buffer
    with suppress(OSError, AttributeError):  # where the kernel has no such pipes, or no more of them
        fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    begun = False
    try:
        with _rows(CsvTask.from_json(sys.stdin.buffer.read())) as (schema, batches):
            for chunk in csv_chunks(schema, batches):
                if not begun:
                    _say(200)
                    begun = True
                out.write(chunk)
                out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the page has ended: Python flushes once more at exit
        return 1
    except Exception as error:
        print(printable(f"download: {type(error).__name__}: {error}"), file=sys.stderr)
        if not begun:
            _say(*_refusal(error))
        return 1
    return 0


@contextmanager
def _rows(task: CsvTask) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    from ventes.query import export

    if not task.query:
        (table,) = task.tables.values()
        with export.batches(table) as found:
            yield found
        return
    from ventes.query import sandbox

    with sandbox.stream(task.query, task.tables, sandbox.Limits(QUERY_SECONDS, None, task.memory_mb, None)) as found:
        yield found


def _refusal(error: Exception) -> tuple[int, str]:
    """HTTP status and sentence of an error before the first byte."""
    import duckdb

    if isinstance(error, VentesError):
        return 409, f"{error.message}. Next step: {error.hint}."
    if isinstance(error, duckdb.IOException):
        return 410, "These rows are no longer kept. Open the page again and take its new link."
    return 500, "The file could not be made; the page's log says why."


def _say(status: int, message: str = "") -> None:
    sys.stdout.buffer.write(json.dumps({"status": status, "message": message}).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
