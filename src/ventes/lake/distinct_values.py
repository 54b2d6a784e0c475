"""The distinct values of a field for each key of a roll-up, kept in memory by the writer.

A distinct count cannot be added up from lot to lot, and counting all events for each lot would cost more with every
day. So the values are kept as sorted arrays of 64-bit numbers: whole numbers, days and times as they are, all other
values (texts, decimals) by their place in a dictionary. Both are exact. 8 bytes for each value of each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ids = npt.NDArray[np.int64]
Key = tuple[Any, ...]


class DistinctValues:
    """Distinct values for each key. Values are never removed; NULL is not counted as a value."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Ids] = {}
        self._places: dict[Any, int] = {}
        """Value that is no 64-bit number → the number that stands for it."""

    def add(self, keys: Sequence[pa.ChunkedArray], values: pa.ChunkedArray) -> None:
        """Add rows: the columns of the key, and the values of the field."""
        if values.null_count:
            there = pc.is_valid(values)
            keys, values = [column.filter(there) for column in keys], values.filter(there)
        if not len(values):
            return
        ids = self._ids(values)
        codes, names = _key_codes(keys)
        order = np.argsort(codes, kind="stable")  # a radix sort where there are at most 65,536 keys
        sorted_ids = ids[order]
        ends = np.cumsum(np.bincount(codes, minlength=len(names)))
        for name, begin, end in zip(names, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            self._by_key[name] = _union(self._by_key.get(name), sorted_ids[begin:end])

    def counts(self, keys: Sequence[Key]) -> pa.Array:
        """The number of distinct values of each of `keys`, as int64."""
        nothing: Ids = np.empty(0, np.int64)
        return pa.array([len(self._by_key.get(key, nothing)) for key in keys], pa.int64())

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


def _key_codes(keys: Sequence[pa.ChunkedArray]) -> tuple[npt.NDArray[Any], list[Key]]:
    """A small number for each row, and the key that each number stands for."""
    codes, names = _column_codes(keys[0])
    found: list[Key] = [(name,) for name in names]
    for column in keys[1:]:
        more, names = _column_codes(column)
        together = codes.astype(np.int64) * len(names) + more
        pairs, codes = np.unique(together, return_inverse=True)
        found = [(*found[pair // len(names)], names[pair % len(names)]) for pair in pairs.tolist()]
    return codes.astype(np.uint16 if len(found) <= 1 << 16 else np.int64), found


def _column_codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[Any], list[Any]]:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def _union(known: Ids | None, ids: Ids) -> Ids:
    """Sorted union; copies `known` only if there are new ids."""
    ids = np.unique(ids)
    if known is None or not len(known):
        return ids
    places = np.searchsorted(known, ids)
    new = known[np.minimum(places, len(known) - 1)] != ids
    return np.insert(known, places[new], ids[new]) if new.any() else known
