"""The rows behind a figure: a roll-up if it has the columns, else sums of the clean table; and the newest rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache, partial

import duckdb
import pyarrow as pa

from ventes.dashboard.distinct_counts import Counted
from ventes.dashboard.file_cache import FILE, FileSums
from ventes.dashboard.filters import Filters
from ventes.dashboard.first_rows import Found, Order, Ordered
from ventes.dashboard.questions import LATE, Column, Question, has_a_row_each
from ventes.dashboard.source import TableSnapshots
from ventes.deltalog.actions import DataFile
from ventes.stream.declaration import Aggregate
from ventes.stream.grains import ByMinute
from ventes.stream.sql_text import quoted

VALUE_BYTES = 2000
"""Bytes of a raw message that are read to show it: it may have megabytes."""
ADDED_AT_ONCE = 50_000
"""Rows of a roll-up up to which they are added up, and different values counted, anew after each commit: 2 ms."""
LARGE_BYTES = 4 << 20
"""Of files larger than this together, the narrow columns are read first, to find the rows that are needed."""


Part = tuple[Filters, tuple[Question, ...]]
"""Questions with the filters that they are asked with."""


def tables_for_parts(snapshots: TableSnapshots, parts: Iterable[Part]) -> tuple[str, ...]:
    """The tables that answer the questions, each once."""
    return tuple(dict.fromkeys(name for filters, asked in parts for name in tables_for(snapshots, filters, *asked)))


def tables_for(snapshots: TableSnapshots, filters: Filters, *questions: Question) -> tuple[str, ...]:
    """The tables that answer the questions."""
    clean = snapshots.tables.contract.clean.name
    found = (_aggregate(snapshots, filters, asked) for asked in questions)
    return tuple(clean if declared is None else declared.table for declared in found)


def _aggregate(snapshots: TableSnapshots, filters: Filters, asked: Question) -> Aggregate | None:
    """The smallest declared aggregate that answers the question; None if only the clean table does.

    One without rows beside clean events is new and not filled yet, and one of an earlier declaration is not filled
    again yet.
    """
    clean = snapshots.tables.contract.clean.name
    events = snapshots.has(clean) and snapshots[clean].rows > 0
    rows = {
        declared: snapshots[declared.table].rows if snapshots.has(declared.table) else math.inf
        for declared in snapshots.tables.sources.aggregates(asked, filters)
        if not snapshots.has(declared.table) or snapshots.tables.is_as_declared(snapshots[declared.table])
    }
    return min((declared for declared in rows if rows[declared] or not events), key=rows.__getitem__, default=None)


def is_stored(snapshots: TableSnapshots, filters: Filters, asked: Question) -> bool:
    """Whether the table that answers the question has one row for each of its keys."""
    declared = _aggregate(snapshots, filters, asked)
    return declared is not None and has_a_row_each(declared, asked)


@contextmanager
def narrowed(snapshots: TableSnapshots, filters: Filters, *questions: Question) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view of each question, narrowed to `filters`. Raises NotReadable."""
    with snapshots.tables.connection() as con:
        for asked in questions:
            select = relation(con, snapshots, filters, asked)
            if select != _of_view(asked):
                con.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(asked.view)} AS {select}")
        yield con


def relation(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, filters: Filters, asked: Question) -> str:
    """A SELECT of the answer, for one statement in `con`: it spares the time of making a view. Raises NotReadable."""
    sources = snapshots.tables.sources
    declared = _aggregate(snapshots, filters, asked)
    if declared is None:
        con.register(asked.view, _summed(con, snapshots, filters, asked))
        return _of_view(asked)
    snapshot = snapshots[declared.table]
    if snapshot.rows > ADDED_AT_ONCE and not asked.fields and not asked.has(ByMinute):
        con.register(asked.view, _added_up(con, snapshots, filters, asked, declared))
        return _of_view(asked)
    condition, values = filters.condition(by_day=False)
    rows = snapshot.select(partial(_reaches, filters, declared) if filters.times else None)
    select = sources.from_aggregate(asked, declared, rows, condition)
    if not values:
        return select
    con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(asked.view)} AS {select}", values)  # a view takes no parameters
    return _of_view(asked)


def views_of(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, filters: Filters, *questions: Question) -> str:
    """The views of `narrowed` as a WITH clause before one statement in `con`; "" for none. Raises NotReadable."""
    return views_of_several(con, snapshots, [(filters, questions)])


def views_of_several(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, parts: Iterable[Part]) -> str:
    """The same for questions with different filters."""
    listed = []
    for filters, questions in parts:
        for asked in questions:
            select = relation(con, snapshots, filters, asked)
            if select != _of_view(asked):
                listed.append(f"{quoted(asked.view)} AS ({select})")
    return f"WITH {', '.join(listed)} " if listed else ""


def _of_view(asked: Question) -> str:
    return f"SELECT * FROM {quoted(asked.view)}"


def is_large(snapshots: TableSnapshots, filters: Filters, asked: Question) -> bool:
    """Whether the table that answers the question has too many rows to read them all after each commit."""
    return all(snapshots[name].rows > ADDED_AT_ONCE for name in tables_for(snapshots, filters, asked))


def distinct_values(snapshots: TableSnapshots, filters: Filters, field: str) -> int:
    """How many values `field` has among the events that pass: after a commit only the files that changed are read.

    Raises NotReadable.
    """
    sources = snapshots.tables.sources
    asked = Question("distinct", (field,))
    declared = _aggregate(snapshots, filters, asked)
    condition, values = filters.condition()

    def rows(source: str) -> str:
        if declared is None:
            answer = f"SELECT {quoted(field)} FROM ({sources.fields_of_clean(source)}) WHERE {condition}"
        else:
            answer = sources.from_aggregate(asked, declared, source, condition)
        return f"SELECT {quoted(field)} AS value FROM ({answer})"

    snapshot = snapshots[sources.tables.clean.name if declared is None else declared.table]
    with snapshots.tables.connection() as con:
        return snapshots.tables.distinct_counts.of(con, snapshot, Counted((filters, field), rows, tuple(values)))


def first_rows(
    con: duckdb.DuckDBPyConnection,
    snapshots: TableSnapshots,
    filters: Filters,
    asked: Question,
    order: Order,
    needed: int,
) -> Found | None:
    """The first rows of the answer, without reading all of a large aggregate that has one row for each key.

    None where that cannot be done, or need not: the answer is read as a whole then. Raises NotReadable.
    """
    sources = snapshots.tables.sources
    declared = _aggregate(snapshots, filters, asked)
    if declared is None or not has_a_row_each(declared, asked) or snapshots.as_of is not None:
        return None
    condition, values = filters.condition(by_day=False)
    ordered = Ordered(
        (filters, asked, order),
        (*asked.fields, *(column.name for column in asked.columns)),
        lambda rows: sources.from_aggregate(asked, declared, rows, condition, [FILE]),
        order,
        tuple(values),
    )
    return snapshots.tables.first_rows.of(con, snapshots[declared.table], ordered, needed)


def _summed(con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, filters: Filters, asked: Question) -> pa.Table:
    """The answer from the clean table: sums of each data file, computed once."""
    sources = snapshots.tables.sources
    condition, values = filters.condition()
    columns = (*asked.columns, *([Column(LATE, "when", LATE)] if asked.only_late else []))
    sums = FileSums(
        (filters, asked),
        {asked.view: sources.from_clean(asked)},
        lambda rows: sources.fields_of_clean(rows, columns, [FILE]),
        f"{condition} AND {LATE}" if asked.only_late else condition,
        tuple(values),
        _may_hold(snapshots, filters, asked.only_late),
    )
    return snapshots.tables.file_cache.answer(con, snapshots[sources.tables.clean.name], sums)[asked.view]


def _added_up(
    con: duckdb.DuckDBPyConnection, snapshots: TableSnapshots, filters: Filters, asked: Question, declared: Aggregate
) -> pa.Table:
    """The answer from an aggregate with many rows: its files are added up one by one, each once."""
    sources = snapshots.tables.sources
    condition, values = filters.condition(by_day=False)
    sums = FileSums(
        (filters, asked),
        {asked.view: sources.added_up(asked)},
        lambda rows: sources.from_aggregate(asked, declared, rows, condition, [FILE]),
        values=tuple(values),
    )
    return snapshots.tables.file_cache.answer(con, snapshots[declared.table], sums)[asked.view]


def _reaches(filters: Filters, declared: Aggregate, file: DataFile) -> bool:
    """Whether a file of an aggregate by minute may have rows of the period, by its statistics: opening one takes as
    long as reading it."""
    bounds = file.bounds(declared.grain.column) if declared.grain is not None else None
    return bounds is None or _overlaps(filters, *map(moment_of, bounds))


def _overlaps(filters: Filters, first: datetime, last: datetime) -> bool:
    return (filters.start is None or last >= filters.start) and (filters.end is None or first < filters.end)


def _may_hold(snapshots: TableSnapshots, filters: Filters, only_late: bool = False) -> Callable[[DataFile], bool]:
    """Whether a file of the clean table may have rows that pass: by its day and its statistics."""
    if not filters.times and not only_late:
        return lambda file: filters.takes_day(_partition_day(file))
    event = snapshots.tables.contract.stream.event
    at = event.field(event.at).clean_name
    watermark = timedelta(minutes=snapshots.tables.settings.rules.watermark_minutes)

    def holds(file: DataFile) -> bool:
        if not filters.takes_day(_partition_day(file)):
            return False
        bounds, arrivals = file.bounds(at), file.bounds("kafka_ts")
        if bounds is None or arrivals is None:
            return True
        first, last = map(moment_of, bounds)
        if only_late and moment_of(arrivals[1]) - first <= watermark:
            return False
        return _overlaps(filters, first, last)

    return holds


def settled(
    snapshots: TableSnapshots, tables: tuple[str, ...], start: datetime | None, end: datetime | None
) -> Hashable:
    """Identifies what `tables` say about the time from `start` to before `end`: equal keys, equal rows of it.

    A commit with later events alone leaves it as it is: the files of the clean table that may have events of that time
    are the same. A roll-up follows the clean table; while it lacks a lot of these files, its version counts too.
    Raises NotReadable.
    """
    contract = snapshots.tables.contract
    clean, app = snapshots[contract.clean.name], contract.stream.silver_app
    files = list(filter(_may_hold(snapshots, Filters(start=start, end=end)), clean.files))
    lots = [bounds[1] for file in files if (bounds := file.bounds("lot"))]
    lot = max(lots, default=-1) if len(lots) == len(files) else clean.transactions.get(app, 0)
    others = [snapshots[name] for name in tables if name != contract.clean.name]
    behind = [one for one in others if one.transactions.get(app, -2) < lot]
    paths = frozenset(file.path for file in files)
    return tables, clean.path, paths, tuple((one.path, one.version, one.committed_at) for one in behind)


@lru_cache(maxsize=1 << 16)
def moment_of(stored: object) -> datetime:
    """A time of a file's statistics."""
    moment = datetime.fromisoformat(str(stored).replace("Z", "+00:00"))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def rows_between(snapshots: TableSnapshots, filters: Filters) -> int:
    """Rows of the files of the clean table that may have events of the period: at least as many as it has."""
    clean = snapshots[snapshots.tables.contract.clean.name]
    return sum(file.rows or 0 for file in filter(_may_hold(snapshots, filters), clean.files))


def newest_event(snapshots: TableSnapshots) -> datetime | None:
    """The time of the newest clean event: from the statistics of the files, to the millisecond. Raises NotReadable."""
    event = snapshots.tables.contract.stream.event
    column = event.field(event.at).clean_name
    tops = [b[1] for file in snapshots[snapshots.tables.contract.clean.name].files if (b := file.bounds(column))]
    return moment_of(max(tops)) if tops else None


def _partition_day(file: DataFile) -> date | None:
    value = file.partition.get("jour")
    return _day(value) if value else None


@lru_cache(maxsize=1 << 14)
def _day(stored: str) -> date:
    return date.fromisoformat(stored)


def recent_events(snapshots: TableSnapshots, filters: Filters, rows: int) -> pa.Table:
    """Of the `rows` newest clean events (by arrival) those that pass `filters`, newest first.

    Columns: `Sources.recent`.
    """
    sources = snapshots.tables.sources
    snapshot = snapshots[sources.tables.clean.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        with snapshots.tables.connection() as con:
            return con.execute(
                f"SELECT {sources.recent} FROM ({sources.fields_of_clean(source)}) "
                f"ORDER BY kafka_ts DESC LIMIT {rows:d}"
            ).to_arrow_table()

    found = snapshots.tables.newest_rows.rows(snapshot, rows, [("kafka_ts", "descending")], read)
    if not filters.used:
        return found
    condition, values = filters.condition()
    with snapshots.tables.connection() as con:
        con.register("found", found)
        return con.execute(f"SELECT * FROM found WHERE {condition}", values).to_arrow_table()


def last_messages(snapshots: TableSnapshots, rows: int = 100) -> pa.Table:
    """The newest Bronze rows, newest first, all columns; of `value` the first VALUE_BYTES.

    Reads the files that hold them, never the table.
    """
    snapshot = snapshots[snapshots.tables.contract.bronze.name]

    def read(paths: Set[str]) -> pa.Table:
        source = snapshot.select(lambda file: file.path in paths)
        newest_first = f'ORDER BY kafka_ts DESC, "partition" DESC, "offset" DESC LIMIT {rows:d}'
        with snapshots.tables.connection() as con:
            if sum(file.size for file in snapshot.files if file.path in paths) > LARGE_BYTES:
                # narrow columns first: the raw messages are then read from the row groups of the newest alone
                query = f"SELECT min(kafka_ts) FROM (SELECT kafka_ts FROM ({source}) ORDER BY 1 DESC LIMIT {rows:d})"
                edge = con.execute(query).fetchone()
                if edge is not None and edge[0] is not None:
                    source = f"SELECT * FROM ({source}) WHERE kafka_ts >= TIMESTAMPTZ '{edge[0].isoformat()}'"
            return con.execute(
                f"SELECT * REPLACE (value[1:{VALUE_BYTES}] AS value) FROM ({source}) {newest_first}"
            ).to_arrow_table()

    order = [("kafka_ts", "descending"), ("partition", "descending"), ("offset", "descending")]
    return snapshots.tables.newest_rows.rows(snapshot, rows, order, read)
