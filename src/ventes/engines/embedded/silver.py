"""The embedded Silver job: engines.silver's loop, with DuckDB taking the lots.

A lot reads only the Bronze files and columns it needs, and of ventes_clean only files that hold one of its ids, so its
price depends on the lot and not on what is there already.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract.tables import BRONZE, CLEAN, REJETS
from ventes.engines import job
from ventes.engines.embedded.judge import judged
from ventes.engines.embedded.known_ids import KnownIds
from ventes.engines.silver import SilverLoop, Taken
from ventes.engines.small_lot import split
from ventes.engines.span import Span
from ventes.lake import commit
from ventes.lake.locks import WriterLock, lock_path
from ventes.lake.log import Log
from ventes.lake.rollups import APP
from ventes.lake.snapshot import Snapshot, connect
from ventes.lake.tables import path_of
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

POSITION = 'topic_id, "partition", "offset"'


def run(settings: Settings) -> int:
    """Run the job until SIGTERM or SIGINT; the process's exit code (engines.job)."""
    return job.run(settings, "silver", "embedded", _body)


def _body(settings: Settings, log: logging.Logger, reporter: Reporter, stopper: Stopper) -> int:
    engine = EmbeddedSilver(settings)
    return SilverLoop(settings, engine, stopper, reporter, max_rows=settings.embedded.max_rows_per_batch).run()


class EmbeddedSilver:
    """A SilverEngine in DuckDB.

    `rejudge`: give each message a new verdict from its raw bytes, instead of the one that Bronze has (for a rebuild
    after a rule changed).
    """

    name = "embedded"

    def __init__(self, settings: Settings, *, rejudge: bool = False) -> None:
        self._settings = settings
        self._rejudge = rejudge
        self._lock = WriterLock(lock_path(settings, "silver"))
        self._con = connect(settings.embedded.memory_mb)
        self._logs: dict[Path, Log] = {}
        self._known = KnownIds(path_of(settings, CLEAN))

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._con.close()
        self._lock.release()

    def take(self, span: Span, lot: int) -> Taken:
        """See SilverEngine."""
        now = datetime.now(timezone.utc)
        bronze = Snapshot.of_log(self._log(path_of(self._settings, BRONZE)))
        clean = self._log(path_of(self._settings, CLEAN))
        rows = self._rows_rejudged(bronze, span) if self._rejudge else self._rows(bronze, span)
        parts = split(self._con, rows, self._known_rows(rows, clean), self._settings, lot, now)
        rejets = self._with_values(parts.rejets, bronze, span)
        failpoint("silver.before_rejets")
        if rejets.num_rows:
            commit.append(self._log(path_of(self._settings, REJETS)), REJETS, rejets, APP, lot)
        failpoint("silver.after_rejets")
        commit.append(clean, CLEAN, parts.clean, APP, lot)
        failpoint("silver.after_clean")
        return Taken(parts.clean.num_rows, rejets.num_rows, parts.partials)

    # -- what a lot is made of ------------------------------------------------------------------

    def _rows(self, bronze: Snapshot, span: Span) -> pa.Table:
        """Bronze's rows of the span. Their raw bytes, most of a row, come later for the few that need them."""
        source = f"SELECT * REPLACE (NULL::BLOB AS value) FROM ({bronze.select(span.holds)})"
        return self._con.execute(f"{source} WHERE {_condition(span)}").to_arrow_table().cast(BRONZE.schema)

    def _rows_rejudged(self, bronze: Snapshot, span: Span) -> pa.Table:
        """The same with a fresh verdict; when it was ingested stays what it was."""
        columns = f'"key", value, headers, {POSITION}, kafka_ts, date_ingestion'
        statement = f"SELECT {columns} FROM ({bronze.select(span.holds)}) WHERE {_condition(span)}"
        stored = self._con.execute(statement).to_arrow_table()
        stored = stored.cast(pa.schema([BRONZE.schema.field(name) for name in stored.column_names]))
        rows = judged(self._con, stored.drop(["date_ingestion"]), self._settings, datetime.now(timezone.utc))
        place = rows.schema.get_field_index("date_ingestion")
        return rows.set_column(place, "date_ingestion", stored["date_ingestion"])

    def _known_rows(self, rows: pa.Table, clean: Log) -> pa.Table:
        """The rows of ventes_clean that have an id of the lot."""
        valid = pc.equal(pc.list_value_length(rows["motifs"]), 0)
        ids = np.unique(rows["vente_id"].filter(valid).to_numpy())
        holding = {file.path for file in self._known.files_with(ids, clean.files.values())}
        if not holding:
            return CLEAN.schema.empty_table()
        source = Snapshot.of_log(clean).select(lambda file: file.path in holding)
        self._con.register("lot_ids", pa.table({"vente_id": ids}))
        try:
            return self._con.execute(f"SELECT * FROM ({source}) SEMI JOIN lot_ids USING (vente_id)").to_arrow_table()
        finally:
            self._con.unregister("lot_ids")

    def _with_values(self, rejets: pa.Table, bronze: Snapshot, span: Span) -> pa.Table:
        """Rejected rows with their raw bytes; each is in Bronze exactly once."""
        if self._rejudge or not rejets.num_rows:
            return rejets
        self._con.register("rejets", rejets)
        try:
            source = f"SELECT {POSITION}, value FROM ({bronze.select(span.holds)}) WHERE {_condition(span)}"
            statement = f"SELECT r.* REPLACE (b.value AS value) FROM rejets r JOIN ({source}) b USING ({POSITION})"
            return self._con.execute(statement).to_arrow_table().cast(REJETS.schema)
        finally:
            self._con.unregister("rejets")

    def _log(self, path: Path) -> Log:
        """The table at `path` as it is now, read once and then followed."""
        log = self._logs.get(path)
        if log is None or not log.valid():
            log = self._logs[path] = Log.open(path)
        log.refresh()
        return log


def _condition(span: Span) -> str:
    """The span's rows in DuckDB's dialect; a translation by sqlglot would cost 4 ms a lot."""
    return span.predicate().replace("`", '"')
