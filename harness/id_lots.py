"""Lots of ids in a small table of clean events, each looked up in the index first, as the engines do.

As a script: `python -m harness.id_lots FOLDER SEED LOTS` takes random lots into the table at FOLDER.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa

from ventes.deltalog import commit, compaction, create
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.engines.clean_rows import Known, known_rows
from ventes.engines.id_index import IdIndex
from ventes.stream.arrow import instant

LOT_APP, ACCEPTED_APP = "small-silver", "small-accepted"
MOST_IN_MEMORY = 300
"""So a few lots make a file, and a few files a merge."""


def table_of(kind: pa.DataType) -> Table:
    """Clean events with ids of a type."""
    schema = pa.schema([("id", kind), ("date_traitement", instant()), ("lot", pa.int64())])
    return Table("small_clean", schema, ("id",), stats=("id", "lot"))


class IdLots:
    """A table at `folder` and its index."""

    def __init__(self, folder: Path, kind: pa.DataType | None = None, **options: Any) -> None:
        """`options`: of IdIndex."""
        self.folder = folder
        self.table = table_of(kind or pa.int64())
        create.ensure(folder, self.table, {})
        self.log = Log.open(folder)
        self.database = RecycledDatabase(64)
        self.options: dict[str, Any] = {"most_in_memory": MOST_IN_MEMORY} | options
        self.index = self.opened()

    def opened(self) -> IdIndex:
        """Another index of the table, as another process has it."""
        return IdIndex("id", LOT_APP, ACCEPTED_APP, self.database, **self.options)

    @property
    def last(self) -> int:
        self.log.refresh()
        return self.log.transactions.get(LOT_APP, 0)

    def find(self, ids: Sequence[Any]) -> Known:
        """What the index knows of `ids`."""
        self.log.refresh()
        return self.index.find(pa.chunked_array([pa.array(ids, self.table.schema.field("id").type)]), self.log)

    def seen(self, ids: Sequence[Any]) -> set[Any]:
        """Those of `ids` that are in the table, found through the index."""
        rows = known_rows(self.database.con, self.log, self.table, "id", self.find(ids))
        return set(rows["id"].to_pylist())

    def take(self, ids: Sequence[Any]) -> set[Any]:
        """Take a lot: append those of `ids` that are new. Returns the others."""
        seen = self.seen(ids)
        new = [one for one in dict.fromkeys(ids) if one not in seen]
        lot = self.last + 1
        column = self.append(new, lot)
        self.index.add(column, lot)
        return seen

    def append(self, ids: Sequence[Any], lot: int) -> pa.ChunkedArray:
        """Append `ids` without the index, as another release would."""
        columns = [pa.array(ids, self.table.schema.field("id").type)]
        columns += [pa.array([datetime.now(timezone.utc)] * len(ids), instant()), pa.array([lot] * len(ids))]
        rows = pa.Table.from_arrays(columns, schema=self.table.schema)
        commit.append(self.log, self.table, rows, LOT_APP, lot)
        return rows["id"]

    def compact(self) -> None:
        """Merge all files of the table into one."""
        old = list(self.log.files.values())
        if len(old) > 1:
            new = compaction.merge_files(self.folder, self.table, old)
            changes = [*(file.remove(False) for file in old), new.add(False)]
            self.log.commit(changes, "OPTIMIZE")

    def rows(self) -> list[Any]:
        """The ids of the table, read without the index."""
        self.log.refresh()
        ids: list[Any] = Snapshot.of_log(self.log, self.table).arrow()["id"].to_pylist()
        return ids

    def files(self) -> list[Path]:
        """The sorted files of the index, the largest first."""
        return sorted((self.folder / "_ids").glob("*.run"), key=lambda path: path.stat().st_size, reverse=True)

    def close(self) -> None:
        self.index.close()
        self.database.close()


def drawn(seed: int, lots: int) -> Iterable[list[int]]:
    """Lots of 1 to 200 ids each, some of which come again."""
    rng = random.Random(seed)
    for _ in range(lots):
        yield [rng.choice((rng.randrange(1, 2**53), rng.randrange(1, 3_000))) for _ in range(rng.randint(1, 200))]


def main(folder: str, seed: str, lots: str) -> None:
    small = IdLots(Path(folder))
    for ids in drawn(int(seed), int(lots)):
        small.take(ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
