"""The five roll-ups: merges the partials of each lot, exactly once.

A lot gives three small partial tables (lake/sql/partial_*.sql). For each roll-up the rows that may have the same key
are read, summed with the partials by the table's statement (lake/sql/ventes_*.sql) and written, in one commit with the
transaction ("ventes-silver", lot). Sums, minima, maxima and sets can be combined in any order, so a lot may be
completed later from ventes_clean with the same result.

Only files whose key range may contain a changed key are rewritten. Files are kept small (CHUNK rows, sorted by the
table's range columns), so a lot of today's sales rewrites today's file, however many days the table has.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ventes.config import Rules, Settings
from ventes.contract.arithmetic import mean_sql
from ventes.contract.dialect import Value, fragment, sql
from ventes.contract.tables import AGGREGES, CLEAN, PAR_MINUTE, PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT, ROLLUPS, SILVER_APP
from ventes.deltalog import commit, data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake.distinct_customers import DistinctCustomers
from ventes.lake.open_tables import OpenTables
from ventes.runtime.failpoints import failpoint

CHUNK = 8192
"""Rows per file: rewriting one takes about 10 ms (ventes_aggreges), the largest part of a lot's time."""
MOST_FILES = 100
"""If CHUNK would make more files than this, the files get larger."""
SMALL_FILES = 8
"""Number of unchanged files below half a CHUNK from which they are merged."""

CLIENTS, PRODUCTS, MINUTES = "clients", "products", "minutes"
PARTIALS = (CLIENTS, PRODUCTS, MINUTES)
"""The partial tables of a lot; lake/sql/partial_<name>.sql makes each."""


@dataclass(frozen=True)
class _Rollup:
    table: Table
    partial: str
    ordered_by: tuple[str, ...]
    """The range columns: the first prunes files, all of them sort the rows in a file."""
    sums: Mapping[str, str] | None = None
    """The table's columns ← those of `partial`, where the names differ. Sums can be summed again, so a coarser table
    uses the partials of a finer one."""


_OF_CLIENTS = {"total_transactions": "nb_achats", "revenue_total": "total_depense", "items_sold": "total_quantite"}
_SPECS = {
    spec.table.name: spec
    for spec in (
        _Rollup(AGGREGES, CLIENTS, ("jour", "client_id")),
        _Rollup(PAR_PAYS, CLIENTS, ("pays",), sums={"pays": "pays", **_OF_CLIENTS}),
        _Rollup(PAR_SEGMENT, CLIENTS, ("segment",), sums={"segment": "segment", **_OF_CLIENTS}),
        _Rollup(PAR_PRODUIT, PRODUCTS, ("produit_id",)),
        _Rollup(PAR_MINUTE, MINUTES, ("minute",)),
    )
}


def rollup_sql(name: str, rules: Rules) -> str:
    """The statement that makes the aggregate table `name` from its partial rows."""
    parameters = _PARAMETERS[name](rules) if name in _PARAMETERS else {}
    return sql(f"lake/sql/{name}", "duckdb", **parameters)


_MEAN_SALE = fragment(mean_sql("revenue_total", "total_transactions"))
_PARAMETERS: Mapping[str, Callable[[Rules], dict[str, Value]]] = {
    AGGREGES.name: lambda rules: {
        "mean": fragment(mean_sql("total_depense", "nb_achats")),
        "loyal_from": rules.loyal_from,
        "standard_from": rules.standard_from,
        "premium_from": rules.premium_from,
    },
    PAR_PAYS.name: lambda _: {"mean": _MEAN_SALE},
    PAR_SEGMENT.name: lambda _: {"mean": _MEAN_SALE},
}
"""Table → the parameters of its statement."""


def partial(con: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """One of PARTIALS, from the relation `clean` of `con` (rows of ventes_clean)."""
    return con.execute(sql(f"lake/sql/partial_{name}", "duckdb")).to_arrow_table()


def partials_of(con: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
    """All of PARTIALS, from the relation `clean` of `con`."""
    return {name: partial(con, name) for name in PARTIALS}


class Publisher:
    """Updates the roll-ups of one lake; one instance per writer, which holds the Silver lock.

    After an exception create a new one: its state in memory may be ahead of the tables.
    """

    def __init__(self, settings: Settings, tables: OpenTables, database: RecycledDatabase) -> None:
        """`database` is the engine's, which recycles it between two lots."""
        self._database = database
        self.logs = {table.name: tables.ensure(table) for table in ROLLUPS}
        self._reach: DistinctCustomers | None = None
        self._recent: dict[str, dict[str, pa.Table]] = {table.name: {} for table in ROLLUPS}
        """Table → path → rows, of the files written last: the next lot most likely changes the same files."""
        self._sql = {name: rollup_sql(name, settings.rules) for name in _SPECS}

    def publish(self, partials: Mapping[str, pa.Table], lot: int) -> None:
        """Merge the partial tables of `lot` into the five tables. A table that has the lot already is not changed."""
        self._load_known(partials[CLIENTS])
        for table in ROLLUPS:
            spec = _SPECS[table.name]
            self._merge(spec, partials[spec.partial], lot)
            failpoint(f"silver.after_rollup.{table.name}")

    def complete(self, clean: Log, lot: int) -> list[str]:
        """Update every table that lacks lots up to `lot`, from the rows of ventes_clean. Returns their names.

        A table without any transaction, or one that another program changed, is built from all of ventes_clean.
        Raises LakeDamaged for one that is ahead.
        """
        done = []
        self.require_none_ahead(lot)
        for table in ROLLUPS:  # ventes_aggreges first: the distinct counts of the others come from it
            log = self.logs[table.name]
            last = log.transactions.get(SILVER_APP)
            if log.edited:
                last = None
            if last == lot:
                continue
            spec = _SPECS[table.name]
            delta = self._partial_of(clean, spec.partial, -1 if last is None else last, lot)
            self._merge(spec, delta, lot, anew=last is None)
            done.append(table.name)
        self._reach = None
        return done

    def require_none_ahead(self, lot: int) -> None:
        """Raise LakeDamaged if an aggregate has a lot after `lot`: ventes_clean lost its last commits."""
        for name, log in self.logs.items():
            log.refresh()
            last = log.transactions.get(SILVER_APP, 0)
            if last > lot:
                raise LakeDamaged(
                    f"{name} holds lot {last}, ventes_clean only {lot}", "`ventes rebuild silver` makes them agree"
                )

    # -- one table ----------------------------------------------------------------------------

    def _merge(self, spec: _Rollup, delta: pa.Table, lot: int, anew: bool = False) -> None:
        log = self.logs[spec.table.name]
        if not anew and log.transactions.get(SILVER_APP, -1) >= lot:
            return
        if delta.num_rows == 0 and not anew:
            commit.append(log, spec.table, spec.table.schema.empty_table(), SILVER_APP, lot)
            return
        if spec.sums:
            delta = delta.select(list(spec.sums.values())).rename_columns(list(spec.sums))
        touched = list(log.files.values()) if anew else _touched(spec, log, delta)
        old = [] if anew else [self._rows(log, spec.table, file) for file in touched]
        columns = delta.column_names
        partials = pa.concat_tables([*(rows.select(columns).cast(delta.schema) for rows in old), delta])
        merged = self._final(spec, partials)
        gathered = [] if anew else _small(log, touched)
        kept = pa.concat_tables([self._rows(log, spec.table, file) for file in gathered]) if gathered else None
        chunks = [*_chunks(spec, merged, log), *(_chunks(spec, kept, log) if kept is not None else [])]
        new = commit.replace(log, spec.table, [*touched, *gathered], chunks, SILVER_APP, lot, accept=anew)
        self._recent[spec.table.name] = {file.path: rows for file, rows in zip(new, chunks, strict=True)}

    def _final(self, spec: _Rollup, partials: pa.Table) -> pa.Table:
        extra = {}
        if spec.table is PAR_PAYS:
            extra["distinct_counts"] = self._known().pays(partials["pays"].unique().to_pylist())
        elif spec.table is PAR_SEGMENT:
            extra["distinct_counts"] = self._known().segments(partials["segment"].unique().to_pylist())
        rows = self._run(spec.table.name, partials=partials, **extra).cast(spec.table.schema)
        return rows.sort_by([(column, "ascending") for column in spec.ordered_by])

    def _run(self, name: str, **relations: pa.Table) -> pa.Table:
        for relation, rows in relations.items():
            self._database.con.register(relation, rows)
        try:
            return self._database.con.execute(self._sql[name]).to_arrow_table()
        finally:
            for relation in relations:
                self._database.con.unregister(relation)

    def _rows(self, log: Log, table: Table, file: DataFile) -> pa.Table:
        kept = self._recent[table.name].get(file.path)
        return kept if kept is not None else pq.ParquetFile(log.path / file.path).read().cast(table.schema)

    # -- the distinct counts ------------------------------------------------------------------

    def _known(self) -> DistinctCustomers:
        if self._reach is None:
            self._reach = DistinctCustomers()
            Snapshot.of_log(self.logs[AGGREGES.name], AGGREGES).view(self._database.con, "known_clients")
            self._reach.add(
                self._database.con.execute(
                    "SELECT DISTINCT client_id, pays, segment FROM known_clients"
                ).to_arrow_table()
            )
        return self._reach

    def _load_known(self, clients: pa.Table) -> None:
        self._known().add(clients)

    # -- from ventes_clean --------------------------------------------------------------------

    def _partial_of(self, clean: Log, name: str, after: int, upto: int) -> pa.Table:
        """The partial table `name` of the lots in (after, upto]."""

        def keep(file: DataFile) -> bool:
            lots = file.bounds("lot")
            return lots is None or (lots[1] > after and lots[0] <= upto)

        source = Snapshot.of_log(clean, CLEAN).select(keep)
        con = self._database.con
        con.execute(f"CREATE OR REPLACE TEMP VIEW clean AS {source} WHERE lot > {after} AND lot <= {upto}")
        try:
            return partial(con, name)
        finally:
            con.execute("DROP VIEW clean")


def _touched(spec: _Rollup, log: Log, delta: pa.Table) -> list[DataFile]:
    """The files that may hold a key of `delta`."""
    column = spec.ordered_by[0]
    values = sorted(data_files.bound_text(value) for value in delta[column].unique().to_pylist())
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


def _chunks(spec: _Rollup, rows: pa.Table, log: Log) -> list[pa.Table]:
    total = sum(file.rows or 0 for file in log.files.values())
    size = max(CHUNK, total // MOST_FILES)
    ordered = rows.sort_by([(column, "ascending") for column in spec.ordered_by])
    return [ordered.slice(start, size) for start in range(0, ordered.num_rows, size)]
