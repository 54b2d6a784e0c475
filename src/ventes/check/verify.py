"""`ventes verify`: recomputes everything from Bronze's raw bytes and compares it exactly, both ways.

Independent of the jobs: it reads the tables at one consistent state (lot L: the last one that all five roll-ups
have), judges every message again, finds duplicates with a window over all messages instead of lot by lot, aggregates
with plain GROUP BYs, and compares with EXCEPT ALL in both directions. Only reads.

    Verification(settings).run() -> Report        one Check per invariant of docs/architecture.md
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from ventes.check import recompute, topic_read
from ventes.check.protocol import checkpoint_complaints, log_complaints
from ventes.config import Settings
from ventes.contract.tables import ALL, BRONZE, CLEAN, REJETS, ROLLUPS, SILVER, SILVER_APP
from ventes.deltalog.snapshot import Snapshot, TableMissing
from ventes.deltalog.table import Table
from ventes.errors import BrokerUnavailable, VentesError
from ventes.judging.judge_batch import judge_batch
from ventes.lake import tables
from ventes.lake.tables import path_of

CHUNK = 200_000
"""Messages judged at a time: about 100 MB."""
FIRST_LOT_SECONDS = 10.0
"""Seconds to wait for the first lot in all tables before it counts as missing."""
SHOWN = 5
"""Differing rows printed per comparison."""

Progress = Callable[[str], None]


@dataclass
class Check:
    """One invariant: what was compared, how many rows, and what differed."""

    invariant: str
    ok: bool
    compared: str
    rows: int
    differences: list[str] = field(default_factory=list)
    """The differences; or, if it could not be compared, the reason."""
    asked: bool = True
    """False: the comparison was not possible, so the result is unknown."""

    def line(self) -> str:
        state = "ok" if self.ok else "FAILED" if self.asked else "?"
        return f"{self.invariant:<13} {state:<6} {self.compared}"


@dataclass
class Figures:
    """The five figures of the page, recomputed: Bronze's rows, and the others from the messages judged again.

    `revenue` and `average` (half up to cents, None without a sale) in the currency's units.
    """

    records: int
    clients: int
    products: int
    revenue: Decimal
    average: Decimal | None


@dataclass
class Report:
    lot: int | None
    seconds: float
    checks: list[Check]
    figures: Figures

    @property
    def ok(self) -> bool:
        """Everything was compared and nothing differs."""
        return all(check.ok for check in self.checks)

    @property
    def wrong(self) -> bool:
        """Something differs."""
        return any(check.asked and not check.ok for check in self.checks)

    def as_json(self) -> str:
        return json.dumps({"ok": self.ok, **asdict(self)}, ensure_ascii=False, default=str)


class Verification:
    """One run. `progress` receives short sentences while it works."""

    def __init__(self, settings: Settings, progress: Progress = lambda text: None, read_topic: bool = True) -> None:
        self.settings = settings
        self.progress = progress
        self.read_topic = read_topic
        self.checks: list[Check] = []
        self._snapshots: dict[str, Snapshot | None] = {}

    def run(self) -> Report:
        began = time.monotonic()
        if not (self.settings.bronze / "_delta_log").is_dir():
            raise VentesError(
                f"there is no Bronze table at {self.settings.bronze}", "start the pipeline: bash start_pipeline.sh"
            )
        with tempfile.TemporaryDirectory(prefix="ventes-verify-") as folder, _database(Path(folder)) as con:
            lot = self._open(con)
            self._judge_again(con)
            self._expect_silver(con)
            self._positions(con)
            self._bronze_fields(con)
            self._payload(con)
            self._silver(con)
            self._aggregates(con)
            figures = self._figures(con)
        self._protocol()
        return Report(lot, time.monotonic() - began, self.checks, figures)

    # -- one consistent moment ------------------------------------------------------------------

    def _open(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Views of all tables as they were when lot L was complete; returns L (None: Silver is empty)."""
        found, lots = self._silver_now()
        deadline = time.monotonic() + FIRST_LOT_SECONDS
        while None in lots.values() and any(lots.values()) and time.monotonic() < deadline:
            time.sleep(0.2)  # most likely the first lot is being published
            found, lots = self._silver_now()
        lot = None if None in lots.values() else min(value for value in lots.values() if value is not None)
        missing = [name for name, value in lots.items() if value is None]
        if missing and len(missing) < len(lots):
            self._add(
                "I6 protocol", 0, f"no lot yet in {', '.join(missing)}", ["start the silver job: it completes them"]
            )
        for table in SILVER:
            snapshot = found[table.name]
            self._snapshots[table.name] = snapshot
            if snapshot is None:
                con.register(f"_{table.name}", table.schema.empty_table())
                con.execute(f"CREATE TEMP VIEW {table.name} AS SELECT * FROM _{table.name}")
                continue
            if lot is not None and table in ROLLUPS:
                snapshot = _as_of_lot(snapshot, lot)
            snapshot.view(con, f"all_{table.name}")
            until = f" WHERE lot <= {-1 if lot is None else lot}" if table in (CLEAN, REJETS) else ""
            con.execute(f"CREATE TEMP VIEW {table.name} AS SELECT * FROM all_{table.name}{until}")
        self._bronze = tables.snapshot(self.settings, BRONZE)
        self._bronze.view(con, "all_bronze")
        con.execute(
            """
            CREATE TABLE taken AS
            SELECT topic_id, "partition", max("offset") AS last FROM (
                SELECT topic_id, "partition", "offset" FROM ventes_clean
                UNION ALL SELECT topic_id, "partition", "offset" FROM ventes_rejets)
            GROUP BY ALL;
            CREATE TEMP VIEW bronze AS SELECT b.* FROM all_bronze b JOIN taken t USING (topic_id, "partition")
            WHERE b."offset" <= t.last;
            """
        )
        return lot

    def _silver_now(self) -> tuple[dict[str, Snapshot | None], dict[str, int | None]]:
        """Snapshots of the Silver tables, and the last lot of those that count lots."""
        found: dict[str, Snapshot | None] = {}
        for table in SILVER:
            try:
                found[table.name] = tables.snapshot(self.settings, table)
            except TableMissing:
                found[table.name] = None
        counted = (CLEAN, *ROLLUPS)
        return found, {t.name: s.transactions.get(SILVER_APP) if (s := found[t.name]) else None for t in counted}

    # -- the expected content -------------------------------------------------------------------

    def _judge_again(self, con: duckdb.DuckDBPyConnection) -> None:
        """Table `judged`: every Bronze message that Silver has processed, with a new verdict on its raw bytes."""
        con.register("_empty", BRONZE.schema.empty_table())
        con.execute('CREATE TEMP TABLE judged AS SELECT * EXCLUDE ("key", "value", "headers") FROM _empty')
        total = _count(con, "bronze")
        # A separate connection: another statement would end a result that is still being read.
        raw = con.cursor().execute(
            f"""
            SELECT "key", "value", "headers", topic_id, "partition", "offset", kafka_ts, date_ingestion
            FROM ({self._bronze.select()}) JOIN taken USING (topic_id, "partition") WHERE "offset" <= last
            """
        )
        done = 0
        for batch in raw.to_arrow_reader(CHUNK):
            chunk = pa.Table.from_batches([batch])
            verdicts = judge_batch(
                con.cursor(), chunk.drop_columns(["date_ingestion"]), self.settings, datetime.now(timezone.utc)
            )
            stored = chunk.select(["topic_id", "partition", "offset", "date_ingestion"])
            con.register("_verdicts", verdicts)
            con.register("_stored", stored)
            con.execute(
                """
                INSERT INTO judged SELECT v.* EXCLUDE ("key", "value", "headers")
                REPLACE (s.date_ingestion AS date_ingestion)
                FROM _verdicts v JOIN _stored s USING (topic_id, "partition", "offset")
                """
            )
            done += len(chunk)
            self.progress(f"judging messages again: {done:,} of {total:,}")

    def _expect_silver(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("finding duplicates over the whole history")
        con.execute(
            """
            CREATE TEMP TABLE placed AS
            SELECT topic_id, "partition", "offset", lot, date_ingestion AS taken_at FROM ventes_clean
            UNION ALL SELECT topic_id, "partition", "offset", lot, date_ingestion FROM ventes_rejets;
            """
        )
        con.execute(recompute.MESSAGES)

    # -- the invariants -------------------------------------------------------------------------

    def _positions(self, con: duckdb.DuckDBPyConnection) -> None:
        total = _count(con, "bronze")
        complaints = []
        doubled = _rows(
            con, 'SELECT topic_id, "partition", "offset", count(*) FROM all_bronze GROUP BY ALL HAVING count(*) > 1'
        )
        complaints += [f"Bronze holds {row} times" for row in doubled]
        for label, left, right in (
            ("in Bronze, in no Silver table", "bronze", "placed"),
            ("in Silver, not in Bronze", "placed", "bronze"),
        ):
            columns = 'topic_id, "partition", "offset"'
            complaints += [
                f"{label}: {row}"
                for row in _rows(con, f"SELECT {columns} FROM {left} EXCEPT ALL SELECT {columns} FROM {right}")
            ]
        complaints += [
            f"lots go back at {row}"
            for row in _rows(
                con,
                """
                SELECT topic_id, "partition", "offset", lot FROM (
                    SELECT *, lag(lot) OVER (PARTITION BY topic_id, "partition" ORDER BY "offset") AS before
                    FROM placed)
                WHERE lot < before
                """,
            )
        ]
        parts = _count(con, "taken")
        waiting = _count(con, "all_bronze") - total
        later = f"; {waiting:,} more in Bronze wait for Silver" if waiting else ""
        self._add(
            "I1 positions",
            total,
            f"{total:,} messages of {parts} partition(s): Bronze = clean ⊎ rejets{later}",
            complaints,
        )

    def _bronze_fields(self, con: duckdb.DuckDBPyConnection) -> None:
        """Bronze's typed fields against the raw bytes beside them."""
        self.progress("comparing Bronze's fields with its raw bytes")
        con.execute(recompute.BRONZE_FIELDS)
        rows = _count(con, "bronze")
        complaints = self._unexpected_columns(BRONZE, self._bronze) + self._both_ways(con, BRONZE.name)
        self._add("I3 payload", rows, f"{rows:,} messages: the typed fields are those of the raw bytes", complaints)

    def _payload(self, con: duckdb.DuckDBPyConnection) -> None:
        """Bronze against a read of the topic, as far as the topic still has the messages."""
        if not self.read_topic:
            return
        try:
            copy = topic_read.load(self.settings, con, "topic", self.progress)
        except BrokerUnavailable as error:
            self.checks.append(Check("I3 payload", False, "the topic could not be read", 0, [str(error)], asked=False))
            return
        if copy is None:
            self._add("I3 payload", 0, f"topic {self.settings.topic} does not exist: nothing to compare with", [])
            return
        complaints = [
            f"{label}: {row}"
            for label, query in (
                (
                    "in the topic, not in Bronze",
                    """SELECT "partition", "offset" FROM topic ANTI JOIN this_topic USING ("partition", "offset")""",
                ),
                (
                    "in Bronze, not in the topic",
                    """SELECT "partition", "offset" FROM this_topic ANTI JOIN topic USING ("partition", "offset")""",
                ),
                (
                    "other key, value, headers or time",
                    """SELECT "partition", "offset" FROM topic t JOIN this_topic b USING ("partition", "offset")
                       WHERE t.fingerprint <> b.fingerprint OR t.ms <> b.ms""",
                ),
            )
            for row in _rows(con, query)
        ]
        self._add(
            "I3 payload",
            copy,
            f"{copy:,} messages of the topic: key, value, headers, time and offset as in Bronze",
            complaints,
        )

    def _silver(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("comparing Silver's messages")
        count = _count(con, "ventes_clean")
        doubled = _rows(con, "SELECT vente_id, count(*) FROM ventes_clean GROUP BY ALL HAVING count(*) > 1")
        complaints = [f"vente_id twice in ventes_clean: {row}" for row in doubled]
        con.execute(recompute.silver(self.settings.rules.watermark_minutes))
        if judged_otherwise := con.execute(recompute.JUDGED_OTHERWISE).fetchone()[0]:  # type: ignore[index]
            complaints.append(
                f"{judged_otherwise:,} rejected messages have reasons of earlier rules or of an earlier release: "
                "`ventes rebuild silver` gives them those of now"
            )
        for table in (CLEAN, REJETS):
            complaints += self._unexpected_columns(table, self._snapshots[table.name])
            complaints += self._both_ways(con, table.name)
        complaints += self._both_ways(con, "raw")
        rejected = _count(con, "ventes_rejets")
        self._add(
            "I4 silver",
            count + rejected,
            f"{count:,} clean sales, ids unique, and {rejected:,} rejected messages with their reasons, both ways",
            complaints,
        )

    def _aggregates(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("recomputing the aggregates")
        con.execute(recompute.aggregates(self.settings.rules))
        for table in ROLLUPS:
            complaints = self._unexpected_columns(table, self._snapshots[table.name])
            complaints += self._both_ways(con, table.name)
            rows = _count(con, table.name)
            self._add(
                "I5 aggregates", rows, f"{table.name}: {rows:,} rows recomputed from Bronze, both ways", complaints
            )

    def _figures(self, con: duckdb.DuckDBPyConnection) -> Figures:
        row = con.execute(recompute.FIGURES).fetchone()
        assert row is not None  # an aggregate without GROUP BY has one row
        return Figures(_count(con, "all_bronze"), *row)

    def _protocol(self) -> None:
        self.progress("checking logs and checkpoints")
        complaints, files = [], 0
        for table in ALL:
            path = path_of(self.settings, table)
            if (path / "_delta_log").is_dir():
                found, count = log_complaints(path)
                complaints += found
                files += count
        complaints += checkpoint_complaints(self.settings)
        self._add(
            "I6 protocol", files, f"{files:,} Delta log entries without a gap; checkpoint and table agree", complaints
        )

    # -- helpers --------------------------------------------------------------------------------

    def _unexpected_columns(self, table: Table, snapshot: Snapshot | None) -> list[str]:
        """A message for each unexpected stored column, which would otherwise not be compared."""
        stored = set(snapshot.columns) if snapshot is not None else set()
        known = set(table.schema.names)
        return [f"{table.name} has a column {name!r} that no release wrote" for name in sorted(stored - known)]

    def _both_ways(self, con: duckdb.DuckDBPyConnection, what: str) -> list[str]:
        """Rows of expected_<what> that <what> lacks, and the other way round, over every column that is compared."""
        exempt = recompute.NOT_COMPARED.get(what, {})
        stored = [name for name in _columns(con, what) if name not in exempt]
        expected = _columns(con, f"expected_{what}")
        if set(stored) != set(expected):
            odd = ", ".join(sorted(set(stored) ^ set(expected)))
            return [f"{what}: column(s) {odd} are either stored or expected, not both: a mistake in this program"]
        listed = ", ".join(f'"{name}"' for name in expected)
        found = []
        for label, these, those in (
            ("missing or other", f"expected_{what}", what),
            ("not expected", what, f"expected_{what}"),
        ):
            query = f"SELECT {listed} FROM {these} EXCEPT ALL SELECT {listed} FROM {those}"
            found += [f"{what}: {label}: {dict(zip(expected, row, strict=True))}" for row in _rows(con, query)]
        return found

    def _add(self, invariant: str, rows: int, compared: str, complaints: list[str]) -> None:
        self.checks.append(Check(invariant, not complaints, compared, rows, complaints))


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return con.execute(f"SELECT * FROM ({query}) LIMIT {SHOWN}").fetchall()


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in con.execute(f"SELECT column_name FROM (DESCRIBE {relation})").fetchall()]


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert row is not None
    return int(row[0])


def _as_of_lot(snapshot: Snapshot, lot: int) -> Snapshot:
    """The roll-up at `lot`: it may already have a later lot that another roll-up still lacks."""
    while snapshot.transactions[SILVER_APP] > lot:
        snapshot = Snapshot.open(snapshot.path, snapshot.table, version=snapshot.version - 1)
    return snapshot


@contextmanager
def _database(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch database on disk, so that a table larger than memory can be verified."""
    con = duckdb.connect(str(folder / "verify.duckdb"), config={"temp_directory": str(folder)})
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    try:
        yield con
    finally:
        con.close()
