"""`ventes verify`: recomputes everything from Bronze's raw bytes and compares it exactly, both ways.

Independent of the jobs: it reads the tables at one consistent state (lot L: the last one of the clean events; each
roll-up is compared as of the last lot that it has itself, up to a second before L), judges every message again, finds
duplicates with a window over all messages instead of lot by lot, aggregates with plain GROUP BYs, and compares with
EXCEPT ALL in both directions. Only reads.

    Verification(settings).run() -> Report        one Check per invariant of docs/architecture.md

Memory does not grow with the lake. Messages are judged and compared in parts (scope.py): a part is a range of offsets,
and only the files that may hold it are opened. What all messages are needed for, repeated ids and the aggregates, is
done in DuckDB within MEMORY_MB; the rest is on the disk, in a folder that is deleted at the end: about 150 bytes for
each message that is judged again.

With `since` or `sample` only some messages are judged again. The clean events of the others are taken as they stand:
their ids may make a message a duplicate, and they are summed up for the aggregates.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import make_dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa

from ventes.check import recompute, topic_read
from ventes.check.filling import START, Unfilled, unfilled
from ventes.check.protocol import checkpoint_complaints, log_complaints
from ventes.check.read_before import ReadBefore
from ventes.check.recompute import expected, stored
from ventes.check.report import SHOWN, Check, Differences, Figures, Progress, Remaining, Report
from ventes.check.scope import Part, Scope, lot_since, parts_of, sample_of
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.contract.tables import Tables
from ventes.deltalog import history
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot, TableMissing
from ventes.deltalog.table import Table
from ventes.engines.bronze_rows import pieces
from ventes.errors import BrokerUnavailable, VentesError
from ventes.judging.judge_batch import THREADS, judge_batch
from ventes.judging.messages import RAW
from ventes.lake import fit, readers, tables
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat, scratch
from ventes.store import places
from ventes.supervise import outdated

MEMORY_MB = 1024
"""Of DuckDB. What needs more goes through the disk: slower, with the same result."""
IDS_AT_ONCE = 5_000_000
"""Ids that are looked at together for repeated ones: some 500 MB. More are split by their hash."""
FIRST_LOT_SECONDS = 10.0
"""Seconds to wait for the first lot in all tables before it counts as missing."""

_JUDGED_NOW: Sequence[tuple[Callable[[Tables, str], str], str]] = (
    (
        recompute.rejected_now,
        "clean events are rejected by the rules of now, and still counted: `ventes rebuild silver` judges them again",
    ),
    (recompute.accepted_now, "rejected messages are valid by the rules of now: `ventes rebuild silver` takes them"),
    (
        recompute.judged_otherwise,
        "rejected messages have reasons of earlier rules or of an earlier release: `ventes rebuild silver` gives them "
        "those of now",
    ),
)
"""A statement that finds messages of Silver whose verdict is another one now; what is said of their number."""


class Verification:
    """One run. `progress` receives short sentences while it works."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress = lambda text: None,
        read_topic: bool = True,
        since: str | None = None,
        sample: float | None = None,
    ) -> None:
        """`since`: judge only the messages of this lot and later ones, or of what Silver took from this date or time.
        `sample`: judge about so many percent of the messages.
        """
        self.settings = settings
        self.progress = progress
        self.read_topic = read_topic
        self._since, self._sample = since, sample
        self._declared = contract.of(settings)
        self._app = settings.stream.silver_app
        self.checks: list[Check] = []
        self._snapshots: dict[str, Snapshot | None] = {}
        self._views: dict[str, tuple[Snapshot, str]] = {}
        """Table → its snapshot, and the view of all its rows."""
        self._lots: dict[str, int | None] = {}
        """Table → its last lot: the clean events', and each roll-up's."""
        self._changed = outdated.changed(settings, outdated.DATA)
        self._not_yet: dict[str, str] = {}
        """Roll-ups that the next start makes, as they are declared now: name → a sentence."""
        self._unfilled: dict[str, Unfilled] = {}
        """Roll-ups that the Silver job has not filled → how far it is."""
        self._as_read: list[str] = []

    def run(self) -> Report:
        began = time.monotonic()
        if not history.there(self.settings.bronze):
            raise VentesError(
                f"there is no Bronze table at {places.shown(self.settings.bronze)}",
                "start the pipeline: bash start_pipeline.sh",
            )
        with (
            readers.reading(self.settings),
            tempfile.TemporaryDirectory(prefix="verify-", dir=scratch.folder()) as folder,
            _database(Path(folder)) as con,
        ):
            lot = self._open(con)
            self._choose(con)
            self._positions(con)
            self._judge_again(con)
            self._payload(con)
            self._silver(con)
            self._aggregates(con)
            figures = self._figures(con)
        self._protocol()
        notes = [f"{self._changed.sentence()}: {self._changed.remedy}"] if self._changed is not None else []
        return Report(lot, time.monotonic() - began, self.checks, figures, self._unseen(), notes)

    # -- one consistent moment ------------------------------------------------------------------

    def _open(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """Views of all tables as they were when lot L was complete; returns L (None: Silver is empty)."""
        found, lots = self._silver_now()
        deadline = time.monotonic() + FIRST_LOT_SECONDS
        while None in lots.values() and any(lots.values()) and time.monotonic() < deadline:
            time.sleep(0.2)  # most likely the first lot is being published
            found, lots = self._silver_now()
        lot = lots[self._declared.clean.name]
        self._lots = lots
        self._check_lots(lots)
        for table in self._declared.silver:
            snapshot = found[table.name]
            self._snapshots[table.name] = snapshot
            if snapshot is None:
                con.register(f"no {table.name}", table.schema.empty_table())
                con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "no {table.name}"')
                continue
            snapshot.view(con, f"all {table.name}")
            self._views[table.name] = (snapshot, f"all {table.name}")
            with_lots = table in self._declared.outcomes
            until = f" WHERE lot <= {-1 if lot is None else lot}" if with_lots else ""
            con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "all {table.name}"{until}')
        self._bronze = tables.snapshot(self.settings, self._declared.bronze)
        self._bronze.view(con, "all_bronze")
        self._views[self._declared.bronze.name] = (self._bronze, "all_bronze")
        clean, rejets = stored(self._declared.clean.name), stored(self._declared.rejets.name)
        columns = 'topic_id, "partition", "offset", lot, date_ingestion AS taken_at, date_traitement AS processed_at'
        con.execute(
            f"""
            CREATE TEMP VIEW placed AS SELECT {columns} FROM {clean} UNION ALL SELECT {columns} FROM {rejets};
            CREATE TABLE taken AS
            SELECT topic_id, "partition", max("offset") AS last FROM placed GROUP BY ALL;
            CREATE TEMP VIEW {stored(self._declared.bronze.name)} AS
            SELECT b.* FROM all_bronze b JOIN taken t USING (topic_id, "partition")
            WHERE b."offset" <= t.last;
            """
        )
        return lot

    def _silver_now(self) -> tuple[dict[str, Snapshot | None], dict[str, int | None]]:
        """Snapshots of the Silver tables, and the last lot of those that count lots and are not being filled.

        The roll-ups first, then the clean events, then the rejects: so none has a lot that the next one lacks.
        """
        self._unfilled = unfilled(self.settings)
        self._not_yet = self._made_at_the_next_start()
        found: dict[str, Snapshot | None] = {}
        for table in (*self._declared.rollups, *self._declared.outcomes):
            try:
                found[table.name] = tables.snapshot(self.settings, table)
            except TableMissing:
                found[table.name] = None
        unmade = self._unfilled.keys() | self._not_yet.keys()
        counted = [t for t in (self._declared.clean, *self._declared.rollups) if t.name not in unmade]
        return found, {t.name: s.transactions.get(self._app) if (s := found[t.name]) else None for t in counted}

    def _made_at_the_next_start(self) -> dict[str, str]:
        """Roll-ups that are not as they are declared now: name → a sentence. Raises LakeDamaged for any other table."""
        tables.require_fit(self.settings, self._declared.bronze, *self._declared.outcomes)
        if not history.there(path_of(self.settings, self._declared.clean)):
            return {}  # no lot yet: all of them come with the first one
        silver = heartbeat.read(self.settings.state, "silver")
        coming = silver is not None and heartbeat.alive(silver) and self._changed is None
        found = {}
        for table in self._declared.rollups:
            if coming and table.name in self._unfilled:
                continue
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

    def _check_lots(self, lots: dict[str, int | None]) -> None:
        last = lots[self._declared.clean.name]
        missing = [name for name, value in lots.items() if value is None]
        if missing and len(missing) < len(lots):
            self._add(
                "I6 protocol", 0, f"no lot yet in {', '.join(missing)}", ["start the silver job: it completes them"]
            )
        ahead = [name for name, value in lots.items() if value is not None and last is not None and value > last]
        if ahead:
            text = f"{', '.join(ahead)}: a lot after {last}, the last one of {self._declared.clean.name}"
            self._add("I6 protocol", 0, text, ["`ventes rebuild silver` makes them agree"])

    # -- what is looked at ----------------------------------------------------------------------

    def _choose(self, con: duckdb.DuckDBPyConnection) -> None:
        """Decide which messages are judged again (`_scope`), and in which parts everything is compared (`_parts`)."""
        position = 'topic_id, "partition", "offset"'
        held = con.execute(
            f"""
            SELECT topic_id, "partition", min("offset"), max("offset"), any_value(last)
            FROM (SELECT {position} FROM all_bronze UNION ALL SELECT {position} FROM placed)
            LEFT JOIN taken USING (topic_id, "partition")
            WHERE topic_id IS NOT NULL AND "partition" IS NOT NULL AND "offset" IS NOT NULL
            GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()
        self._parts = list(parts_of([Part(*row[:4]) for row in held], self._bronze))
        taken = [
            Part(topic, partition, first, last)
            for topic, partition, first, _, last in held
            if last is not None and first <= last
        ]
        self._scope = self._scope_of(con, taken)
        self._scope.register(con)
        self._asked = list(parts_of(self._scope.asked, self._bronze))

    def _scope_of(self, con: duckdb.DuckDBPyConnection, taken: list[Part]) -> Scope:
        if self._sample is not None:
            return sample_of(taken, self._sample, random.randrange(1_000_000))
        if self._since is None:
            return Scope(tuple(taken))
        lot = lot_since(con, self._since, "placed")
        firsts = con.execute(
            'SELECT topic_id, "partition", min("offset") FROM placed WHERE lot >= ? GROUP BY ALL', [lot]
        ).fetchall()
        first = {(topic, partition): offset for topic, partition, offset in firsts}
        asked = [replace(part, first=first[key]) for part in taken if (key := (part.topic_id, part.partition)) in first]
        return Scope(tuple(asked), is_whole=False, words=f"lot {lot} and later ones")

    def _unseen(self) -> list[str]:
        """What was not looked at."""
        if self._scope.is_whole:
            return []
        count = self._judged
        left_out = self._total - count
        told = [
            f"judged again: {count:,} messages, {self._scope.words}",
            f"not judged again: {left_out:,} messages; their fields in Bronze, their clean events and the reasons of "
            "their rejection were not compared, and their clean events were summed up as they stand",
        ]
        if self._sample is not None and self.read_topic:
            told.append("the topic was not read: key, value, headers and time were not compared with it")
        elif self.read_topic:
            told.append("of the topic only the offsets of these lots and later ones were read")
        return told

    @contextmanager
    def _only(self, con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
        """The views of the tables with positions read only files that may hold rows of `part`; its condition."""
        parted = [self._views[table.name] for table in self._parted if table.name in self._views]
        for snapshot, view in parted:
            snapshot.view(con, view, part.rows.holds)
        try:
            yield part.condition()
        finally:
            for snapshot, view in parted:
                snapshot.view(con, view)

    @property
    def _parted(self) -> tuple[Table, ...]:
        return (self._declared.bronze, *self._declared.outcomes)

    # -- the expected content -------------------------------------------------------------------

    def _judge_again(self, con: duckdb.DuckDBPyConnection) -> None:
        """Judge the raw bytes again, compare Bronze's typed fields, and keep the verdicts in `checked`."""
        bronze = self._declared.bronze
        con.register("_empty", bronze.schema.empty_table())
        con.execute('CREATE TEMP TABLE judged AS SELECT * EXCLUDE ("key", "value", "headers") FROM _empty')
        before = ReadBefore(con, self._declared, self.settings, self._bronze)
        con.execute(recompute.bronze_fields(self._declared))
        con.execute("CREATE TABLE checked AS SELECT *, 0::BIGINT AS lot FROM judged")
        differences = Differences()
        total = sum(_count_between(con, part) for part in self._scope.asked)
        progress = Remaining(self.progress, "judging messages again", total)
        for part in self._asked:
            with self._only(con, part) as condition:
                con.execute("TRUNCATE judged")
                for chunk in pieces(self._bronze, part.rows, ("key", "value", "headers", "kafka_ts", "date_ingestion")):
                    self._insert_judged(con, chunk)
                    progress.add(chunk.num_rows)
                before.look(part)
                self._both_ways(con, bronze.name, differences, condition)
                con.execute(recompute.checked(condition))
        self._judged = _count(con, "checked")
        self._as_read = before.notes()
        rows = self._judged if not self._scope.is_whole else self._total
        complaints = self._unexpected_columns(bronze, self._bronze) + differences.found
        self._add("I3 payload", rows, f"{rows:,} messages: the typed fields are those of the raw bytes", complaints)

    def _insert_judged(self, con: duckdb.DuckDBPyConnection, chunk: pa.Table) -> None:
        raw = chunk.select(RAW.names).cast(RAW)
        verdicts = judge_batch(con, raw, self.settings, datetime.now(timezone.utc), threads=THREADS)
        place = verdicts.schema.get_field_index("date_ingestion")
        verdicts = verdicts.set_column(place, verdicts.schema.field(place), chunk["date_ingestion"])
        con.register("_verdicts", verdicts.drop(["key", "value", "headers"]))
        con.execute("INSERT INTO judged SELECT * FROM _verdicts")
        con.unregister("_verdicts")

    def _find_repeated(self, con: duckdb.DuckDBPyConnection) -> None:
        """Relation `expected`: the messages judged again, and which of them are duplicates or conflicts."""
        self.progress("finding duplicates over the whole history")
        rows = _count(con, "placed")
        con.execute(recompute.ids(self._declared, self._scope))
        buckets = -(-max(1, rows) // IDS_AT_ONCE)
        for bucket in range(buckets):
            con.execute(recompute.repeated(self._declared, self._scope, bucket, buckets))
        con.execute(recompute.messages(self._declared))

    # -- the invariants -------------------------------------------------------------------------

    def _positions(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("comparing the positions of Bronze and Silver")
        self._total = total = _count(con, stored(self._declared.bronze.name))
        columns = 'topic_id, "partition", "offset"'
        nowhere = 'WHERE topic_id IS NULL OR "partition" IS NULL OR "offset" IS NULL'
        found = Differences()
        for table, relation in (("Bronze", "all_bronze"), ("Silver", "placed")):
            found.add(
                f"{table} holds a row without a position", _rows(con, f"SELECT {columns} FROM {relation} {nowhere}")
            )
        lots: dict[tuple[str, int], int] = {}
        bronze = f'(SELECT {columns} FROM _bronze JOIN taken USING (topic_id, "partition") WHERE "offset" <= last)'
        silver = f"(SELECT {columns} FROM _placed)"
        for part in self._parts:
            with self._only(con, part) as condition:  # each file is opened once: there may be one for every day
                for name, of in (("_bronze", f"{columns} FROM all_bronze"), ("_placed", f"{columns}, lot FROM placed")):
                    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {of} WHERE {condition}")
            doubled = "SELECT *, count(*) FROM _bronze GROUP BY ALL HAVING count(*) > 1"
            found.add("Bronze holds more than once", _rows(con, doubled))
            for label, left, right in (
                ("in Bronze, in no Silver table", bronze, silver),
                ("in Silver, not in Bronze", silver, bronze),
            ):
                found.add(label, _rows(con, f"SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right}"))
            found.add("lots go back at", self._lots_back(con, part, lots))
        parts = _count(con, "taken")
        waiting = _count(con, "all_bronze") - total
        later = f"; {waiting:,} more in Bronze wait for Silver" if waiting else ""
        self._add(
            "I1 positions",
            total,
            f"{total:,} messages of {parts} partition(s): Bronze = clean ⊎ rejets{later}",
            found.found,
        )

    def _lots_back(
        self, con: duckdb.DuckDBPyConnection, part: Part, lots: dict[tuple[str, int], int]
    ) -> list[tuple[object, ...]]:
        """Rows of `_placed` whose lot is smaller than that of the row before. `lots`: the last one of earlier parts."""
        key = (part.topic_id, part.partition)
        before = lots.get(key, -1)
        query = f"""
            SELECT topic_id, "partition", "offset", lot FROM (
                SELECT *, lag(lot, 1, {before}) OVER (ORDER BY "offset") AS before FROM _placed)
            WHERE lot < before
            """
        found = _rows(con, query)
        last = con.execute('SELECT arg_max(lot, "offset") FROM _placed').fetchone()
        if last is not None and last[0] is not None:
            lots[key] = last[0]
        return found

    def _payload(self, con: duckdb.DuckDBPyConnection) -> None:
        """Bronze against a read of the topic, as far as the topic still has the messages."""
        if not self.read_topic or self._sample is not None:
            return
        first = None if self._scope.is_whole else {(p.topic_id, p.partition): p.first for p in self._scope.asked}
        try:
            copy = topic_read.load(self.settings, con, "topic", self.progress, first)
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
        self._find_repeated(con)
        clean, rejets, (event_id,) = self._declared.clean, self._declared.rejets, self._declared.clean.key
        count = _count(con, stored(clean.name))
        found = Differences()
        buckets = -(-max(1, count) // IDS_AT_ONCE)
        for bucket in range(buckets):
            ids = f'SELECT "{event_id}" FROM {stored(clean.name)} WHERE hash("{event_id}") % {buckets} = {bucket}'
            by_id = f'SELECT "{event_id}", count(*) FROM ({ids}) GROUP BY ALL HAVING count(*) > 1'
            found.add(f"{event_id} twice in {clean.name}", _rows(con, by_id))
        con.execute(recompute.silver(self._declared, self.settings.rules.watermark_minutes))
        otherwise = [0] * len(_JUDGED_NOW)
        differences = {name: Differences() for name in (clean.name, rejets.name, recompute.RAW)}
        progress = Remaining(self.progress, "comparing Silver's messages", self._judged)
        for part in self._asked:
            with self._only(con, part) as condition:
                for name, these in differences.items():
                    self._both_ways(con, name, these, condition)
                if any(these.found for these in differences.values()):
                    for place, (query, _) in enumerate(_JUDGED_NOW):
                        otherwise[place] += _count(con, f"({query(self._declared, condition)})")
            progress.add(_count(con, f"(SELECT 1 FROM checked WHERE {condition})"))
        complaints = found.found
        complaints += [f"{n:,} {said}" for n, (_, said) in zip(otherwise, _JUDGED_NOW, strict=True) if n]
        for table in (clean, rejets):
            complaints += self._unexpected_columns(table, self._snapshots[table.name]) + differences[table.name].found
        complaints += differences[recompute.RAW].found
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
        clean = recompute.all_clean(self._declared, self._scope, _columns(con, expected(self._declared.clean.name)))
        recompute.events(con, self._declared, self.settings.rules, clean)
        for table in self._declared.rollups:
            if (unmade := self._unmade(table)) is not None:
                self.checks.append(unmade)
                continue
            con.execute(recompute.aggregate(self._declared, table, self.settings.rules, self._lots[table.name]))
            differences = Differences()
            self._both_ways(con, table.name, differences)
            complaints = self._unexpected_columns(table, self._snapshots[table.name]) + differences.found
            rows = _count(con, stored(table.name))
            self._add(
                "I5 aggregates", rows, f"{table.name}: {rows:,} rows recomputed from Bronze, both ways", complaints
            )

    def _unmade(self, table: Table) -> Check | None:
        """Of a roll-up that cannot be compared: why, and what to do."""
        if (why := self._not_yet.get(table.name)) is not None:
            return Check("I5 aggregates", False, why, 0, [self._next_step()], asked=False)
        if (state := self._unfilled.get(table.name)) is not None:
            step = "ask again later" if state.running else START
            what = [f"{state.sentence()}: {step}"]
            return Check("I5 aggregates", False, f"{table.name}: not filled yet", 0, what, asked=False)
        return None

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
            if history.there(path):
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

    def _both_ways(
        self, con: duckdb.DuckDBPyConnection, what: str, differences: Differences, condition: str = "true"
    ) -> None:
        """Rows that the table `what` lacks, and those that it should not have, over every column that is compared."""
        exempt = recompute.not_compared(self._declared).get(what, {})
        present = [name for name in _columns(con, stored(what)) if name not in exempt]
        wanted = _columns(con, expected(what))
        if set(present) != set(wanted):
            odd = ", ".join(sorted(set(present) ^ set(wanted)))
            differences.add(f"{what}: columns that are stored or expected, not both: a mistake in this program", [odd])
            return
        listed = ", ".join(f'"{name}"' for name in wanted)
        for name, relation in (("_stored", stored(what)), ("_expected", expected(what))):
            con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {listed} FROM {relation} WHERE {condition}")
        for label, these, those in (
            ("missing or other", "_expected", "_stored"),
            ("not expected", "_stored", "_expected"),
        ):
            rows = _rows(con, f"SELECT * FROM {these} EXCEPT ALL SELECT * FROM {those}")
            differences.add(f"{what}: {label}", (dict(zip(wanted, row, strict=True)) for row in rows))

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


def _count_between(con: duckdb.DuckDBPyConnection, part: Part) -> int:
    return _count(con, f"(SELECT 1 FROM all_bronze WHERE {part.condition()})")


@contextmanager
def _database(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch database on disk, so that a table larger than memory can be verified."""
    con = duckdb.connect(
        str(folder / "verify.duckdb"),
        config={
            "temp_directory": str(folder),
            "memory_limit": f"{MEMORY_MB}MB",
            "preserve_insertion_order": False,
        },
    )
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    try:
        yield con
    finally:
        con.close()
