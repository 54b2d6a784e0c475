"""Sums that no roll-up has, computed once for each data file and cached.

A data file never changes, so its part of a sum is computed once: after an append only the new file is read, however
large the table is. After a compaction (files replaced by one) the sum of the new file is computed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from ventes.deltalog.actions import DataFile
from ventes.deltalog.snapshot import Snapshot

KEPT = 192
"""Answers that are cached, up to ten for a viewer's filters; the least recently used one is dropped."""
PIECES = 40
"""Answers of single files that are kept separately before they are added up."""


@dataclass(frozen=True)
class GroupedSums:
    """A SELECT over the view `narrowed`: sums for each key. Keys may repeat in an answer: its reader adds them up."""

    sql: str
    merges: Mapping[str, str]
    """The columns to add up, and the SQL function that does it; all others are the key."""


@dataclass(frozen=True)
class FileSums:
    """Grouped sums over the rows of a table that meet `condition` (SQL with parameters `values`)."""

    name: Hashable
    parts: Mapping[str, GroupedSums]
    rows: Callable[[str], str] = "SELECT * FROM ({})".format
    """A SELECT of the table's files → the rows that the condition and the parts are about."""
    condition: str = "true"
    values: tuple[object, ...] = ()
    keep: Callable[[DataFile], bool] | None = None
    """Whether a file may contain such rows; None: all files may."""


REASONS = FileSums(
    "reasons",
    {
        "kinds": GroupedSums(
            "SELECT CASE WHEN list_contains(motifs, 'duplicate') THEN 'duplicate' "
            "WHEN list_contains(motifs, 'conflict') THEN 'conflict' ELSE 'invalid' END AS kind, count(*) AS messages "
            "FROM narrowed GROUP BY ALL",
            {"messages": "sum"},
        ),
        "motifs": GroupedSums(
            "SELECT motif, date_trunc('minute', kafka_ts) AS minute, count(*) AS messages "
            "FROM (SELECT unnest(motifs) AS motif, kafka_ts FROM narrowed) GROUP BY ALL",
            {"messages": "sum"},
        ),
    },
)
"""Why messages were rejected. A message with several reasons counts once in kinds, once per reason in motifs."""


@dataclass
class _Answer:
    guard: threading.Lock = field(default_factory=threading.Lock)
    seen: set[str] = field(default_factory=set)
    pieces: dict[str, list[pa.Table]] = field(default_factory=dict)


class FileCache:
    """The answers over the tables of one lake. Threads may share it."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._guard = threading.Lock()

    def answer(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, question: FileSums) -> dict[str, pa.Table]:
        """Part of the question → its rows. Reads only files that this question has not seen."""
        live = {file.path for file in snapshot.files if question.keep is None or question.keep(file)}
        with self._guard:
            answer = self._answers.setdefault((question.name, snapshot.path), _Answer())
            self._answers.move_to_end((question.name, snapshot.path))
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        with answer.guard:
            if not answer.pieces or not answer.seen <= live:
                answer.seen, answer.pieces = set(), _read(con, snapshot, question, live)
            elif fresh := live - answer.seen:
                for name, rows in _read(con, snapshot, question, fresh).items():
                    answer.pieces[name] += rows
                    if len(answer.pieces[name]) > PIECES:
                        answer.pieces[name] = [_summed(con, question.parts[name], answer.pieces[name])]
            answer.seen = live
            return {name: pa.concat_tables(pieces) for name, pieces in answer.pieces.items()}


def _read(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, question: FileSums, paths: set[str]
) -> dict[str, list[pa.Table]]:
    source = snapshot.select(lambda file: file.path in paths)
    narrowed = f"WITH narrowed AS (SELECT * FROM ({question.rows(source)}) WHERE {question.condition}) "
    return {
        name: [con.execute(narrowed + part.sql, list(question.values)).to_arrow_table()]
        for name, part in question.parts.items()
    }


def _summed(con: duckdb.DuckDBPyConnection, part: GroupedSums, pieces: list[pa.Table]) -> pa.Table:
    """One table with each key once; columns and types unchanged."""
    rows = pa.concat_tables(pieces)
    con.register("pieces", rows)
    listed = ", ".join(
        f'{part.merges[name]}("{name}") AS "{name}"' if name in part.merges else f'"{name}"'
        for name in rows.column_names
    )
    summed = con.execute(f"SELECT {listed} FROM pieces GROUP BY ALL").to_arrow_table().cast(rows.schema)
    con.unregister("pieces")
    return summed
