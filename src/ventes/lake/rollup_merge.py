"""Merges partial rows into the files of a roll-up: writes new files, commits nothing.

Only files that hold a changed key are rewritten, and of their rows only those that may have a changed key go through
the statements of the plan. Files are taken in groups of GROUP rows, so memory holds a group and the partial rows,
however many rows the table has.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.commit import in_table_order
from ventes.deltalog.database import RecycledDatabase, run
from ventes.deltalog.present import local_path
from ventes.lake import rollup_files
from ventes.lake.distinct_values import DistinctValues
from ventes.lake.rollup_files import Flags, Places
from ventes.lake.rollup_plan import Rollup
from ventes.stream.sql_text import quoted

GROUP = 8 * rollup_files.CHUNK
"""Rows that are rewritten together: some 15 MB, and a tenth of a second."""


@dataclass
class Changes:
    """Files to replace in one commit. `added` are on the disk, and durable."""

    removed: list[DataFile] = field(default_factory=list)
    added: list[DataFile] = field(default_factory=list)


Steps = Generator[None, None, Changes]


class Merger:
    """Merges for one writer. `database`: the engine's, which may be replaced between two steps."""

    def __init__(self, database: RecycledDatabase) -> None:
        self._database = database
        self._recent: dict[str, dict[str, pa.Table]] = {}
        """Table → path → rows, of the files written last: the next lots most likely change the same files."""

    def steps(
        self,
        rollup: Rollup,
        path: Path,
        files: Collection[DataFile],
        partials: pa.Table,
        values: Mapping[str, DistinctValues],
    ) -> Steps:
        """Merge `partials` into the table of `files` at `path`; returns the changes.

        `values`: those of each distinct count of the roll-up, with those of `partials`. It yields after each group; the
        new files are deleted if it is closed or fails before its end.
        """
        changes = Changes()
        try:
            yield from self._steps(rollup, path, files, partials, values, changes)
        except BaseException:
            data_files.discard(path, changes.added)
            raise
        return changes

    def _steps(
        self,
        rollup: Rollup,
        path: Path,
        files: Collection[DataFile],
        partials: pa.Table,
        values: Mapping[str, DistinctValues],
        changes: Changes,
    ) -> Iterator[None]:
        rows = partials if partials.num_rows <= rollup_files.CHUNK else self._combined(rollup, partials)
        columns = [name for name in rollup.ordered_by if name in rollup.table.stats]
        ordered = rollup_files.in_order(columns, list(files))
        size = rollup_files.file_rows(sum(file.rows or 0 for file in files))
        recent = self._recent.get(rollup.table.name, {})
        written: dict[str, pa.Table] = {}

        def read(file: DataFile) -> pa.Table:
            kept = recent.get(file.path)
            return kept if kept is not None else self._read(rollup, path, file)

        def holds(file: DataFile, places: Places) -> Flags:
            return self._holds(rollup, path, file, rows, places)

        def write(table: pa.Table) -> None:
            for part in rollup_files.cut(_sorted(rollup, table), size):
                new = data_files.write_one(path, rollup.table, in_table_order(rollup.table, part), {})
                changes.added.append(new)
                written[new.path] = part

        homes = rollup_files.homes(columns, ordered, rows, holds)
        touched = [(file, places) for file, places in zip(ordered, homes, strict=True) if len(places)]
        for group in _groups(touched):
            changes.removed += [file for file, _ in group]
            held = pa.concat_tables([read(file) for file, _ in group])
            part = rows.take(np.concatenate([places for _, places in group]))
            write(self._changed(rollup, columns, held, part, values))
            yield
        at_home = np.concatenate([np.empty(0, np.int64), *homes])
        homeless = np.setdiff1d(np.arange(rows.num_rows), at_home, assume_unique=True)
        for begin in range(0, len(homeless), GROUP):
            write(self._merged(rollup, rows.take(homeless[begin : begin + GROUP]), values))
            yield
        if len(changes.added) <= 1:  # so that a lot of one event writes two files at most
            small = rollup_files.small_neighbours(ordered, size, {file.path for file in changes.removed})
            if small:
                changes.removed += small
                write(pa.concat_tables([read(file) for file in small]))
        few = sum(part.num_rows for part in written.values()) <= 2 * rollup_files.CHUNK
        self._recent[rollup.table.name] = written if few else {}

    # -- rows ---------------------------------------------------------------------------------

    def _combined(self, rollup: Rollup, partials: pa.Table) -> pa.Table:
        """One row for each key. Few rows need no statement of their own: those of the table are added up anyway."""
        rows = run(self._database.con, rollup.combined, {"partials": partials})
        return rows.select(partials.column_names).cast(partials.schema)

    def _changed(
        self,
        rollup: Rollup,
        columns: Sequence[str],
        held: pa.Table,
        part: pa.Table,
        values: Mapping[str, DistinctValues],
    ) -> pa.Table:
        """The rows of `held` with `part` added up. Rows that cannot have a key of `part` stay as they are."""
        if held.num_rows <= rollup_files.few_rows():
            return self._merged(
                rollup, pa.concat_tables([held.select(part.column_names).cast(part.schema), part]), values
            )
        may_change = _in_all(held, part, columns)
        old = held.filter(may_change).select(part.column_names).cast(part.schema)
        merged = self._merged(rollup, pa.concat_tables([old, part]), values)
        return pa.concat_tables([held.filter(pc.invert(may_change)), merged])

    def _merged(self, rollup: Rollup, partials: pa.Table, values: Mapping[str, DistinctValues]) -> pa.Table:
        """The table's rows of `partials`."""
        relations = {"partials": partials}
        if rollup.distinct:
            relations["distinct_counts"] = _distinct_counts(rollup, partials, values)
        schema = rollup.table.schema
        return run(self._database.con, rollup.merged, relations).select(schema.names).cast(schema)

    def _read(self, rollup: Rollup, path: Path, file: DataFile) -> pa.Table:
        return pq.ParquetFile(local_path(path, file)).read(use_threads=False).cast(rollup.table.schema)

    def _holds(self, rollup: Rollup, path: Path, file: DataFile, rows: pa.Table, places: Places) -> Flags:
        """Whether a file has the keys of `rows` at `places`."""
        key = list(rollup.table.key)
        held = pq.ParquetFile(local_path(path, file)).read(columns=key, use_threads=False)
        asked = rows.select(key).take(places).append_column("_place", pa.array(range(len(places)), pa.int64()))
        same = " AND ".join(f"asked.{quoted(name)} IS NOT DISTINCT FROM held.{quoted(name)}" for name in key)
        statement = f'SELECT "_place" FROM asked SEMI JOIN held ON {same}'
        found = run(self._database.con, statement, {"asked": asked, "held": held})
        flags: Flags = np.zeros(len(places), np.bool_)
        flags[found["_place"].to_numpy()] = True
        return flags


def _distinct_counts(rollup: Rollup, partials: pa.Table, values: Mapping[str, DistinctValues]) -> pa.Table:
    """The relation `distinct_counts` for the keys of `partials`."""
    keys = partials.select(rollup.table.key).rename_columns(rollup.key_names)
    if len(rollup.key_names) == 1:  # the usual case, and a fifth of the time
        found = pa.table({rollup.key_names[0]: keys[0].unique()})
    else:
        found = keys.group_by(rollup.key_names).aggregate([])
    columns = [found[name] for name in rollup.key_names]
    for count in rollup.distinct:
        found = found.append_column(count.column, values[count.column].counts(columns))
    return found


def _groups(touched: Iterable[tuple[DataFile, Places]]) -> Iterator[list[tuple[DataFile, Places]]]:
    """Files in groups of at most GROUP rows, or one file."""
    group: list[tuple[DataFile, Places]] = []
    rows = 0
    for file, places in touched:
        if group and rows + (file.rows or 0) > GROUP:
            yield group
            group, rows = [], 0
        group.append((file, places))
        rows += file.rows or 0
    if group:
        yield group


def _in_all(held: pa.Table, part: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """For each row of `held` whether each of `columns` has a value that is one of `part`'s."""
    found: pa.ChunkedArray = pa.chunked_array([pa.array(np.ones(held.num_rows, np.bool_))])
    for name in columns:
        found = pc.and_(found, pc.is_in(held[name], pc.unique(part[name].cast(held.schema.field(name).type))))
    return found


def _sorted(rollup: Rollup, rows: pa.Table) -> pa.Table:
    return rows.sort_by([(column, "ascending") for column in rollup.ordered_by])
