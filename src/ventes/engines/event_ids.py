"""The ids of a lot's events, whole numbers or texts: which files and row groups may hold one of them."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Keys = npt.NDArray[np.int64]
"""Sorted 64-bit keys: whole numbers themselves, the hashes of texts. Two texts may share a key."""
Bounds = tuple[Any, Any]
"""Smallest and largest id of a file, as its log or its footer has them. Of texts these may be the first characters."""


class EventIds:
    """Different ids, from an Arrow column without NULL."""

    def __init__(self, column: pa.Array | pa.ChunkedArray) -> None:
        self._is_text = pa.types.is_string(column.type)
        self.column: pa.Array = pc.unique(column) if self._is_text else pa.array(np.unique(_numbers(column)))
        """Each id once."""

    @cached_property
    def keys(self) -> Keys:
        return keys_of(self.column)

    @cached_property
    def _texts(self) -> list[str]:
        """The ids in the order of their code points, as statistics have them."""
        return sorted(self.column.to_pylist())

    def __len__(self) -> int:
        return len(self.column)

    def may_be_within(self, bounds: Bounds | None) -> bool:
        """Whether one of the ids may lie within `bounds` (inclusive). True for unknown bounds."""
        if bounds is None:
            return len(self) > 0
        low, high = bounds
        if not self._is_text:
            return bool(np.searchsorted(self.keys, low, "left") < np.searchsorted(self.keys, high, "right"))
        place = bisect_left(self._texts, low)
        # Writers may cut long bounds off. The beginning of the smallest text is not above it; but the largest text may
        # go on after the beginning of it, so only as many characters are compared.
        return place < len(self._texts) and self._texts[place][: len(high)] <= high


def keys_of(column: pa.Array | pa.ChunkedArray) -> Keys:
    """The keys of a column of ids. Hashes of texts are those of this process."""
    if pa.types.is_string(column.type):
        texts = column.to_pylist()
        return np.sort(np.fromiter(map(hash, texts), np.int64, len(texts)))
    return np.sort(_numbers(column))


def share_a_key(some: Keys, others: Keys) -> bool:
    if len(some) > len(others):
        some, others = others, some
    places = np.searchsorted(others, some)
    inside = places < len(others)
    return bool((others[places[inside]] == some[inside]).any())


def _numbers(column: pa.Array | pa.ChunkedArray) -> Keys:
    numbers: Keys = column.to_numpy()
    return numbers
