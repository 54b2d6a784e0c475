"""The embedded Silver job: engines.silver's loop, with DuckDB taking the lots.

A lot reads only the Bronze files and columns it needs, and of ventes_clean only files that hold one of its ids, so its
price depends on the lot and not on what is there already.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.contract.tables import BRONZE, CLEAN, POSITION, REJETS
from ventes.deltalog import commit, data_files
from ventes.deltalog.log import Log, transaction
from ventes.deltalog.snapshot import Renewed, Snapshot
from ventes.engines import job
from ventes.engines.embedded.bronze_rows import pieces, with_values
from ventes.engines.embedded.intake import RAW
from ventes.engines.embedded.known_ids import KnownIds
from ventes.engines.lot_range import Span
from ventes.engines.silver_loop import SilverLoop, Taken
from ventes.engines.split_in_duckdb import split
from ventes.errors import LakeDamaged
from ventes.judging.judge_batch import judged
from ventes.lake.rollups import APP
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.failpoints import failpoint
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

_LATER = ("key", "value", "headers")
"""The message as it was: most of a row."""


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
        self._database = Renewed(settings.embedded.memory_mb)
        self._logs: dict[Path, Log] = {}
        self._known = KnownIds(path_of(settings, CLEAN))

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._database.close()
        self._lock.release()

    def take(self, span: Span, lot: int) -> Taken:
        """See SilverEngine."""
        now = datetime.now(timezone.utc)
        self._database.begin()
        bronze = Snapshot.of_log(self._log(path_of(self._settings, BRONZE)))
        clean = self._log(path_of(self._settings, CLEAN))
        rows = self._rows_rejudged(bronze, span) if self._rejudge else self._rows(bronze, span)
        parts = split(self._database.con, rows, self._known_rows(rows, clean), self._settings, lot, now)
        failpoint("silver.before_rejets")
        if parts.rejets.num_rows:
            self._commit_rejets(parts.rejets, bronze, span, lot)
        failpoint("silver.after_rejets")
        commit.append(clean, CLEAN, parts.clean, APP, lot)
        failpoint("silver.after_clean")
        return Taken(parts.clean.num_rows, parts.rejets.num_rows, parts.partials)

    # -- what a lot is made of ------------------------------------------------------------------

    def _rows(self, bronze: Snapshot, span: Span) -> pa.Table:
        """Bronze's rows of the span, without what may be large and is not needed yet."""
        needed = [name for name in BRONZE.schema.names if name not in (*POSITION, *_LATER)]
        return _together(_lighter(piece) for piece in pieces(bronze, span, needed))

    def _rows_rejudged(self, bronze: Snapshot, span: Span) -> pa.Table:
        """The same with a fresh verdict; when it was ingested stays what it was."""
        return _together(
            _lighter(_replaced(self._judged(piece), "date_ingestion", piece["date_ingestion"]))
            for piece in pieces(bronze, span, ("value", "kafka_ts", "date_ingestion"))
        )

    def _judged(self, piece: pa.Table) -> pa.Table:
        raw = _filled(piece, RAW)
        return judged(self._database.con, raw, self._settings, datetime.now(timezone.utc))

    def _known_rows(self, rows: pa.Table, clean: Log) -> pa.Table:
        """The rows of ventes_clean that have an id of the lot."""
        valid = pc.equal(pc.list_value_length(rows["motifs"]), 0)
        ids = np.unique(rows["vente_id"].filter(valid).to_numpy())
        holding = {file.path for file in self._known.files_with(ids, clean.files.values())}
        if not holding:
            return CLEAN.schema.empty_table()
        source = Snapshot.of_log(clean).select(lambda file: file.path in holding)
        self._database.con.register("lot_ids", pa.table({"vente_id": ids}))
        try:
            return self._database.con.execute(
                f"SELECT * FROM ({source}) SEMI JOIN lot_ids USING (vente_id)"
            ).to_arrow_table()
        finally:
            self._database.con.unregister("lot_ids")

    def _commit_rejets(self, rows: pa.Table, bronze: Snapshot, span: Span, lot: int) -> None:
        """Append the rejected rows with their raw bytes, which come from Bronze in pieces."""
        log = self._log(path_of(self._settings, REJETS))
        if log.transactions.get(APP, -1) >= lot:
            return
        file = data_files.write_stream(log.path, REJETS, REJETS.schema, with_values(rows, bronze, span), {})
        if file.rows != rows.num_rows:
            raise LakeDamaged(
                f"Bronze gave the raw bytes of {file.rows} rejected rows of {rows.num_rows}", "ventes verify says which"
            )
        log.commit([transaction(APP, lot), file.add(True)], "WRITE")

    def _log(self, path: Path) -> Log:
        """The table at `path` as it is now, read once and then followed."""
        log = self._logs.get(path)
        if log is None or not log.valid():
            log = self._logs[path] = Log.open(path)
        log.refresh()
        return log


def _together(parts: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([BRONZE.schema.empty_table(), *parts])


def _lighter(rows: pa.Table) -> pa.Table:
    """Bronze rows without the raw message, which few need; and without unknown fields where the row is rejected."""
    rows = _filled(rows.drop([name for name in _LATER if name in rows.column_names]), BRONZE.schema)
    extra = rows["_extra"]
    if extra.null_count == len(extra):
        return rows
    valid = pc.equal(pc.list_value_length(rows["motifs"]), 0).to_pylist()
    # by Python, because take and if_else would keep as much memory as all the texts have
    kept = [text if wanted else None for text, wanted in zip(extra.to_pylist(), valid, strict=True)]
    return _replaced(rows, "_extra", pa.array(kept, pa.string()))


def _filled(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with the columns of `schema`; those it does not have are NULL."""
    return pa.table(
        [
            rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def _replaced(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
