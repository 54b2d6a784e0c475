"""Messages that were read before a field was declared: its column is NULL, and `_extra` has its member.

That is no damage: a field that is declared later adds a column, Bronze keeps what it read, and Silver takes it from
there until `ventes rebuild silver` judges the messages again. A row counts as read before if judging its raw bytes by
the declaration without some of the fields gives exactly what the row holds.

Relations that it reads: judged, and "stored <table>". It makes `before_bronze` and `before_silver`: position, `later`
(the fields that were not declared), and `_extra` as it was then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

import duckdb
import pyarrow as pa

from ventes.check.recompute import not_compared, stored
from ventes.config import Settings
from ventes.contract.tables import Tables
from ventes.deltalog.snapshot import Snapshot
from ventes.judging.judge_batch import judge_messages
from ventes.judging.verdict import Judging

_POSITION = 'topic_id, "partition", "offset"'
MOST_SETS = 50
"""Different sets of later fields that are tried: 5 optional fields that came one by one have 32."""


class ReadBefore:
    """Finds them for one run of `verify`. `chunk`: messages that are judged at a time."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, tables: Tables, settings: Settings, bronze: Snapshot, chunk: int
    ) -> None:
        self._con = con
        self._tables = tables
        self._settings = settings
        self._bronze = bronze
        self._chunk = chunk
        event = tables.stream.event
        self._names = [name for name in event.names if name not in (event.id, event.at)]
        for made in ("before_bronze", "before_silver"):
            con.execute(
                f"CREATE TEMP TABLE {made} AS SELECT {_POSITION}, []::VARCHAR[] AS later, _extra FROM judged LIMIT 0"
            )

    def look(self) -> list[str]:
        """Find them, and set what `judged` has of them to what Silver has. A sentence for each set of such fields.

        Costs nothing while no column of Bronze came later than the table.
        """
        event = self._tables.stream.event
        if not self._bronze.widened and set(event.names) <= set(self._bronze.columns):
            return []
        self._find("before_bronze", self._tables.bronze.name, {name: name for name in event.names})
        self._find("before_silver", self._tables.clean.name, {f.name: f.clean_name for f in event.read})
        counted = "SELECT later, count(*) FROM before_silver GROUP BY later ORDER BY later"
        found = self._con.execute(counted).fetchall()
        if found:
            self._take_rejected({name for later, _ in found for name in later})
            self._con.execute(
                f"""
                CREATE TEMP TABLE judged_before AS {self._as_then("before_silver")};
                DROP TABLE judged;
                ALTER TABLE judged_before RENAME TO judged;
                """
            )
        return [
            f"{count:,} clean events were read before {', '.join(later)} {'was' if len(later) == 1 else 'were'} "
            "declared: NULL there; `ventes rebuild silver` takes the values from the messages"
            for later, count in found
        ]

    def in_bronze(self) -> str:
        """The SELECT of `judged` with what these messages gave when Bronze read them."""
        return self._as_then("before_bronze")

    def _find(self, made: str, table: str, columns: Mapping[str, str]) -> None:
        """Fill `made` from the rows of a table; `columns`: field → its column there."""
        shown = ", ".join(
            f"CASE WHEN b.{_q(columns[name])} IS NULL AND j.{_q(name)} IS NOT NULL THEN '{name}' END"
            for name in self._names
        )
        self._con.execute(
            f"""
            CREATE OR REPLACE TABLE read_otherwise AS
            SELECT {_POSITION}, list_filter([{shown}], lambda name: name IS NOT NULL)::VARCHAR[] AS later
            FROM judged j JOIN {stored(table)} b USING ({_POSITION})
            WHERE j._extra IS DISTINCT FROM b._extra
            """
        )
        exempt = not_compared(self._tables)[self._tables.bronze.name]
        for later in self._sets():
            compared = [name for name in columns if name not in later and name not in exempt]
            equal = [f"t.{_q(name)} IS NOT DISTINCT FROM b.{_q(columns[name])}" for name in compared]
            absent = [f"b.{_q(columns[name])} IS NULL" for name in later]
            rest = f"read_otherwise ANTI JOIN {made} USING ({_POSITION})"
            for _ in self._judged_without(later, f"SELECT {_POSITION} FROM {rest} WHERE {_within(later)}"):
                self._con.execute(
                    f"""
                    INSERT INTO {made}
                    SELECT {_POSITION}, {_list(later)}, b._extra
                    FROM _then t JOIN {stored(table)} b USING ({_POSITION})
                    WHERE {" AND ".join([*equal, "t._extra IS NOT DISTINCT FROM b._extra", *absent])}
                    """
                )

    def _sets(self) -> list[list[str]]:
        """The sets of fields to try: those that rows show, and all of them, for values that no column can hold."""
        query = "SELECT DISTINCT later FROM read_otherwise WHERE len(later) > 0"
        found = [later for (later,) in self._con.execute(query).fetchall()]
        every = [name for name in self._names if any(name in later for later in found)]
        some = sorted((later for later in found if later != every), key=len)
        return [*some[:MOST_SETS], every] if every else []

    def _take_rejected(self, not_rebuilt: set[str]) -> None:
        """Duplicates and conflicts: they were compared as Bronze read them, but for fields of a rebuild since."""
        rejected = f"before_bronze SEMI JOIN {stored(self._tables.rejets.name)} USING ({_POSITION})"
        for (bronze,) in self._con.execute(f"SELECT DISTINCT later FROM {rejected}").fetchall():
            later = [name for name in bronze if name in not_rebuilt]
            wanted = f"SELECT {_POSITION} FROM {rejected} WHERE later = {_list(bronze)}"
            for _ in self._judged_without(later, wanted) if later else ():
                self._con.execute(f"INSERT INTO before_silver SELECT {_POSITION}, {_list(later)}, _extra FROM _then")

    def _judged_without(self, later: list[str], wanted: str) -> Iterator[None]:
        """Judge the messages at the positions `wanted` (a SELECT) without these fields, as the relation _then."""
        stream = self._tables.stream
        left = tuple(field for field in stream.event.read if field.name not in later)
        # rules, tables and page do not matter for the fields of a message
        then = replace(stream, event=replace(stream.event, fields=left), rules=(), tables=(), page=None, summary=())
        judging = Judging(then, self._settings.source_zone, self._settings.business_zone)
        self._con.execute(f"CREATE OR REPLACE TABLE to_judge AS {wanted}")
        raw = self._con.cursor().execute(  # its own connection: another statement would end a result that is being read
            f"""
            SELECT "key", "value", "headers", {_POSITION}, kafka_ts
            FROM ({self._bronze.select()}) SEMI JOIN to_judge USING ({_POSITION})
            """
        )
        for batch in raw.to_arrow_reader(self._chunk):
            chunk = pa.Table.from_batches([batch])
            rows = judge_messages(self._con.cursor(), chunk, judging, datetime.now(timezone.utc))
            self._con.register("_then", rows)
            yield
            self._con.unregister("_then")

    def _as_then(self, found: str) -> str:
        """The SELECT of `judged` with the messages of the table `found` as they were read."""
        fields = [
            f"CASE WHEN list_contains(r.later, '{name}') THEN NULL ELSE j.{_q(name)} END AS {_q(name)}"
            for name in self._names
        ]
        reasons = "list_filter(j.motifs, lambda code: NOT list_contains(r.later, split_part(code, ':', 2)))"
        rest = (("_extra", "r._extra"), ("motifs", reasons))
        fields += [f"CASE WHEN r.later IS NULL THEN j.{name} ELSE {then} END AS {name}" for name, then in rest]
        replaced = ", ".join(fields)
        return f"SELECT j.* REPLACE ({replaced}) FROM judged j LEFT JOIN {found} r USING ({_POSITION})"


def _within(later: list[str]) -> str:
    """Rows that show no other fields than these."""
    return f"list_has_all({_list(later)}, later)"


def _list(names: list[str]) -> str:
    return f"[{', '.join(repr(name) for name in names)}]::VARCHAR[]"


def _q(name: str) -> str:
    return f'"{name}"'
