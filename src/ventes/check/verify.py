"""`ventes verify`: recomputes everything from Bronze's raw bytes and compares it exactly, both ways.

Independent of the jobs: it reads the tables at one consistent state (lot L: the last one of the clean events; each
roll-up is compared as of the last lot that it has itself, up to a second before L), judges every message again, finds
duplicates with a window over all messages instead of lot by lot, aggregates with plain GROUP BYs, and compares with
EXCEPT ALL in both directions. Only reads.

    Verification(settings).run() -> Report        one Check per invariant of docs/architecture.md

Memory does not grow with the lake. Messages are judged and compared in parts (scope.py): a part is a range of offsets,
and only the files that may hold it are opened. What all messages are needed for, repeated ids and the aggregates, is
done in DuckDB within 1 GB (relations.py); the rest is on the disk, in a folder that is deleted at the end: about 150
bytes for each message that is judged again.

With `since` or `sample` only some messages are judged again. The clean events of the others are taken as they stand:
their ids may make a message a duplicate, and they are summed up for the aggregates.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa

from ventes.check import recompute, relations, topic_read
from ventes.check.moment import Moment
from ventes.check.protocol import checkpoint_complaints, log_complaints
from ventes.check.read_before import ReadBefore
from ventes.check.recompute import expected, stored
from ventes.check.report import Check, Differences, Figures, Progress, Remaining, Report
from ventes.check.scope import Part, Scope, lot_since, parts_of, sample_of
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.contract.tables import Tables
from ventes.deltalog import history
from ventes.engines.bronze_rows import pieces
from ventes.errors import BrokerUnavailable, VentesError
from ventes.judging.judge_batch import THREADS, judge_batch
from ventes.judging.messages import RAW
from ventes.lake import readers
from ventes.lake.tables import path_of
from ventes.runtime import scratch
from ventes.store import places
from ventes.supervise import outdated

IDS_AT_ONCE = 5_000_000
"""Ids that are looked at together for repeated ones: some 500 MB. More are split by their hash."""

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
        self.checks: list[Check] = []
        self._changed = outdated.changed(settings, outdated.DATA)
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
            relations.database(Path(folder)) as con,
        ):
            self._open(con)
            self._choose(con)
            self._positions(con)
            self._judge_again(con)
            self._payload(con)
            self._silver(con)
            self._aggregates(con)
            figures = self._figures(con)
        self._protocol()
        notes = [f"{self._changed.sentence()}: {self._changed.remedy}"] if self._changed is not None else []
        return Report(self._moment.lot, time.monotonic() - began, self.checks, figures, self._unseen(), notes)

    def _open(self, con: duckdb.DuckDBPyConnection) -> None:
        self._moment = Moment(self.settings, con, self._changed)
        for compared, next_step in self._moment.complaints_about_lots():
            self._add("I6 protocol", 0, compared, [next_step])

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
        self._parts = list(parts_of([Part(*row[:4]) for row in held], self._moment.bronze))
        taken = [
            Part(topic, partition, first, last)
            for topic, partition, first, _, last in held
            if last is not None and first <= last
        ]
        self._scope = self._scope_of(con, taken)
        self._scope.register(con)
        self._asked = list(parts_of(self._scope.asked, self._moment.bronze))

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

    # -- the expected content -------------------------------------------------------------------

    def _judge_again(self, con: duckdb.DuckDBPyConnection) -> None:
        """Judge the raw bytes again, compare Bronze's typed fields, and keep the verdicts in `checked`."""
        bronze = self._declared.bronze
        con.register("_empty", bronze.schema.empty_table())
        con.execute('CREATE TEMP TABLE judged AS SELECT * EXCLUDE ("key", "value", "headers") FROM _empty')
        before = ReadBefore(con, self._declared, self.settings, self._moment.bronze)
        con.execute(recompute.bronze_fields(self._declared))
        con.execute("CREATE TABLE checked AS SELECT *, 0::BIGINT AS lot FROM judged")
        differences = Differences()
        total = sum(
            relations.count(con, f"(SELECT 1 FROM all_bronze WHERE {part.condition()})") for part in self._scope.asked
        )
        progress = Remaining(self.progress, "judging messages again", total)
        for part in self._asked:
            with self._moment.only(part) as condition:
                con.execute("TRUNCATE judged")
                for chunk in pieces(
                    self._moment.bronze, part.rows, ("key", "value", "headers", "kafka_ts", "date_ingestion")
                ):
                    self._insert_judged(con, chunk)
                    progress.add(chunk.num_rows)
                before.look(part)
                self._both_ways(con, bronze.name, differences, condition)
                con.execute(recompute.checked(condition))
        self._judged = relations.count(con, "checked")
        self._as_read = before.notes()
        rows = self._judged if not self._scope.is_whole else self._total
        complaints = self._moment.unexpected_columns(bronze) + differences.found
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
        rows = relations.count(con, "placed")
        con.execute(recompute.ids(self._declared, self._scope))
        buckets = -(-max(1, rows) // IDS_AT_ONCE)
        for bucket in range(buckets):
            con.execute(recompute.repeated(self._declared, self._scope, bucket, buckets))
        con.execute(recompute.messages(self._declared))

    # -- the invariants -------------------------------------------------------------------------

    def _positions(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("comparing the positions of Bronze and Silver")
        self._total = total = relations.count(con, stored(self._declared.bronze.name))
        columns = 'topic_id, "partition", "offset"'
        nowhere = 'WHERE topic_id IS NULL OR "partition" IS NULL OR "offset" IS NULL'
        found = Differences()
        for table, relation in (("Bronze", "all_bronze"), ("Silver", "placed")):
            found.add(
                f"{table} holds a row without a position",
                relations.rows(con, f"SELECT {columns} FROM {relation} {nowhere}"),
            )
        lots: dict[tuple[str, int], int] = {}
        bronze = f'(SELECT {columns} FROM _bronze JOIN taken USING (topic_id, "partition") WHERE "offset" <= last)'
        silver = f"(SELECT {columns} FROM _placed)"
        for part in self._parts:
            with self._moment.only(part) as condition:  # each file is opened once: there may be one for every day
                for name, of in (("_bronze", f"{columns} FROM all_bronze"), ("_placed", f"{columns}, lot FROM placed")):
                    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {of} WHERE {condition}")
            doubled = "SELECT *, count(*) FROM _bronze GROUP BY ALL HAVING count(*) > 1"
            found.add("Bronze holds more than once", relations.rows(con, doubled))
            for label, left, right in (
                ("in Bronze, in no Silver table", bronze, silver),
                ("in Silver, not in Bronze", silver, bronze),
            ):
                found.add(label, relations.rows(con, f"SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right}"))
            found.add("lots go back at", self._lots_back(con, part, lots))
        parts = relations.count(con, "taken")
        waiting = relations.count(con, "all_bronze") - total
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
        found = relations.rows(con, query)
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
            for row in relations.rows(con, query)
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
        count = relations.count(con, stored(clean.name))
        found = Differences()
        buckets = -(-max(1, count) // IDS_AT_ONCE)
        for bucket in range(buckets):
            ids = f'SELECT "{event_id}" FROM {stored(clean.name)} WHERE hash("{event_id}") % {buckets} = {bucket}'
            by_id = f'SELECT "{event_id}", count(*) FROM ({ids}) GROUP BY ALL HAVING count(*) > 1'
            found.add(f"{event_id} twice in {clean.name}", relations.rows(con, by_id))
        con.execute(recompute.silver(self._declared, self.settings.rules.watermark_minutes))
        otherwise = [0] * len(_JUDGED_NOW)
        differences = {name: Differences() for name in (clean.name, rejets.name, recompute.RAW)}
        progress = Remaining(self.progress, "comparing Silver's messages", self._judged)
        for part in self._asked:
            with self._moment.only(part) as condition:
                for name, these in differences.items():
                    self._both_ways(con, name, these, condition)
                if any(these.found for these in differences.values()):
                    for place, (query, _) in enumerate(_JUDGED_NOW):
                        otherwise[place] += relations.count(con, f"({query(self._declared, condition)})")
            progress.add(relations.count(con, f"(SELECT 1 FROM checked WHERE {condition})"))
        complaints = found.found
        complaints += [f"{n:,} {said}" for n, (_, said) in zip(otherwise, _JUDGED_NOW, strict=True) if n]
        for table in (clean, rejets):
            complaints += self._moment.unexpected_columns(table) + differences[table.name].found
        complaints += differences[recompute.RAW].found
        rejected = relations.count(con, stored(rejets.name))
        self._add(
            "I4 silver",
            count + rejected,
            f"{count:,} clean events, ids unique, and {rejected:,} rejected messages with their reasons, both ways",
            complaints,
            self._as_read,
        )

    def _aggregates(self, con: duckdb.DuckDBPyConnection) -> None:
        self.progress("recomputing the aggregates")
        clean = recompute.all_clean(
            self._declared, self._scope, relations.columns(con, expected(self._declared.clean.name))
        )
        recompute.events(con, self._declared, self.settings.rules, clean)
        for table in self._declared.rollups:
            if (unmade := self._moment.unmade(table)) is not None:
                self.checks.append(unmade)
                continue
            con.execute(recompute.aggregate(self._declared, table, self.settings.rules, self._moment.lots[table.name]))
            differences = Differences()
            self._both_ways(con, table.name, differences)
            complaints = self._moment.unexpected_columns(table) + differences.found
            rows = relations.count(con, stored(table.name))
            self._add(
                "I5 aggregates", rows, f"{table.name}: {rows:,} rows recomputed from Bronze, both ways", complaints
            )

    def _figures(self, con: duckdb.DuckDBPyConnection) -> Figures:
        names = [measure.name for measure in self._declared.stream.summary]
        records = relations.count(con, "all_bronze")
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

    def _both_ways(
        self, con: duckdb.DuckDBPyConnection, what: str, differences: Differences, condition: str = "true"
    ) -> None:
        """Rows that the table `what` lacks, and those that it should not have, over every column that is compared."""
        exempt = recompute.not_compared(self._declared).get(what, {})
        present = [name for name in relations.columns(con, stored(what)) if name not in exempt]
        wanted = relations.columns(con, expected(what))
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
            rows = relations.rows(con, f"SELECT * FROM {these} EXCEPT ALL SELECT * FROM {those}")
            differences.add(f"{what}: {label}", (dict(zip(wanted, row, strict=True)) for row in rows))

    def _add(self, invariant: str, rows: int, compared: str, complaints: list[str], notes: Sequence[str] = ()) -> None:
        self.checks.append(Check(invariant, not complaints, compared, rows, complaints, notes=list(notes)))
