"""Sums that are computed once for each data file, and cached.

A data file never changes, so its part of a sum is computed once: after a commit only the files that came are read, and
what those that went had is left out, however large the table is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ventes.deltalog.actions import DataFile
from ventes.deltalog.snapshot import Snapshot
from ventes.stream.sql_text import quoted

KEPT = 192
"""Answers that are cached, up to fourteen for a viewer's filters; the least recently used one is dropped."""
CHUNKS = 40
"""Parts of an answer's column, one for each time that files came, from which they are copied into one."""
FILE = "file "
"""The column with the file of a row. No field has a name with a blank."""


@dataclass(frozen=True)
class FileSums:
    """Grouped sums over the rows of a table that meet `condition` (SQL with parameters `values`).

    `parts`: each a SELECT over the view `narrowed`, with FILE among the columns by which it groups. Other keys may
    repeat in an answer, once for each file: its reader adds them up.
    """

    name: Hashable
    parts: Mapping[str, str]
    rows: Callable[[str], str] = "SELECT * FROM ({})".format
    """A SELECT of the table's files → the rows that the condition and the parts are about, with FILE."""
    condition: str = "true"
    values: tuple[object, ...] = ()
    keep: Callable[[DataFile], bool] | None = None
    """Whether a file may contain such rows; None: all files may."""
    of_parts: tuple[object, ...] = ()
    """Further parameters, those in the text of each part."""


REASONS = FileSums(
    "reasons",
    {
        "kinds": f"SELECT {quoted(FILE)}, CASE WHEN list_contains(motifs, 'duplicate') THEN 'duplicate' "
        "WHEN list_contains(motifs, 'conflict') THEN 'conflict' ELSE 'invalid' END AS kind, count(*) AS messages "
        "FROM narrowed GROUP BY ALL",
        "motifs": f"SELECT {quoted(FILE)}, motif, date_trunc('minute', kafka_ts) AS minute, count(*) AS messages "
        f"FROM (SELECT {quoted(FILE)}, unnest(motifs) AS motif, kafka_ts FROM narrowed) GROUP BY ALL",
    },
)
"""Why messages were rejected. A message with several reasons counts once in kinds, once per reason in motifs."""


@dataclass
class _Answer:
    guard: threading.Lock = field(default_factory=threading.Lock)
    numbers: dict[str, int] = field(default_factory=dict)
    """File → the number that stands for it in FILE."""
    given: int = 0
    """Numbers that were given so far."""
    rows: dict[str, pa.Table] = field(default_factory=dict)


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
            came, went = live - answer.numbers.keys(), answer.numbers.keys() - live
            if came or not answer.rows:
                _read(con, snapshot, question, answer, came)
            if went:
                gone = pa.array([answer.numbers.pop(path) for path in went], pa.int32())
                answer.rows = {
                    name: rows.filter(pc.invert(pc.is_in(rows[FILE], gone))) for name, rows in answer.rows.items()
                }
            return {name: rows.drop_columns(FILE) for name, rows in answer.rows.items()}


def _read(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, question: FileSums, answer: _Answer, paths: set[str]
) -> None:
    """Add the rows of these files to the answer, or nothing if one of them cannot be read."""
    wanted = [file.path for file in snapshot.files if file.path in paths]
    numbers = {path: answer.given + place for place, path in enumerate(wanted)}
    by_local_path = dict(zip(snapshot.paths(_among(paths)), numbers.values(), strict=True))
    source = snapshot.select(_among(paths), FILE)
    narrowed = f"WITH narrowed AS (SELECT * FROM ({question.rows(source)}) WHERE {question.condition}) "
    values = [*question.values, *question.of_parts]
    found = {
        name: _numbered(con.execute(narrowed + part, values).to_arrow_table(), by_local_path)
        for name, part in question.parts.items()
    }
    for name, rows in found.items():
        together = pa.concat_tables([*([answer.rows[name]] if name in answer.rows else []), rows])
        answer.rows[name] = together.combine_chunks() if together[FILE].num_chunks > CHUNKS else together
    answer.numbers |= numbers
    answer.given += len(numbers)


def _numbered(rows: pa.Table, numbers: Mapping[str, int]) -> pa.Table:
    """`rows` with the numbers of files in FILE, instead of their paths."""
    files = rows[FILE].combine_chunks().dictionary_encode()
    of_paths = pa.array([numbers[path] for path in files.dictionary.to_pylist()], pa.int32())
    return rows.set_column(rows.column_names.index(FILE), FILE, of_paths.take(files.indices))


def _among(paths: set[str]) -> Callable[[DataFile], bool]:
    return lambda file: file.path in paths
