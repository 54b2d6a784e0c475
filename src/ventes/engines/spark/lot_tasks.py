"""What Spark's tasks do with a large lot. Each reads its part of Bronze's files with the embedded engine's code.

    keys_of_part     the key of each valid row's id, and which of them the index of ids has: the driver finds those that
                     are twice in the lot
    split_part       splits a part, and writes its rows; but for those with such a key, which it passes on
    split_doubtful   these, all of one id together: with the clean rows of their ids, it does the same

The driver commits the files of all tasks, once for each table. A task that fails or runs twice leaves at most files
that no commit names; they are vacuumed later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Rules
from ventes.deltalog import commit, data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_rows import days_of, pieces
from ventes.engines.clean_rows import Known, known_rows_of
from ventes.engines.id_keys import keys_of
from ventes.engines.id_lookups import find_in_files
from ventes.engines.id_runs import NONE, Numbers, Pairs, RunFiles, Unusable
from ventes.engines.lot_measures import LotColumns
from ventes.engines.lot_range import LotRange
from ventes.engines.lot_rows import lot_rows, write_rejects
from ventes.engines.spark.lot_parts import Part
from ventes.engines.spark.task_lake import TaskLake
from ventes.engines.spark.worker_state import database
from ventes.engines.split_in_duckdb import split_in_duckdb, valid_ids
from ventes.stream.declaration import Stream

PASSED_BYTES = 4_000_000
"""Doubtful rows that a task passes on at a time: the JVM holds them as one array of bytes."""


@dataclass(frozen=True)
class Lot:
    """What every task of a lot gets: of what may be secret only the credentials of a lake on a store.

    `bronze`: with the files of the lot. `clean`: with those that may hold rows of `known` keys. `rejets`: with none.
    """

    stream: Stream
    rules: Rules
    memory_mb: int
    lake: TaskLake
    bronze: Snapshot
    clean: Snapshot
    rejets: Snapshot
    ids: RunFiles | None
    """Of the index; None where tasks do not have them, and the driver looks the ids up."""
    lot_range: LotRange
    number: int
    now: datetime
    doubtful: Numbers = field(default_factory=lambda: NONE.keys)
    """Keys that are several times in the lot, or in the clean events: ascending, each once."""
    known: Pairs = field(default_factory=lambda: NONE)
    """Those in the clean events, and in which lots: in the order of the keys."""

    def here(self) -> Lot:
        """The lot with its tables where they are on the machine of the task, which begins with it."""
        bronze, clean, rejets = (
            replace(one, path=self.lake.here(one.path)) for one in (self.bronze, self.clean, self.rejets)
        )
        return replace(self, bronze=bronze, clean=clean, rejets=rejets)

    def of(self, part: Part) -> Snapshot:
        """Bronze with the files of a part."""
        return replace(self.bronze, files=tuple(part.files))


@dataclass(frozen=True)
class Keys:
    """The key of the id of each valid row of a part, ascending; and those of them that the files of the index have."""

    keys: Numbers
    known: Pairs
    damage: str = ""
    """Why the files cannot be used."""


@dataclass(frozen=True)
class Written:
    """What a task made: files that are durable and not committed, and what the driver needs of their rows."""

    clean: list[DataFile]
    rejets: list[DataFile]
    clean_rows: int
    rejected_rows: int
    partials: dict[str, pa.Table]
    columns: LotColumns
    keys: Numbers = field(default_factory=lambda: NONE.keys)
    """The key of each clean row that was doubtful; the driver has those of the others."""


@dataclass(frozen=True)
class Passed:
    """Rows of Bronze on their way to another task."""

    stream: bytes
    """In Arrow's format."""

    @classmethod
    def of(cls, rows: pa.Table) -> Iterator[Passed]:
        step = max(1, rows.num_rows * PASSED_BYTES // max(1, rows.nbytes))
        for start in range(0, rows.num_rows, step):
            target = pa.BufferOutputStream()
            with pa.ipc.new_stream(target, rows.schema) as writer:
                writer.write_table(rows.slice(start, step))
            yield cls(target.getvalue().to_pybytes())

    def rows(self) -> pa.Table:
        with pa.ipc.open_stream(self.stream) as reader:
            return reader.read_all()


def keys_of_part(lot: Lot, part: Part) -> Keys:
    """Reads only the ids and the reasons, and looks the ids up in the files of the index, where they are there."""
    lot, keys = lot.here(), [NONE.keys]
    with database(lot.memory_mb) as con:
        for piece in pieces(lot.of(part), lot.lot_range, (lot.stream.event.id, "motifs"), groups=part.groups):
            keys.append(keys_of(con, valid_ids(lot.stream, piece)))
    found = np.sort(np.concatenate(keys))
    if lot.ids is None:
        return Keys(found, NONE)
    try:
        return Keys(found, find_in_files(lot.ids, np.unique(found)))
    except Unusable as error:
        return Keys(found, NONE, str(error))


def split_part(lot: Lot, places: int, part: Part) -> Iterator[tuple[int, Written | Passed]]:
    """What is made of a part, for the place number `places`; and its doubtful rows, for those before it."""
    lot = lot.here()
    with database(lot.memory_mb) as con:
        rows = lot_rows(lot.of(part), lot.lot_range, part.groups)
        if len(lot.doubtful):
            doubtful = _doubtful(con, lot, rows)
            found, rows = rows.filter(pa.array(doubtful)), rows.filter(pa.array(~doubtful))
            keys = keys_of(con, found[lot.stream.event.id])
            place = keys.view(np.uint64) % np.uint64(places)
            for number in np.unique(place).tolist():
                for some in Passed.of(found.filter(pa.array(place == number))):
                    yield number, some
        made, _ = _written(con, lot, rows, lot.clean.table.schema.empty_table(), lot.of(part))
        yield places, made


def split_doubtful(lot: Lot, passed: Iterable[tuple[int, Written | Passed]]) -> Iterator[Written]:
    """What is made of the rows that were passed on to this place; and what was made before, as it is."""
    rows = []
    for _, content in passed:
        if isinstance(content, Written):
            yield content
        else:
            rows.append(content.rows())
    if not rows:
        return
    lot, together = lot.here(), pa.concat_tables(rows)
    id_ = lot.stream.event.field(lot.stream.event.id)
    with database(lot.memory_mb) as con:
        keys = np.unique(keys_of(con, together[id_.name]))
        known = Known(pc.unique(together[id_.name]), np.unique(lot.known.lots[is_in(keys, lot.known.keys)]))
        found = known_rows_of(con, lot.clean, id_.clean_name, known)
        made, clean = _written(con, lot, together, found, lot.bronze)
        yield replace(made, keys=keys_of(con, clean[id_.clean_name]))


def _written(
    con: duckdb.DuckDBPyConnection, lot: Lot, rows: pa.Table, known_rows: pa.Table, bronze: Snapshot
) -> tuple[Written, pa.Table]:
    """Split rows of Bronze and write them; also the clean ones. `bronze`: with the files of these rows at least."""
    rejets_table, clean_table = lot.rejets.table, lot.clean.table
    parts = split_in_duckdb(con, rows, known_rows, lot, lot.number, lot.now)
    rejets = []
    if parts.rejets.num_rows:
        days = days_of(parts.rejets, rows)
        rejets = [write_rejects(lot.rejets.path, rejets_table, parts.rejets, bronze, lot.lot_range, days)]
    clean = data_files.write(lot.clean.path, clean_table, commit.in_table_order(clean_table, parts.clean))
    rejets, clean = lot.lake.uploaded(lot.rejets.path, rejets), lot.lake.uploaded(lot.clean.path, clean)
    columns = LotColumns.of_rows(lot.stream, parts.clean, parts.rejets)
    made = Written(clean, rejets, parts.clean.num_rows, parts.rejets.num_rows, parts.partials, columns)
    return made, parts.clean


def _doubtful(con: duckdb.DuckDBPyConnection, lot: Lot, rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows are valid and have a doubtful key."""
    valid = np.flatnonzero(pc.equal(pc.list_value_length(rows["motifs"]), 0).to_numpy())
    found = np.zeros(rows.num_rows, np.bool_)
    found[valid] = is_in(lot.doubtful, keys_of(con, valid_ids(lot.stream, rows)))
    return found


def is_in(known: Numbers, keys: Numbers) -> npt.NDArray[np.bool_]:
    """Which of `keys` are in `known`, which is ascending."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    found: npt.NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
    return found
