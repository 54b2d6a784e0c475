"""Messages that were read before a field was declared: its column is NULL, and `_extra` has its member.

That is no damage: a field that is declared later adds a column, Bronze keeps what it read, and Silver takes it from
there until `ventes rebuild silver` judges the messages again. A row counts as read before if judging its raw bytes by
the declaration without some of the fields gives exactly what the row holds.

Works on one part of the messages at a time (scope.py). Relations that it reads: judged, and "stored <table>". It makes
`before_bronze` and `before_silver` of the part: position, `later` (the fields that were not declared), and `_extra` as
it was then; and with them BY_BRONZE and BY_SILVER.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

import duckdb
import pyarrow.compute as pc

from ventes.check.recompute import BY_BRONZE, BY_SILVER, not_compared, stored
from ventes.check.scope import Part
from ventes.config import Settings
from ventes.contract.tables import Tables
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_rows import pieces
from ventes.judging.judge_batch import judge_messages
from ventes.judging.messages import RAW
from ventes.judging.verdict import Judging
from ventes.stream.kinds import Field
from ventes.stream.sql_text import literal

_POSITION = 'topic_id, "partition", "offset"'
MOST_SETS = 50
"""Different sets of later fields that are tried in a part: 5 optional fields that came one by one have 32."""


class ReadBefore:
    """Finds them for one run of `verify`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, tables: Tables, settings: Settings, bronze: Snapshot) -> None:
        """Costs nothing more while no column of Bronze came later than the table."""
        self._con = con
        self._tables = tables
        self._settings = settings
        self._bronze = bronze
        self._clean_events: Counter[tuple[str, ...]] = Counter()
        """The fields that were not declared → the clean events that were read then."""
        event = tables.stream.event
        self._fields = [field for field in event.read if field.name not in (event.id, event.at)]
        self._may_be = bronze.widened or not set(event.names) <= set(bronze.columns)
        for made, relation in (("before_bronze", BY_BRONZE), ("before_silver", BY_SILVER)):
            con.execute(
                f"CREATE TEMP TABLE {made} AS SELECT {_POSITION}, []::VARCHAR[] AS later, _extra FROM judged LIMIT 0"
            )
            con.execute(f"CREATE TEMP VIEW {relation} AS {self._as_then(made) if self._may_be else 'FROM judged'}")
        self._not_rebuilt = self._not_in_silver() if self._may_be else frozenset()

    def look(self, part: Part) -> None:
        """Find those of a part, the messages of which `judged` has."""
        if not self._may_be:
            return
        self._con.execute("TRUNCATE before_bronze; TRUNCATE before_silver")
        event = self._tables.stream.event
        self._find(part, "before_bronze", self._tables.bronze.name, {name: name for name in event.names})
        self._find(part, "before_silver", self._tables.clean.name, {f.name: f.clean_name for f in event.read})
        for later, count in self._con.execute("SELECT later, count(*) FROM before_silver GROUP BY later").fetchall():
            self._clean_events[tuple(later)] += count
        self._take_rejected(part)

    def notes(self) -> list[str]:
        """A sentence for each set of such fields, of the parts that were looked at."""
        return [
            f"{count:,} clean events were read before {', '.join(later)} {'was' if len(later) == 1 else 'were'} "
            "declared: NULL there; `ventes rebuild silver` takes the values from the messages"
            for later, count in sorted(self._clean_events.items())
        ]

    def _not_in_silver(self) -> frozenset[str]:
        """The fields that Silver did not take from all messages: a clean event has the member in `_extra`.

        Of all clean events, as a rebuild is of all. The member of a field that is read is never in `_extra`.
        """
        shown = ", ".join(
            f"coalesce(bool_or({_q(field.clean_name)} IS NULL AND {_is_member(field, '_extra')}), false)"
            for field in self._fields
        )
        query = f"SELECT {shown} FROM {stored(self._tables.clean.name)} WHERE _extra IS NOT NULL"
        row = self._con.execute(query).fetchone() if self._fields else ()
        assert row is not None  # an aggregate without GROUP BY has one row
        return frozenset(field.name for field, is_there in zip(self._fields, row, strict=True) if is_there)

    def _find(self, part: Part, made: str, table: str, columns: Mapping[str, str]) -> None:
        """Fill `made` from the rows of a table; `columns`: field → its column there."""
        shown = ", ".join(
            f"CASE WHEN b.{_q(columns[field.name])} IS NULL AND (j.{_q(field.name)} IS NOT NULL "
            f"OR {_is_member(field, 'b._extra')}) THEN '{field.name}' END"
            for field in self._fields
        )
        held = ", ".join(f"b.{_q(column)} AS {_held(name)}" for name, column in columns.items())
        self._con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE read_otherwise AS
            SELECT {_POSITION}, {held}, b._extra,
                   list_filter([{shown}], lambda name: name IS NOT NULL)::VARCHAR[] AS later
            FROM judged j JOIN (SELECT * FROM {stored(table)} WHERE {part.condition()}) b USING ({_POSITION})
            WHERE j._extra IS DISTINCT FROM b._extra
            """
        )
        exempt = not_compared(self._tables)[self._tables.bronze.name]
        for later in self._sets():
            compared = [name for name in columns if name not in later and name not in exempt]
            equal = [f"t.{_q(name)} IS NOT DISTINCT FROM b.{_held(name)}" for name in compared]
            absent = [f"b.{_held(name)} IS NULL" for name in later]
            rest = f"read_otherwise ANTI JOIN {made} USING ({_POSITION})"
            for _ in self._judged_without(part, later, f'SELECT "offset" FROM {rest} WHERE {_within(later)}'):
                self._con.execute(
                    f"""
                    INSERT INTO {made}
                    SELECT {_POSITION}, {_list(later)}, b._extra FROM _then t JOIN read_otherwise b USING ({_POSITION})
                    WHERE {" AND ".join([*equal, "t._extra IS NOT DISTINCT FROM b._extra", *absent])}
                    """
                )

    def _sets(self) -> list[list[str]]:
        """The sets of fields to try: those that rows show, and all of them, for members that DuckDB cannot read."""
        found = [later for (later,) in self._con.execute("SELECT DISTINCT later FROM read_otherwise").fetchall()]
        shown = self._not_rebuilt.union(*found)
        every = [field.name for field in self._fields if field.name in shown]
        some = sorted((later for later in found if later and later != every), key=len)
        return [*some[:MOST_SETS], every] if every else []

    def _take_rejected(self, part: Part) -> None:
        """Duplicates and conflicts: they were compared as Bronze read them, but for fields of a rebuild since."""
        rejets = f"(SELECT * FROM {stored(self._tables.rejets.name)} WHERE {part.condition()})"
        rejected = f"before_bronze SEMI JOIN {rejets} USING ({_POSITION})"
        for (bronze,) in self._con.execute(f"SELECT DISTINCT later FROM {rejected}").fetchall():
            later = [name for name in bronze if name in self._not_rebuilt]
            wanted = f'SELECT "offset" FROM {rejected} WHERE later = {_list(bronze)}'
            for _ in self._judged_without(part, later, wanted) if later else ():
                self._con.execute(f"INSERT INTO before_silver SELECT {_POSITION}, {_list(later)}, _extra FROM _then")

    def _judged_without(self, part: Part, later: list[str], wanted: str) -> Iterator[None]:
        """Judge the messages at the offsets `wanted` (a SELECT) without these fields, in pieces: the relation _then."""
        offsets = self._con.execute(wanted).to_arrow_table()["offset"]
        if not len(offsets):
            return
        bounds = pc.min_max(offsets)
        judging = self._judging_without(later)
        rows = replace(part, first=bounds["min"].as_py(), last=bounds["max"].as_py()).rows
        for piece in pieces(self._bronze, rows, ("key", "value", "headers", "kafka_ts")):
            raw = piece.filter(pc.is_in(piece["offset"], value_set=offsets.combine_chunks()))
            if not raw.num_rows:
                continue
            then = judge_messages(self._con, raw.select(RAW.names).cast(RAW), judging, datetime.now(timezone.utc))
            self._con.register("_then", then)
            yield
            self._con.unregister("_then")

    def _judging_without(self, later: list[str]) -> Judging:
        stream = self._tables.stream
        left = tuple(field for field in stream.event.read if field.name not in later)
        # rules, tables and page do not matter for the fields of a message
        then = replace(stream, event=replace(stream.event, fields=left), rules=(), tables=(), page=None, summary=())
        return Judging(then, self._settings.source_zone, self._settings.business_zone)

    def _as_then(self, found: str) -> str:
        """The SELECT of `judged` with the messages of the table `found` as they were read."""
        fields = [
            f"CASE WHEN list_contains(r.later, '{name}') THEN NULL ELSE j.{_q(name)} END AS {_q(name)}"
            for name in (field.name for field in self._fields)
        ]
        reasons = "list_filter(j.motifs, lambda code: NOT list_contains(r.later, split_part(code, ':', 2)))"
        rest = (("_extra", "r._extra"), ("motifs", reasons))
        fields += [f"CASE WHEN r.later IS NULL THEN j.{name} ELSE {then} END AS {name}" for name, then in rest]
        replaced = ", ".join(fields)
        return f"SELECT j.* REPLACE ({replaced}) FROM judged j LEFT JOIN {found} r USING ({_POSITION})"


def _held(field: str) -> str:
    """The column of a field in read_otherwise: no field has a name with a blank."""
    return _q(f"held {field}")


def _within(later: list[str]) -> str:
    """Rows that show no other fields than these."""
    return f"list_has_all({_list(later)}, later)"


def _list(names: list[str]) -> str:
    return f"[{', '.join(repr(name) for name in names)}]::VARCHAR[]"


def _is_member(field: Field, extra: str) -> str:
    """Whether `_extra` has the member of a field, or null on the way to it; false if DuckDB cannot read the JSON, which
    may have half of a surrogate pair."""
    *ways, way = (_pointer(field.keys[:length]) for length in range(1, len(field.keys) + 1))
    nulls = [f"json_type({extra}, {before}) = 'NULL'" for before in ways]
    return f"coalesce(TRY({' OR '.join([f'json_exists({extra}, {way})', *nulls])}), false)"


def _pointer(keys: tuple[str, ...]) -> str:
    """A path as a JSON pointer, which DuckDB takes like a path; unlike one it can name every key."""
    return literal("".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys))


def _q(name: str) -> str:
    return f'"{name}"'
