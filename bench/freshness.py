"""Freshness (sale → visible): the time of the Delta commit that made a sale visible, minus the sale's own timestamp.

The commit's time is the modification time of its log entry: the moment from which a reader can see it. Shared by
bench/compare.py and bench/soak.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from ventes.deltalog.database import connect

LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Added:
    """A data file with new rows, and when its commit could be read (Unix seconds)."""

    path: Path
    visible: float


def added_after(table: Path, version: int) -> tuple[int, list[Added]]:
    """The newest version, and the files of new rows that the commits after `version` brought (merged ones are not new).

    Reads each log entry once: the work is that of the new commits, however long the log is.
    """
    found = []
    while (entry := table / "_delta_log" / f"{version + 1:020d}.json").exists():
        version += 1
        visible = entry.stat().st_mtime
        for line in entry.read_text().splitlines():
            body = json.loads(line).get("add")
            if body and body.get("dataChange", True):
                found.append(Added(table / unquote(body["path"]), visible))
    return version, found


def percentiles(added: list[Added], column: str = "horodatage", since: datetime = LONG_AGO) -> dict[str, float] | None:
    """p50, p95, p99 in seconds over the sales in these files that were made at or after `since`; None if there is none.

    `column` is the SQL of the sale's timestamp.
    """
    if not added:
        return None
    commits = pa.table({"filename": [str(one.path) for one in added], "visible": [one.visible for one in added]})
    with connect() as con:
        con.register("commits", commits)
        row = con.execute(
            f"""
            SELECT quantile_cont(age, [0.5, 0.95, 0.99]), count(*) FROM (
                SELECT visible - epoch(sold) AS age FROM (
                    SELECT {column} AS sold, filename
                    FROM read_parquet(?, filename = true, hive_partitioning = false)
                ) JOIN commits USING (filename) WHERE sold >= ?
            )
            """,
            [commits["filename"].to_pylist(), since],
        ).fetchone()
    if row is None or not row[1]:
        return None
    p50, p95, p99 = row[0]
    return {"p50": p50, "p95": p95, "p99": p99, "sales": row[1]}
