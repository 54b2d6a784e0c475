"""`ventes verify`: recomputes everything from Bronze's raw bytes and compares it exactly, both ways.

Independent of the jobs: it reads the tables at one consistent state (lot L: the last one that all roll-ups
have), judges every message again, finds duplicates with a window over all messages instead of lot by lot, aggregates
with plain GROUP BYs, and compares with EXCEPT ALL in both directions. Only reads.

    Verification(settings).run() -> Report        one Check per invariant of docs/architecture.md
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, make_dataclass
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa

from ventes.check import recompute, topic_read
from ventes.check.protocol import checkpoint_complaints, log_complaints
from ventes.check.read_before import ReadBefore
from ventes.check.recompute import expected, stored
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot, TableMissing
from ventes.deltalog.table import Table
from ventes.errors import BrokerUnavailable, VentesError
from ventes.judging.judge_batch import judge_batch
from ventes.lake import fit, tables
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat
from ventes.supervise import outdated

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
    notes: list[str] = field(default_factory=list)
    """What is as it should be, and may be wished otherwise."""

    def line(self) -> str:
        state = "ok" if self.ok else "FAILED" if self.asked else "?"
        return f"{self.invariant:<13} {state:<6} {self.compared}"


@dataclass
class Figures:
    """The figures of the page, recomputed: Bronze's rows, and those of the declaration's `summary` from the messages
    judged again, as further fields: int, Decimal, a value of a field, or None for no event.
    """

    records: int


@dataclass
class Report:
    lot: int | None
    seconds: float
    checks: list[Check]
    figures: Figures
    notes: list[str] = field(default_factory=list)
    """What the reader of the result must know about this moment."""

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
        self._declared = contract.of(settings)
        self._app = settings.stream.silver_app
        self.checks: list[Check] = []
        self._snapshots: dict[str, Snapshot | None] = {}
        self._changed = outdated.changed(settings)
        self._not_yet: dict[str, str] = {}
        """Roll-ups that the next start makes, as they are declared now: name → a sentence."""
        self._as_read: list[str] = []

    def run(self) -> Report:
        began = time.monotonic()
        if not (self.settings.bronze / "_delta_log").is_dir():
            raise VentesError(
                f"there is no Bronze table at {self.settings.bronze}", "start the pipeline: bash start_pipeline.sh"
            )
        with tempfile.TemporaryDirectory(prefix="ventes-verify-") as folder, _database(Path(folder)) as con:
            lot = self._open(con)
            self._judge_again(con)
            before = ReadBefore(con, self._declared, self.settings, self._bronze, CHUNK)
            self._as_read = before.look()
            self._expect_silver(con)
            self._positions(con)
            self._bronze_fields(con, before.in_bronze())
            self._payload(con)
            self._silver(con)
            self._aggregates(con)
            figures = self._figures(con)
        self._protocol()
        notes = [f"{self._changed.sentence()}: `ventes restart` applies it"] if self._changed is not None else []
        return Report(lot, time.monotonic() - began, self.checks, figures, notes)

    # -- one consistent moment ------------------------------------------------------------------

    def _open(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Views of all tables as they were when lot L was complete; returns L (None: Silver is empty)."""
        self._not_yet = self._made_at_the_next_start()
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
        for table in self._declared.silver:
            snapshot = found[table.name]
            self._snapshots[table.name] = snapshot
            if snapshot is None:
                con.register(f"no {table.name}", table.schema.empty_table())
                con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "no {table.name}"')
                continue
            if lot is not None and table in self._declared.rollups and table.name not in self._not_yet:
                snapshot = _as_of_lot(snapshot, self._app, lot)
            snapshot.view(con, f"all {table.name}")
            with_lots = table in (self._declared.clean, self._declared.rejets)
            until = f" WHERE lot <= {-1 if lot is None else lot}" if with_lots else ""
            con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "all {table.name}"{until}')
        self._bronze = tables.snapshot(self.settings, self._declared.bronze)
        self._bronze.view(con, "all_bronze")
        clean, rejets = stored(self._declared.clean.name), stored(self._declared.rejets.name)
        con.execute(
            f"""
            CREATE TABLE taken AS
            SELECT topic_id, "partition", max("offset") AS last FROM (
                SELECT topic_id, "partition", "offset" FROM {clean}
                UNION ALL SELECT topic_id, "partition", "offset" FROM {rejets})
            GROUP BY ALL;
            CREATE TEMP VIEW {stored(self._declared.bronze.name)} AS
            SELECT b.* FROM all_bronze b JOIN taken t USING (topic_id, "partition")
            WHERE b."offset" <= t.last;
            """
        )
        return lot

    def _silver_now(self) -> tuple[dict[str, Snapshot | None], dict[str, int | None]]:
        """Snapshots of the Silver tables, and the last lot of those that count lots."""
        found: dict[str, Snapshot | None] = {}
        for table in self._declared.silver:
            try:
                found[table.name] = tables.snapshot(self.settings, table)
            except TableMissing:
                found[table.name] = None
        counted = [t for t in (self._declared.clean, *self._declared.rollups) if t.name not in self._not_yet]
        return found, {t.name: s.transactions.get(self._app) if (s := found[t.name]) else None for t in counted}

    def _made_at_the_next_start(self) -> dict[str, str]:
        """Roll-ups that are not as they are declared now: name → a sentence. Raises LakeDamaged for any other table."""
        tables.require_fit(self.settings, self._declared.bronze, *self._declared.outcomes)
        if not (path_of(self.settings, self._declared.clean) / "_delta_log").is_dir():
            return {}  # no lot yet: all of them come with the first one
        silver = heartbeat.read(self.settings.state, "silver")
        coming = silver is not None and heartbeat.alive(silver) and self._changed is None
        found = {}
        for table in self._declared.rollups:
            try:
                log = Log.open(path_of(self.settings, table))
            except TableMissing:
                if not coming:
                    found[table.name] = f"{table.name} is declared and not made yet"
                continue
            if fit.is_changed(self._declared, table, log):
                found[table.name] = f"{table.name} is as an earlier declaration has it"
        return found

    def _next_step(self) -> str:
        if self._changed is None:
            return "`ventes start`: the Silver job makes it"
        return f"{self._changed.sentence()}: `ventes restart` makes it"

    # -- the expected content -------------------------------------------------------------------

    def _judge_again(self, con: duckdb.DuckDBPyConnection) -> None:
        """Table `judged`: every Bronze message that Silver has processed, with a new verdict on its raw bytes."""
        con.register("_empty", self._declared.bronze.schema.empty_table())
        con.execute('CREATE TEMP TABLE judged AS SELECT * EXCLUDE ("key", "value", "headers") FROM _empty')
        total = _count(con, stored(self._declared.bronze.name))
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
            con.register("_verdicts", verdicts)
            con.register("_stored", chunk.select(["topic_id", "partition", "offset", "date_ingestion"]))
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
        clean, rejets = stored(self._declared.clean.name), stored(self._declared.rejets.name)
        con.execute(
            f"""
            CREATE TEMP TABLE placed AS
            SELECT topic_id, "partition", "offset", lot, date_ingestion AS taken_at FROM {clean}
            UNION ALL SELECT topic_id, "partition", "offset", lot, date_ingestion FROM {rejets};
            """
        )
        con.execute(recompute.messages(self._declared))

    # -- the invariants -------------------------------------------------------------------------

    def _positions(self, con: duckdb.DuckDBPyConnection) -> None:
        total = _count(con, stored(self._declared.bronze.name))
        complaints = []
        doubled = _rows(
            con, 'SELECT topic_id, "partition", "offset", count(*) FROM all_bronze GROUP BY ALL HAVING count(*) > 1'
        )
        complaints += [f"Bronze holds {row} times" for row in doubled]
        for label, left, right in (
            ("in Bronze, in no Silver table", stored(self._declared.bronze.name), "placed"),
            ("in Silver, not in Bronze", "placed", stored(self._declared.bronze.name)),
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

    def _bronze_fields(self, con: duckdb.DuckDBPyConnection, as_read: str) -> None:
        """Bronze's typed fields against the raw bytes beside them; `as_read`: ReadBefore.in_bronze."""
        self.progress("comparing Bronze's fields with its raw bytes")
        con.execute(recompute.bronze_fields(self._declared, as_read))
        rows = _count(con, stored(self._declared.bronze.name))
        bronze = self._declared.bronze
        complaints = self._unexpected_columns(bronze, self._bronze) + self._both_ways(con, bronze.name)
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
        clean, rejets, (event_id,) = self._declared.clean, self._declared.rejets, self._declared.clean.key
        count = _count(con, stored(clean.name))
        by_id = f'SELECT "{event_id}", count(*) FROM {stored(clean.name)} GROUP BY ALL HAVING count(*) > 1'
        doubled = _rows(con, by_id)
        complaints = [f"{event_id} twice in {clean.name}: {row}" for row in doubled]
        con.execute(recompute.silver(self._declared, self.settings.rules.watermark_minutes))
        if rejected_now := con.execute(recompute.rejected_now(self._declared)).fetchone()[0]:  # type: ignore[index]
            complaints.append(
                f"{rejected_now:,} clean events are rejected by the rules of now, and still counted: "
                "`ventes rebuild silver` judges them again"
            )
        if accepted_now := con.execute(recompute.accepted_now(self._declared)).fetchone()[0]:  # type: ignore[index]
            complaints.append(
                f"{accepted_now:,} rejected messages are valid by the rules of now: `ventes rebuild silver` takes them"
            )
        if judged_otherwise := con.execute(recompute.judged_otherwise(self._declared)).fetchone()[0]:  # type: ignore[index]
            complaints.append(
                f"{judged_otherwise:,} rejected messages have reasons of earlier rules or of an earlier release: "
                "`ventes rebuild silver` gives them those of now"
            )
        for table in (clean, rejets):
            complaints += self._unexpected_columns(table, self._snapshots[table.name])
            complaints += self._both_ways(con, table.name)
        complaints += self._both_ways(con, recompute.RAW)
        rejected = _count(con, stored(rejets.name))
        self._add(
            "I4 silver",
            count + rejected,
            f"{count:,} clean events, ids unique, and {rejected:,} rejected messages with their reasons, both ways",
            complaints,
            self._as_read,
        )

    def _aggregates(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("recomputing the aggregates")
        recompute.events(con, self._declared, self.settings.rules)
        for table in self._declared.rollups:
            if (why := self._not_yet.get(table.name)) is not None:
                self.checks.append(Check("I5 aggregates", False, why, 0, [self._next_step()], asked=False))
                continue
            con.execute(recompute.aggregate(self._declared, table, self.settings.rules))
            complaints = self._unexpected_columns(table, self._snapshots[table.name])
            complaints += self._both_ways(con, table.name)
            rows = _count(con, stored(table.name))
            self._add(
                "I5 aggregates", rows, f"{table.name}: {rows:,} rows recomputed from Bronze, both ways", complaints
            )

    def _figures(self, con: duckdb.DuckDBPyConnection) -> Figures:
        names = [measure.name for measure in self._declared.stream.summary]
        records = _count(con, "all_bronze")
        if not names:
            return Figures(records)
        row = con.execute(recompute.summary(self._declared)).fetchone()
        assert row is not None  # an aggregate without GROUP BY has one row
        kind = make_dataclass("Figures", [(name, object) for name in names], bases=(Figures,))
        figures: Figures = kind(records, *row)
        return figures

    def _protocol(self) -> None:
        self.progress("checking logs and checkpoints")
        complaints, files = [], 0
        for table in self._declared.all:
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
        """Rows that the table `what` lacks, and those that it should not have, over every column that is compared."""
        exempt = recompute.not_compared(self._declared).get(what, {})
        present = [name for name in _columns(con, stored(what)) if name not in exempt]
        wanted = _columns(con, expected(what))
        if set(present) != set(wanted):
            odd = ", ".join(sorted(set(present) ^ set(wanted)))
            return [f"{what}: column(s) {odd} are either stored or expected, not both: a mistake in this program"]
        listed = ", ".join(f'"{name}"' for name in wanted)
        found = []
        for label, these, those in (
            ("missing or other", expected(what), stored(what)),
            ("not expected", stored(what), expected(what)),
        ):
            query = f"SELECT {listed} FROM {these} EXCEPT ALL SELECT {listed} FROM {those}"
            found += [f"{what}: {label}: {dict(zip(wanted, row, strict=True))}" for row in _rows(con, query)]
        return found

    def _add(self, invariant: str, rows: int, compared: str, complaints: list[str], notes: Sequence[str] = ()) -> None:
        self.checks.append(Check(invariant, not complaints, compared, rows, complaints, notes=list(notes)))


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return con.execute(f"SELECT * FROM ({query}) LIMIT {SHOWN}").fetchall()


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in con.execute(f"SELECT column_name FROM (DESCRIBE {relation})").fetchall()]


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    assert row is not None
    return int(row[0])


def _as_of_lot(snapshot: Snapshot, app: str, lot: int) -> Snapshot:
    """The roll-up at `lot`: it may already have a later lot that another roll-up still lacks."""
    while snapshot.transactions[app] > lot:
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
