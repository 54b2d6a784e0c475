"""Which files of a roll-up hold which keys, by the bounds in the log; and how rows are cut into files. Reads nothing.

A roll-up's rows are sorted by its grain, then by its fields, and cut into files of up to `file_rows` rows. So a key has
one home: the file whose bounds, in all those columns, include it. Bounds are those of each column by itself: of a file
with the end of one day and the beginning of the next they include every key of both days. Where several files may hold
a key, they are searched.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ventes.deltalog import data_files
from ventes.deltalog.actions import DataFile

CHUNK = 8192
"""Rows per file: rewriting one takes about 10 ms (15 columns)."""
MOST_FILES = 500
"""If CHUNK would make more full files than this (4 million rows), the files get larger: every checkpoint and every
reader lists them all."""
SMALL_FILES = 8
"""Number of neighbouring files below half the size from which they are merged."""
FEW = 8
"""A file with less than this part of a CHUNK is rewritten as a whole without a closer look, and rows beyond all bounds
join it. So the file that each lot rewrites, today's or this minute's, has about 1,000 rows."""

Places = npt.NDArray[np.int64]
"""Row numbers of a table."""
Flags = npt.NDArray[np.bool_]
Holds = Callable[[DataFile, Places], Flags]
"""(file, rows) → whether the file has the key of each of these rows."""


def file_rows(rows: int) -> int:
    """Rows per file of a table of `rows` rows."""
    return max(CHUNK, rows // MOST_FILES)


def few_rows() -> int:
    """Rows of a file that is rewritten as a whole; see FEW."""
    return CHUNK // FEW


def in_order(columns: Sequence[str], files: Sequence[DataFile]) -> list[DataFile]:
    """The files in the order of their rows; `columns`: those that sort the rows."""

    def place(file: DataFile) -> list[tuple[bool, Any]]:
        bounds = [file.bounds(column) for column in columns]
        return [(known is not None, known[0] if known is not None else "") for known in bounds]

    return sorted(files, key=place)


def homes(columns: Sequence[str], files: Sequence[DataFile], rows: pa.Table, holds: Holds) -> list[Places]:
    """For each of `files`, in order, the rows whose key it has, or whose place it is; rows for a new file are in none.

    `columns`: the columns with bounds, in the order that sorts the rows.
    """
    if len(files) == 1 and (files[0].rows or 0) < few_rows():
        return [np.arange(rows.num_rows)]
    ranks = [_Ranks(column, rows[column]) for column in columns]
    candidates = [_within(ranks, file, rows.num_rows) for file in files]
    left = np.zeros(rows.num_rows, np.int64)
    for found in candidates:
        left[found] += 1
    home = np.full(rows.num_rows, -1, np.int64)
    for number in sorted(range(len(files)), key=lambda number: -len(candidates[number])):
        waiting = candidates[number][home[candidates[number]] < 0]
        alone = left[waiting] == 1
        home[waiting[alone]] = number
        asked = waiting[~alone]
        if len(asked):
            has = holds(files[number], asked)
            home[asked[has]] = number
            left[asked] -= 1
    homeless = np.flatnonzero(home < 0)
    if len(homeless) and files and ranks:
        before = _file_before(ranks, files, homeless)
        joins = np.array([(file.rows or 0) < few_rows() for file in files])[before]
        home[homeless[joins]] = before[joins]
    return _by_home(home, len(files))


def _file_before(ranks: Sequence[_Ranks], files: Sequence[DataFile], rows: Places) -> Places:
    """For each of `rows` the last file that begins before it, by the first two columns; else the first file."""
    of_rows, of_files = ranks[0].of_rows[rows], np.array([ranks[0].first_not_below(file) for file in files])
    if len(ranks) > 1:
        width = ranks[1].count + 1
        second = [ranks[1].first_not_below(file) if ranks[0].begins(file) else 0 for file in files]
        of_rows = of_rows * width + np.maximum(ranks[1].of_rows[rows], 0)
        of_files = of_files * width + np.array(second)
    found: Places = np.maximum(np.searchsorted(np.maximum.accumulate(of_files), of_rows, side="right") - 1, 0)
    return found


def _by_home(home: Places, files: int) -> list[Places]:
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(files), side="right")
    begins = np.searchsorted(home[order], np.arange(files), side="left")
    return [order[begin:end] for begin, end in zip(begins, ends, strict=True)]


class _Ranks:
    """The values of a column of rows, as places among the different ones in the order of the log's bounds."""

    def __init__(self, column: str, values: pa.ChunkedArray) -> None:
        self._column = column
        encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
        found = [None if value is None else data_files.bound_text(value) for value in encoded.dictionary.to_pylist()]
        self._texts: list[Any] = sorted({text for text in found if text is not None})
        ranks = {text: rank for rank, text in enumerate(self._texts)}
        of_codes = np.array([-1 if text is None else ranks[text] for text in found], np.int64)
        self.of_rows: Places = of_codes[encoded.indices.to_numpy(zero_copy_only=False)]
        """The rank of each row's value; -1 for NULL."""
        self.count = len(self._texts)

    def first_not_below(self, file: DataFile) -> int:
        """The rank of the first value that is not below the file's smallest."""
        bounds = file.bounds(self._column)
        return 0 if bounds is None else bisect_left(self._texts, bounds[0])

    def begins(self, file: DataFile) -> bool:
        """Whether the file's smallest value is one of the rows'."""
        rank = self.first_not_below(file)
        bounds = file.bounds(self._column)
        return bounds is not None and rank < self.count and self._texts[rank] == bounds[0]

    def within(self, file: DataFile, rows: Places) -> Flags:
        """Whether the file's bounds include the value of each of `rows`."""
        ranks = self.of_rows[rows]
        nulls = file.stats.get("nullCount", {}).get(self._column)
        bounds = file.bounds(self._column)
        found: Flags
        if bounds is None:
            all_null = nulls is not None and nulls == file.rows
            found = ranks < 0 if all_null else np.ones(len(rows), np.bool_)
            return found
        found = (ranks >= bisect_left(self._texts, bounds[0])) & (ranks < bisect_right(self._texts, bounds[1]))
        return found if nulls == 0 else found | (ranks < 0)


def _within(ranks: Sequence[_Ranks], file: DataFile, count: int) -> Places:
    rows: Places = np.arange(count)
    for column in ranks:
        rows = rows[column.within(file, rows)]
        if not len(rows):
            break
    return rows


def cut(rows: pa.Table, size: int) -> list[pa.Table]:
    """Sorted rows in equal parts of at most `size` rows."""
    parts = max(1, -(-rows.num_rows // size))
    ends = [rows.num_rows * part // parts for part in range(parts + 1)]
    return [rows.slice(begin, end - begin) for begin, end in pairwise(ends)]


def small_neighbours(files: Sequence[DataFile], size: int, but: Collection[str]) -> list[DataFile]:
    """Files to merge into one of at most `size` rows: of files in order, the first SMALL_FILES that are small.

    `but`: paths of files that are left alone.
    """
    for small, run in groupby(files, key=lambda file: (file.rows or 0) < size // 2 and file.path not in but):
        members = list(run)
        if small and len(members) >= SMALL_FILES:
            return _first(members, size)
    return []


def _first(members: Sequence[DataFile], size: int) -> list[DataFile]:
    found: list[DataFile] = []
    rows = 0
    for file in members:
        rows += file.rows or 0
        if rows > size:
            break
        found.append(file)
    return found
