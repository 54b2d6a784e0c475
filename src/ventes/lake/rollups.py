"""The roll-ups: merges the partial tables of lots into the aggregate tables, exactly once.

A publication merges the partial rows of some lots (lake/rollup_plan.py has the statements, lake/rollup_merge.py the
files) and commits each roll-up with the transaction ("<stream>-silver", lot): the table has every lot up to that one.
Sums, minima, maxima and sets can be combined in any order, so a roll-up that lacks lots is completed later from the
clean events with the same result.

A roll-up that is new, declared otherwise or changed by another program is filled from all clean events. If these are
many it is filled in steps between the lots: its files are written beside the table, and one commit replaces its rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa

from ventes.config import Settings
from ventes.deltalog import commit, create, data_files
from ventes.deltalog.actions import Action, DataFile
from ventes.deltalog.database import RecycledDatabase, connect, run
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.snapshot import Snapshot
from ventes.errors import LakeDamaged
from ventes.lake import clean_lots, fit, tables
from ventes.lake.distinct_values import DistinctValues
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollup_merge import Changes, Merger, Steps
from ventes.lake.rollup_partials import partials_together
from ventes.lake.rollup_plan import DistinctCount, Rollup, plan_of
from ventes.runtime.failpoints import failpoint
from ventes.stream.declared import DeclarationError
from ventes.stream.sql_text import listed

_log = logging.getLogger("ventes.lake")

Values = dict[str, DistinctValues]
"""The column of a distinct count → its values."""


class Filling:
    """A roll-up that is being filled: the files that are written and not committed yet."""

    def __init__(self, rollup: Rollup, events: int) -> None:
        self.rollup = rollup
        self.events = events
        """Clean events when it began."""
        self.done = 0
        """Of them, those that are added up."""
        self.upto = 0
        """The last lot that is added up."""
        self.ends: list[int] = []
        """The last lots of the parts that come next."""
        self.files: dict[str, DataFile] = {}
        self.values: Values = {count.column: DistinctValues() for count in rollup.distinct}


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
        """`database` is the engine's, which recycles it between two lots. `progress` is called after each part of what
        is completed at once.

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
        self._merger = Merger(database)
        self._changed: set[str] = set()
        """Tables that hold what an earlier declaration meant; they are filled again."""
        self.logs = self._opened()
        self._known: dict[str, Values] = {}
        """Table → the values of its distinct counts, as of the table."""
        self.fillings: dict[str, Filling] = {}
        """Tables that are being filled, in the order of the plan; publications leave them out."""

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
                    made[name] = run(con, statement, {"clean": clean})
                for rollup in self._plan.rollups:
                    name = rollup.table.name
                    partials = _taken(rollup, made[rollup.partial])
                    counts = partials.select(rollup.table.key).rename_columns(rollup.key_names)
                    for count in rollup.distinct:
                        counts = counts.append_column(count.column, pa.array([], pa.int64()))
                    run(con, rollup.merged, {"partials": partials, "distinct_counts": counts})
            except duckdb.Error as error:
                raise DeclarationError(f"{name} of {self._settings.declaration}: {error}") from None

    @property
    def needs_filling(self) -> bool:
        """Whether a table must be filled although no lot is missing in it."""
        return bool(self._changed)

    # -- publishing ---------------------------------------------------------------------------

    def together(self, lots: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
        """The partial tables of several lots, from what `partials_of_lot` made of each."""
        return partials_together(self._database.con, self._settings, lots)

    def publish(self, partials: Mapping[str, pa.Table], lot: int) -> None:
        """Merge the partial tables of the lots up to `lot` into the tables. A table that has `lot` is not changed."""
        for _ in self.publication(partials, lot):
            pass

    def publication(self, partials: Mapping[str, pa.Table], lot: int) -> Iterator[None]:
        """The same in steps of a tenth of a second at most; lots may be taken between them.

        A roll-up has the lots with its commit, at the end of its steps.
        """
        rollups = [rollup for rollup in self._plan.rollups if rollup.table.name not in self.fillings]
        for rollup in rollups:
            values = self._values(rollup)
            for count in rollup.distinct:
                _add(values[count.column], count.key, count.value, partials[count.partial])
        together: list[Callable[[], None]] | None = [] if self._settings.on_a_store else None
        for rollup in rollups:
            yield from self._merge(rollup, _taken(rollup, partials[rollup.partial]), lot, together)
            if together is None:
                failpoint(f"silver.after_rollup.{rollup.table.name}")
        if together:  # each waits for requests: one after the other takes five times as long
            with ThreadPoolExecutor(len(together), "roll-ups") as pool:
                for done in [pool.submit(work) for work in together]:
                    done.result()

    def _merge(
        self, rollup: Rollup, delta: pa.Table, lot: int, together: list[Callable[[], None]] | None = None
    ) -> Iterator[None]:
        """`together`: gets the commit instead of it being made here."""
        log = self.logs[rollup.table.name]
        if log.transactions.get(self._app, -1) >= lot:
            return
        changes = Changes()
        if delta.num_rows:
            changes = yield from self._merger.steps(rollup, log.path, log.files.values(), delta, self._values(rollup))

        def work() -> None:
            log.require_in_place()
            commit.replace_files(log, changes.removed, changes.added, {self._app: lot})
            if together is not None:
                failpoint(f"silver.after_rollup.{rollup.table.name}")

        if together is None:
            work()
        else:
            together.append(work)

    # -- completing ---------------------------------------------------------------------------

    def complete(self, clean: Log, lot: int) -> list[str]:
        """Update every table that lacks lots up to `lot`, from the clean events. Returns their names.

        A table without any transaction, one that another program changed and one whose declaration changed are filled
        from all clean events: at once if these are few, else in the steps of `fill`. Raises LakeDamaged for one that is
        ahead.
        """
        done = []
        self.require_none_ahead(lot)
        self.fillings = {}
        for rollup in self._plan.rollups:
            name = rollup.table.name
            if not lot and name not in self._changed:
                continue
            last = self.logs[name].transactions.get(self._app)
            if last is None or self.logs[name].edited or name in self._changed:
                self.fillings[name] = self._filling(clean, rollup, lot)
                if len(self.fillings[name].ends) <= 1:
                    self.fill(clean, lot, name)
            elif last < lot:
                self._catch_up(clean, rollup, last, lot)
            else:
                continue
            if name not in self.fillings:
                done.append(name)
        return done

    def _catch_up(self, clean: Log, rollup: Rollup, last: int, lot: int) -> None:
        con = self._database.con
        ends = clean_lots.parts(con, clean, self._declared.clean, last, lot)
        # The table with the values may have the later lots already: then they are those of this table at its end only.
        self._known[rollup.table.name] = self._loaded(rollup, None if len(ends) == 1 else last)
        for end in ends:
            with clean_lots.view(con, clean, self._declared.clean, last, end):
                delta = self._partial_rows(rollup)
                self._add_from_clean(rollup, self._known[rollup.table.name])
            for _ in self._merge(rollup, delta, end):
                self._progress()
            last = end
        self._progress()

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

    # -- filling ------------------------------------------------------------------------------

    def _filling(self, clean: Log, rollup: Rollup, lot: int) -> Filling:
        filling = Filling(rollup, clean.rows)
        filling.ends = clean_lots.parts(self._database.con, clean, self._declared.clean, 0, lot)
        return filling

    def fill(self, clean: Log, lot: int, name: str) -> bool:
        """Add the next part of the clean events to a table that is being filled; True if that was the last one.

        `lot`: the lot that the other roll-ups have, and no publication is in progress. With the last part up to it the
        table is committed, and takes part in publications from then on.
        """
        filling = self.fillings[name]
        rollup, log, con = filling.rollup, self.logs[name], self._database.con
        if not filling.ends:
            filling.ends = clean_lots.parts(con, clean, self._declared.clean, filling.upto, lot)
        if filling.ends:
            self._fill_part(clean, filling, filling.ends.pop(0))
        if filling.upto < lot:
            return False
        log.require_in_place()
        also: list[Action] = []
        if name in self._changed:
            also.append(create.redefined(log, rollup.table, tables.properties(self._settings, rollup.table)))
        new = list(filling.files.values())
        commit.replace_files(log, list(log.files.values()), new, {self._app: lot}, accept=True, also=also)
        self._changed.discard(name)
        self._known[name] = filling.values
        del self.fillings[name]
        return True

    def _fill_part(self, clean: Log, filling: Filling, end: int) -> None:
        rollup, path = filling.rollup, self.logs[filling.rollup.table.name].path
        con = self._database.con
        with clean_lots.view(con, clean, self._declared.clean, filling.upto, end):
            delta = self._partial_rows(rollup)
            self._add_from_clean(rollup, filling.values)
            filling.done += con.execute("SELECT count(*) FROM clean").fetchone()[0]  # type: ignore[index]
        if delta.num_rows:
            steps = self._merger.steps(rollup, path, filling.files.values(), delta, filling.values)
            changes = _finished(steps)
            for file in changes.removed:
                del filling.files[file.path]
            data_files.discard(path, changes.removed)  # no commit names them
            filling.files |= {file.path: file for file in changes.added}
        filling.upto = end

    def abandon(self) -> None:
        """Delete the files of the tables that are being filled: the next start fills them again."""
        for name, filling in self.fillings.items():
            data_files.discard(self.logs[name].path, filling.files.values())
        self.fillings = {}

    # -- the distinct counts ------------------------------------------------------------------

    def _values(self, rollup: Rollup) -> Values:
        """The values of the table's distinct counts; at first use they are loaded from the tables."""
        name = rollup.table.name
        if name not in self._known:
            self._known[name] = self._loaded(rollup, None)
        return self._known[name]

    def _loaded(self, rollup: Rollup, upto: int | None) -> Values:
        """The values of the lots up to `upto`; None: of those that the table has which holds them."""
        return {count.column: self._values_of(rollup, count, upto) for count in rollup.distinct}

    def _values_of(self, rollup: Rollup, count: DistinctCount, upto: int | None) -> DistinctValues:
        found = DistinctValues()
        con = self._database.con
        if upto is None and count.stored_in is not None and count.stored_in not in self.fillings:
            table = self._declared.by_name[count.stored_in]
            columns = listed(tuple(dict.fromkeys((*count.key, count.value))))
            Snapshot.of_log(self.logs[table.name], table).view(con, "stored_values")
            distinct = f"SELECT DISTINCT {columns} FROM stored_values"  # a client has a row for each of its days
            for batch in con.execute(distinct).to_arrow_reader(clean_lots.AT_ONCE):
                _add(found, count.key, count.value, pa.Table.from_batches([batch]))
            con.execute("DROP VIEW stored_values")
            return found
        clean = self._tables.log(self._declared.clean)
        until = self.logs[rollup.table.name].transactions.get(self._app, 0) if upto is None else upto
        begin = 0
        for end in clean_lots.parts(con, clean, self._declared.clean, 0, until):
            with clean_lots.view(con, clean, self._declared.clean, begin, end):
                _add(found, rollup.key_names, "_value", con.execute(count.from_clean).to_arrow_table())
            begin = end
            self._progress()
        return found

    # -- from the clean events ----------------------------------------------------------------

    def _partial_rows(self, rollup: Rollup) -> pa.Table:
        """The partial rows of one table, with its columns, from the relation `clean`."""
        return _taken(rollup, self._database.con.execute(self._plan.partials[rollup.partial]).to_arrow_table())

    def _add_from_clean(self, rollup: Rollup, values: Values) -> None:
        for count in rollup.distinct:
            rows = self._database.con.execute(count.from_clean).to_arrow_table()
            _add(values[count.column], rollup.key_names, "_value", rows)


def _taken(rollup: Rollup, partial: pa.Table) -> pa.Table:
    """The columns of a partial table that `rollup` needs, under its names."""
    names = list(rollup.taken)
    if names == partial.column_names and names == list(rollup.taken.values()):
        return partial
    return partial.select(list(rollup.taken.values())).rename_columns(names)


def _add(values: DistinctValues, key: Iterable[str], value: str, rows: pa.Table) -> None:
    values.add([rows[name] for name in key], rows[value])


def _finished(steps: Steps) -> Changes:
    """The result of steps that are done at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            changes: Changes = end.value
            return changes
