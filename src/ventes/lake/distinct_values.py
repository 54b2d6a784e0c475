"""The distinct values of a field for each key of a roll-up, kept in memory by the writer.

A distinct count cannot be added up from lot to lot, and counting all events for each lot would cost more with every
day. So the values are kept as 64-bit numbers in one array for all keys, sorted within each key: whole numbers, days and
times as they are, all other values (texts, decimals) by their place in a dictionary. Both are exact. 8 bytes for each
value of each key, and some 200 bytes for each key and for each entry of the dictionary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ids = npt.NDArray[np.int64]


class DistinctValues:
    """Distinct values for each key. Values are never removed; NULL is not counted as a value."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        """Key → its number: in the order in which the keys came."""
        self._counts: Ids = np.empty(0, np.int64)
        """Number of a key → how many values it has."""
        self._values: Ids = np.empty(0, np.int64)
        """The values of key 0, then those of key 1, …; those of one key are sorted."""
        self._places: dict[Any, int] = {}
        """Value that is no 64-bit number → the number that stands for it."""

    def add(self, keys: Sequence[pa.ChunkedArray], values: pa.ChunkedArray) -> None:
        """Add rows: the columns of the key, and the values of the field."""
        if values.null_count:
            there = pc.is_valid(values)
            keys, values = [column.filter(there) for column in keys], values.filter(there)
        if not len(values):
            return
        numbers, ids = _once(self._numbered(keys), self._ids(values))
        places, known = self._found(numbers, ids)
        new = ~known
        if new.any():
            self._values = np.insert(self._values, places[new], ids[new])
            self._counts += np.bincount(numbers[new], minlength=len(self._counts))

    def counts(self, keys: Sequence[pa.ChunkedArray]) -> pa.Array:
        """The number of distinct values of each row's key, as int64."""
        codes, names = _key_codes(keys)
        counts = np.append(self._counts, 0)  # for a key without a number
        numbers = np.array([self._numbers.get(name, -1) for name in names], np.int64)
        return pa.array(counts[numbers][codes], pa.int64())

    def _numbered(self, keys: Sequence[pa.ChunkedArray]) -> Ids:
        """The number of each row's key; new keys get the next ones."""
        codes, names = _key_codes(keys)
        numbers = self._numbers
        found = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
        self._counts = np.concatenate([self._counts, np.zeros(len(numbers) - len(self._counts), np.int64)])
        return found[codes]

    def _found(self, numbers: Ids, ids: Ids) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """For each pair the place in `_values` where it is or belongs, and whether it is there.

        One binary search for all pairs at once, each within the values of its key.
        """
        ends = np.cumsum(self._counts)
        low, end = (ends - self._counts)[numbers], ends[numbers]
        high = end
        last = max(len(self._values) - 1, 0)
        values = self._values if len(self._values) else np.zeros(1, np.int64)
        while (searching := low < high).any():
            middle = (low + high) // 2
            less = searching & (values[np.minimum(middle, last)] < ids)
            low, high = np.where(less, middle + 1, low), np.where(searching & ~less, middle, high)
        return low, (low < end) & (values[np.minimum(low, last)] == ids)

    def _ids(self, values: pa.ChunkedArray) -> Ids:
        kind = values.type
        found: Ids
        if pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
            found = values.cast(pa.int64()).to_numpy()
        elif pa.types.is_date32(kind):
            found = values.cast(pa.int32()).to_numpy().astype(np.int64)
        else:
            encoded = values.combine_chunks().dictionary_encode()
            places = [self._places.setdefault(value, len(self._places)) for value in encoded.dictionary.to_pylist()]
            found = np.array(places, np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return found


def _once(numbers: Ids, ids: Ids) -> tuple[Ids, Ids]:
    """Each pair once, sorted."""
    order = np.lexsort((ids, numbers))
    numbers, ids = numbers[order], ids[order]
    first = np.ones(len(ids), np.bool_)
    first[1:] = (numbers[1:] != numbers[:-1]) | (ids[1:] != ids[:-1])
    return numbers[first], ids[first]


def _key_codes(keys: Sequence[pa.ChunkedArray]) -> tuple[Ids, list[Any]]:
    """A small number for each row, and the key that each number stands for: a value, or a tuple of several columns'."""
    codes, names = _column_codes(keys[0])
    if len(keys) == 1:
        return codes, names
    found: list[Any] = [(name,) for name in names]
    for column in keys[1:]:
        more, names = _column_codes(column)
        pairs, codes = np.unique(codes * len(names) + more, return_inverse=True)
        found = [(*found[pair // len(names)], names[pair % len(names)]) for pair in pairs.tolist()]
    return codes, found


def _column_codes(column: pa.ChunkedArray) -> tuple[Ids, list[Any]]:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
