"""DuckDB connections: private, in memory, in UTC, with a memory limit."""

from __future__ import annotations

import duckdb


def connect(memory_mb: int = 256, threads: int = 2, *, rereads: bool = False) -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB in UTC, bounded in memory; its cursors too.

    `rereads`: what is read is kept in memory, for a connection that reads the same files again and again. A job reads
    each file once, ten a second: 50 kB of each would stay, up to `memory_mb`.
    """
    con = duckdb.connect(config={"memory_limit": f"{memory_mb}MB", "threads": threads})
    kept = str(rereads).lower()
    for setting in ("TimeZone = 'UTC'", f"parquet_metadata_cache = {kept}", f"enable_external_file_cache = {kept}"):
        con.execute(f"SET GLOBAL {setting}")
    return con


class RecycledDatabase:
    """A DuckDB as `connect` makes it, replaced by a new one every USES pieces of work, for a job that runs for months.

    DuckDB 1.5 keeps up to 4 kB of each aggregate and join until 10,000 have been run, 45 MB a database in all, and
    gives them back only when it is closed. A new one takes 10 ms.
    """

    USES = 100

    def __init__(self, memory_mb: int, threads: int = 2) -> None:
        self._memory_mb = memory_mb
        self._threads = threads
        self._used = 0
        self.con = connect(memory_mb, threads)

    def begin(self) -> None:
        """Call before each piece of work: `con` may be another one afterwards, without the views of the last."""
        if self._used >= self.USES:
            self.con.close()
            self.con = connect(self._memory_mb, self._threads)
            self._used = 0
        self._used += 1

    def close(self) -> None:
        self.con.close()
