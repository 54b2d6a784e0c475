"""Takes lots in this process, with DuckDB: every lot of the embedded engine, and the small ones of Spark's driver.

A lot reads only the Bronze files and columns it needs, and of the clean events only rows that may have one of its ids
(id_index.py), so its cost depends on the lot and not on the size of the tables.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timezone

import pyarrow as pa

from ventes.config import Settings
from ventes.contract.tables import of as tables_of
from ventes.deltalog import commit
from ventes.deltalog.data_files import with_columns
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_rows import days_of
from ventes.engines.clean_rows import known_rows
from ventes.engines.id_index import IdIndex
from ventes.engines.lot_measures import LotColumns
from ventes.engines.lot_range import LotRange
from ventes.engines.lot_rows import lot_rows, lot_rows_judged_again, write_rejects
from ventes.engines.silver_loop import LotResult
from ventes.engines.split_in_duckdb import split_in_duckdb, valid_ids
from ventes.judging.judge_batch import judge_batch
from ventes.judging.messages import RAW
from ventes.lake import silver_recovery
from ventes.lake.open_tables import OpenTables
from ventes.runtime.failpoints import failpoint


class DuckDBLots:
    """`database` and `known_ids` belong to the engine, which closes them.

    `rejudge`: compute the verdict again from the raw bytes, instead of using the one in Bronze.
    """

    def __init__(
        self,
        settings: Settings,
        tables: OpenTables,
        database: RecycledDatabase,
        known_ids: IdIndex,
        *,
        rejudge: bool = False,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._database = database
        self._known_ids = known_ids
        self._rejudge = rejudge
        self._own = tables_of(settings)
        self._app_id = settings.stream.silver_app
        self._id = settings.stream.event.field(settings.stream.event.id)

    def take(self, lot_range: LotRange, lot: int) -> LotResult:
        """See SilverEngine. The database has begun the lot."""
        now = datetime.now(timezone.utc)
        bronze = self._tables.snapshot(self._own.bronze)
        clean = self._tables.log(self._own.clean)
        rows = self._rows(bronze, lot_range)
        parts = split_in_duckdb(self._database.con, rows, self._known_rows(rows, clean), self._settings, lot, now)
        failpoint("silver.before_rejets")
        if parts.rejets.num_rows:
            # a day that was computed again need not be the one of the file
            days = None if self._rejudge else days_of(parts.rejets, rows)
            self._commit_rejects(parts.rejets, bronze, lot_range, lot, days)
        failpoint("silver.after_rejets")
        rejects = silver_recovery.rejects_of(self._tables)
        if commit.append(clean, self._own.clean, parts.clean, self._app_id, lot, rejects) is not None:
            self._known_ids.add(parts.clean[self._id.clean_name], lot)
        failpoint("silver.after_clean")
        return LotResult(
            parts.clean.num_rows,
            parts.rejets.num_rows,
            parts.partials,
            LotColumns.of_rows(self._settings.stream, parts.clean, parts.rejets),
        )

    def _rows(self, bronze: Snapshot, lot_range: LotRange) -> pa.Table:
        return lot_rows_judged_again(bronze, lot_range, self._judged) if self._rejudge else lot_rows(bronze, lot_range)

    def _judged(self, piece: pa.Table) -> pa.Table:
        raw = with_columns(piece, RAW)
        return judge_batch(self._database.con, raw, self._settings, datetime.now(timezone.utc))

    def _known_rows(self, rows: pa.Table, clean: Log) -> pa.Table:
        """The clean rows that have an id of the lot."""
        known = self._known_ids.find(valid_ids(self._settings.stream, rows), clean)
        return known_rows(self._database.con, clean, self._own.clean, self._id.clean_name, known)

    def _commit_rejects(
        self, rows: pa.Table, bronze: Snapshot, lot_range: LotRange, lot: int, days: Collection[date | None] | None
    ) -> None:
        log, table = self._tables.log(self._own.rejets), self._own.rejets
        if not commit.has(log, self._app_id, lot):
            file = write_rejects(log.path, table, rows, bronze, lot_range, days)
            commit.append_files(log, [file], {self._app_id: lot})
