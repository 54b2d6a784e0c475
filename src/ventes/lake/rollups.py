"""The roll-ups: merges the partial tables of each lot into the aggregate tables, exactly once.

For each roll-up the rows that may have the same key are read, added up with its partial rows (lake/rollup_plan.py has
the statements) and written, in one commit with the transaction ("<stream>-silver", lot). Sums, minima, maxima and sets
can be combined in any order, so a lot may be completed later from the clean events with the same result.

Only files whose key range may contain a changed key are rewritten. Files are kept small (CHUNK rows, sorted by the
table's range columns), so a lot of today's events rewrites today's file, however many days the table has.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ventes.config import Settings
from ventes.deltalog import commit, create, data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import RecycledDatabase, connect
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake import fit, tables
from ventes.lake.distinct_values import DistinctValues
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollup_plan import DistinctCount, Rollup, plan_of
from ventes.runtime.failpoints import failpoint
from ventes.stream.declared import DeclarationError
from ventes.stream.sql_text import listed

_log = logging.getLogger("ventes.lake")

CHUNK = 8192
"""Rows per file: rewriting one takes about 10 ms (15 columns), the largest part of a lot's time."""
MOST_FILES = 100
"""If CHUNK would make more files than this, the files get larger."""
SMALL_FILES = 8
"""Number of unchanged files below half a CHUNK from which they are merged."""
FILLED_AT_ONCE = 1_000_000
"""Clean events that are aggregated together where a table is filled from all of them."""


def partials_of(con: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, pa.Table]:
    """The partial tables of the stream, by name, from the relation `clean` of `con` (rows of the clean events)."""
    return {name: con.execute(sql).to_arrow_table() for name, sql in plan_of(settings).partials.items()}


class Publisher:
    """Updates the roll-ups of one lake; one instance per writer, which holds the Silver lock.

    After an exception create a new one: its state in memory may be ahead of the tables.
    """

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        database: RecycledDatabase,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`database` is the engine's, which recycles it between two lots. `progress` is called while a table is filled.

        Raises, before anything is written, LakeDamaged if the declaration does not fit a Silver table on disk, and
        DeclarationError for SQL of the declaration that cannot run.
        """
        self._settings = settings
        self._declared = tables.declared
        self._app = settings.stream.silver_app
        self._tables = tables
        self._database = database
        self._progress = progress
        self._plan = plan_of(settings)
        self._changed: set[str] = set()
        """Tables that hold what an earlier declaration meant; `complete` builds them again."""
        self.logs = self._opened()
        self._known: dict[tuple[str, str], DistinctValues] = {}
        """(table, column) → the values of a distinct count."""
        self._recent: dict[str, dict[str, pa.Table]] = {name: {} for name in self.logs}
        """Table → path → rows, of the files written last: the next lot most likely changes the same files."""

    def _opened(self) -> dict[str, Log]:
        self._require_runnable()
        tables.require_fit(self._settings, *self._declared.silver)
        logs = {}
        for table in self._declared.rollups:
            try:
                log = self._tables.log(table)
            except TableMissing:
                log = None
            if log is not None and fit.is_changed(self._declared, table, log):
                log.require_writable()
                self._changed.add(table.name)
                logs[table.name] = log
            else:
                logs[table.name] = self._tables.ensure(table)
        return logs

    def _require_runnable(self) -> None:
        """Run every statement on no rows. Raises DeclarationError for SQL of the declaration that cannot run."""
        name = ""
        with connect(threads=1) as con:
            try:
                clean = self._declared.clean.schema.empty_table()
                made = {}
                for name, statement in self._plan.partials.items():
                    made[name] = _run(con, statement, {"clean": clean})
                for rollup in self._plan.rollups:
                    name = rollup.table.name
                    partials = _taken(rollup, made[rollup.partial])
                    counts = partials.select(rollup.table.key).rename_columns(_keys(rollup))
                    for count in rollup.distinct:
                        counts = counts.append_column(count.column, pa.array([], pa.int64()))
                    _run(con, rollup.merged, {"partials": partials, "distinct_counts": counts})
            except duckdb.Error as error:
                raise DeclarationError(f"{name} of {self._settings.declaration}: {error}") from None

    @property
    def needs_filling(self) -> bool:
        """Whether a table must be built again although no lot is missing in it."""
        return bool(self._changed)

    def publish(self, partials: Mapping[str, pa.Table], lot: int) -> None:
        """Merge the partial tables of `lot` into the tables. A table that has the lot already is not changed."""
        for rollup in self._plan.rollups:
            for count in rollup.distinct:
                _add(self._values(rollup, count), count, partials[count.partial])
        for rollup in self._plan.rollups:
            self._merge(rollup, _taken(rollup, partials[rollup.partial]), lot)
            failpoint(f"silver.after_rollup.{rollup.table.name}")

    def complete(self, clean: Log, lot: int) -> list[str]:
        """Update every table that lacks lots up to `lot`, from the clean events. Returns their names.

        A table without any transaction, one that another program changed and one whose declaration changed are built
        from all clean events. Raises LakeDamaged for one that is ahead.
        """
        done = []
        self.require_none_ahead(lot)
        for rollup in self._plan.rollups:
            name = rollup.table.name
            if not lot and name not in self._changed:
                continue
            last = self.logs[name].transactions.get(self._app)
            if self.logs[name].edited or name in self._changed:
                last = None
            if last == lot:
                continue
            delta = self._from_clean(clean, rollup, -1 if last is None else last, lot)
            self._merge(rollup, delta, lot, from_scratch=last is None)
            self._changed.discard(name)
            done.append(name)
        self._known = {}
        return done

    def require_none_ahead(self, lot: int) -> None:
        """Raise LakeDamaged if an aggregate has a lot after `lot`: the clean events lost their last commits."""
        for name, log in self.logs.items():
            log.refresh()
            last = log.transactions.get(self._app, 0)
            if last > lot:
                raise LakeDamaged(
                    f"{name} holds lot {last}, {self._declared.clean.name} only {lot}",
                    "`ventes rebuild silver` makes them agree",
                )

    # -- one table ----------------------------------------------------------------------------

    def _merge(self, rollup: Rollup, delta: pa.Table, lot: int, from_scratch: bool = False) -> None:
        table, log = rollup.table, self.logs[rollup.table.name]
        if not from_scratch and log.transactions.get(self._app, -1) >= lot:
            return
        if delta.num_rows == 0 and not from_scratch:
            commit.append(log, table, table.schema.empty_table(), self._app, lot)
            return
        touched = list(log.files.values()) if from_scratch else _touched(rollup, log, delta)
        old = [] if from_scratch else [self._rows(log, table, file) for file in touched]
        columns = delta.column_names
        partials = pa.concat_tables([*(rows.select(columns).cast(delta.schema) for rows in old), delta])
        merged = self._merged(rollup, partials)
        gathered = [] if from_scratch else _small(log, touched)
        kept = pa.concat_tables([self._rows(log, table, file) for file in gathered]) if gathered else None
        chunks = [*_chunks(rollup, merged, log), *(_chunks(rollup, kept, log) if kept is not None else [])]
        also = []
        if table.name in self._changed:
            also.append(create.redefined(log, table, tables.properties(self._settings, table)))
        new = commit.replace(log, table, [*touched, *gathered], chunks, self._app, lot, accept=from_scratch, also=also)
        self._recent[table.name] = {file.path: rows for file, rows in zip(new, chunks, strict=True)}

    def _merged(self, rollup: Rollup, partials: pa.Table) -> pa.Table:
        relations = {"partials": partials}
        if rollup.distinct:
            relations["distinct_counts"] = self._distinct_counts(rollup, partials)
        schema = rollup.table.schema
        rows = _run(self._database.con, rollup.merged, relations).select(schema.names).cast(schema)
        return rows.sort_by([(column, "ascending") for column in rollup.ordered_by])

    def _rows(self, log: Log, table: Table, file: DataFile) -> pa.Table:
        kept = self._recent[table.name].get(file.path)
        return kept if kept is not None else pq.ParquetFile(log.path / file.path).read().cast(table.schema)

    # -- the distinct counts ------------------------------------------------------------------

    def _distinct_counts(self, rollup: Rollup, partials: pa.Table) -> pa.Table:
        """The relation `distinct_counts` for the keys of `partials`."""
        keys = _keys(rollup)
        if len(keys) == 1:  # the usual case, and a fifth of the time
            found = pa.table({keys[0]: partials[rollup.table.key[0]].unique()})
        else:
            found = partials.select(rollup.table.key).rename_columns(keys).group_by(keys).aggregate([])
        wanted = list(zip(*(found[name].to_pylist() for name in keys), strict=True))
        for count in rollup.distinct:
            found = found.append_column(count.column, self._values(rollup, count).counts(wanted))
        return found

    def _values(self, rollup: Rollup, count: DistinctCount) -> DistinctValues:
        """The values of a distinct count; at first use they are loaded from the tables."""
        place = (rollup.table.name, count.column)
        if place not in self._known:
            self._known[place] = self._loaded(count)
        return self._known[place]

    def _loaded(self, count: DistinctCount) -> DistinctValues:
        found = DistinctValues()
        con = self._database.con
        if count.stored_in is None:
            clean = self._tables.log(self._declared.clean)
            for _ in self._parts_of_clean(clean, -1, None, f"the distinct values of {count.column}"):
                _add(found, count, con.execute(self._plan.partials[count.partial]).to_arrow_table())
            return found
        table = self._declared.by_name[count.stored_in]
        Snapshot.of_log(self.logs[table.name], table).view(con, "stored_values")
        columns = listed(tuple(dict.fromkeys((*count.key, count.value))))
        for batch in con.execute(f"SELECT DISTINCT {columns} FROM stored_values").to_arrow_reader(FILLED_AT_ONCE):
            _add(found, count, pa.Table.from_batches([batch]))
        con.execute("DROP VIEW stored_values")
        return found

    # -- from the clean events ----------------------------------------------------------------

    def _from_clean(self, clean: Log, rollup: Rollup, after: int, upto: int) -> pa.Table:
        """The partial rows of one table of the lots in (after, upto], with its columns."""
        con = self._database.con
        rows = None
        for _ in self._parts_of_clean(clean, after, upto, rollup.table.name):
            more = _taken(rollup, con.execute(self._plan.partials[rollup.partial]).to_arrow_table())
            rows = more if rows is None else _run(con, rollup.combined, {"partials": pa.concat_tables([rows, more])})
        assert rows is not None  # there is at least one part
        return rows

    def _parts_of_clean(self, clean: Log, after: int, upto: int | None, what: str) -> Iterator[None]:
        """Make the view `clean` of the events of the lots in (after, upto], part by part; at least one part.

        So memory holds the groups of FILLED_AT_ONCE events at most.
        """
        source = Snapshot.of_log(clean, self._declared.clean)
        lots = f"lot > {after}" + ("" if upto is None else f" AND lot <= {upto}")
        parts = _parts(source.files, after, upto)
        con = self._database.con
        for number, part in enumerate(parts, 1):
            selected = source.select(lambda file, part=part: file.path in part)  # type: ignore[misc]
            con.execute(f"CREATE OR REPLACE TEMP VIEW clean AS SELECT * FROM ({selected}) WHERE {lots}")
            try:
                yield
            finally:
                con.execute("DROP VIEW clean")
            if len(parts) > 1:
                self._progress()
                _log.info("%s: part %d of %d of the events is added up", what, number, len(parts))


def _run(con: duckdb.DuckDBPyConnection, statement: str, relations: Mapping[str, pa.Table]) -> pa.Table:
    for relation, rows in relations.items():
        con.register(relation, rows)
    try:
        return con.execute(statement).to_arrow_table()
    finally:
        for relation in relations:
            con.unregister(relation)


def _keys(rollup: Rollup) -> list[str]:
    """The key columns of `distinct_counts`."""
    return [f"_key_{place}" for place in range(len(rollup.table.key))]


def _parts(files: Sequence[DataFile], after: int, upto: int | None) -> list[set[str]]:
    """The files with lots in (after, upto], in parts of about FILLED_AT_ONCE rows; at least one part."""
    parts: list[set[str]] = [set()]
    rows = 0
    for file in files:
        lots = file.bounds("lot")
        if lots is not None and (lots[1] <= after or (upto is not None and lots[0] > upto)):
            continue
        if rows >= FILLED_AT_ONCE:
            parts.append(set())
            rows = 0
        parts[-1].add(file.path)
        rows += file.rows or 0
    return parts


def _taken(rollup: Rollup, partial: pa.Table) -> pa.Table:
    """The columns of a partial table that `rollup` needs, under its names."""
    names = list(rollup.taken)
    if names == partial.column_names and names == list(rollup.taken.values()):
        return partial
    return partial.select(list(rollup.taken.values())).rename_columns(names)


def _add(values: DistinctValues, count: DistinctCount, rows: pa.Table) -> None:
    values.add([rows[name] for name in count.key], rows[count.value])


def _touched(rollup: Rollup, log: Log, delta: pa.Table) -> list[DataFile]:
    """The files that may hold a key of `delta`."""
    column = rollup.ordered_by[0]
    found = delta[column].unique()
    if column not in rollup.table.stats or found.null_count:  # a file's bounds say nothing about NULL
        return list(log.files.values())
    if pa.types.is_string(found.type) and log.rows < CHUNK:  # a few names: one file, not one for each range of them
        return list(log.files.values())
    values = sorted(data_files.bound_text(value) for value in found.to_pylist())
    result = []
    for file in log.files.values():
        bounds = file.bounds(column)
        if bounds is not None:
            place = bisect_left(values, bounds[0])
            if place == len(values) or values[place] > bounds[1]:
                continue
        result.append(file)
    return result


def _small(log: Log, touched: Sequence[DataFile]) -> list[DataFile]:
    """Untouched small files, once there are enough to merge."""
    names = {file.path for file in touched}
    small = [f for f in log.files.values() if f.path not in names and (f.rows or 0) < CHUNK // 2]
    return small if len(small) >= SMALL_FILES else []


def _chunks(rollup: Rollup, rows: pa.Table, log: Log) -> list[pa.Table]:
    total = sum(file.rows or 0 for file in log.files.values())
    size = max(CHUNK, total // MOST_FILES)
    ordered = rows.sort_by([(column, "ascending") for column in rollup.ordered_by])
    return [ordered.slice(start, size) for start in range(0, ordered.num_rows, size)]
