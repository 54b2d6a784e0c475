"""Removes rows that a table holds twice, because two programs merged the same files at the same time.

deltalake commits an OPTIMIZE although another commit has removed its files meanwhile, if that commit only rearranged
rows, as the compaction of the jobs does (delta-rs since pull request 3982; seen with deltalake 1.6.6). Both merged
files then hold the rows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from ventes.deltalog import compaction, database
from ventes.deltalog.actions import DataFile, transaction
from ventes.deltalog.log import Log
from ventes.deltalog.present import local_paths
from ventes.deltalog.table import Table
from ventes.stream.sql_text import quoted

_OURS = re.compile(r"(.*/)?part-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.snappy\.parquet")
"""The names that `data_files` gives."""
_COPIES = """
CREATE TABLE copies AS
WITH held AS (
    SELECT filename AS file, file_row_number AS number, topic_id, "partition", "offset", {content} AS content
    FROM read_parquet(?, filename = true, file_row_number = true, union_by_name = true, hive_partitioning = false)
)
SELECT *, count(*) OVER place AS times, min(content) OVER place = max(content) OVER place AS same
FROM held
WINDOW place AS (PARTITION BY topic_id, "partition", "offset")
QUALIFY times > 1
"""
_SURPLUS = """
SELECT file, number FROM (
    SELECT *, row_number() OVER (PARTITION BY topic_id, "partition", "offset" ORDER BY held, file, number) AS nth
    FROM copies JOIN (SELECT file, count(*) AS held FROM copies GROUP BY file) USING (file)
)
WHERE nth > 1
ORDER BY file, number
"""
"""All copies of each row but the one in the file that has the fewest such rows."""


def surplus_of(log: Log) -> int:
    """How many rows more than were written the table holds."""
    return max(0, -log.missing_rows) if log.edited else 0


def remove(log: Log, table: Table, transactions: Mapping[str, int] | None = None) -> int:
    """Make an edited table hold each of its positions once, in one commit with `transactions`; needs its writer lock.

    `table` has the columns topic_id, partition and offset. Returns how many rows were removed: 0, and nothing is
    committed, unless the surplus (`Log.missing_rows` is negative) consists of copies that are equal in all columns.
    """
    surplus = surplus_of(log)
    if not surplus:
        return 0
    for files in (_suspects(log.files.values()), list(log.files.values())):
        doubled = _copies(log.path, table, files)
        if sum(map(len, doubled.values())) == surplus:
            break
    else:
        return 0
    changed = [log.files[path] for path in doubled]
    kept = [compaction.without_rows(log.path, table, file, doubled[file.path]) for file in changed]
    stamps = [transaction(app_id, version) for app_id, version in (transactions or {}).items()]
    # no change of data: a stream that follows the table has had each of these rows once
    moved = [*(file.remove(False) for file in changed), *(file.add(False) for file in kept if file is not None)]
    log.commit([*stamps, *moved], "OPTIMIZE", accept=True)
    return surplus


def _suspects(live: Iterable[DataFile]) -> list[DataFile]:
    """The files of other programs, and those of ours that may have a row of one of them."""
    files = list(live)
    foreign = [file for file in files if _OURS.fullmatch(file.path) is None]
    return [file for file in files if any(_may_share(file, other) for other in foreign)]


def _may_share(one: DataFile, other: DataFile) -> bool:
    a, b = one.bounds("offset"), other.bounds("offset")
    return a is None or b is None or (a[0] <= b[1] and b[0] <= a[1])


def _copies(path: Path, table: Table, files: Iterable[DataFile]) -> dict[str, list[int]]:
    """File → numbers of its rows, from 0 and rising, of which another equal one stays; {} if copies differ."""
    files = list(files)
    names = {str(real): file.path for real, file in zip(local_paths(path, files), files, strict=True)}
    if not names:
        return {}
    columns = ", ".join(map(quoted, table.stored.names))
    with database.connect() as con:
        con.execute(_COPIES.format(content=f"hash({columns})"), [list(names)])
        if con.execute("SELECT 1 FROM copies WHERE NOT same LIMIT 1").fetchone():
            return {}
        found: dict[str, list[int]] = defaultdict(list)
        for file, number in con.execute(_SURPLUS).fetchall():
            found[names[file]].append(number)
        return found
