"""The distinct customers of each country and segment, kept in memory by the writer.

`unique_customers` and `countries_count` are distinct counts over all of ventes_aggreges. Counting all rows for each lot
would cost more with every day; this class keeps the ids (8 bytes each) and adds those of a lot.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ids = npt.NDArray[np.int64]


class DistinctCustomers:
    """Distinct client ids per country and per segment, distinct countries per segment. Ids are never removed."""

    def __init__(self) -> None:
        self._by_pays: dict[str, Ids] = {}
        self._by_segment: dict[str, Ids] = {}
        self._pays_of: dict[str, set[str]] = {}

    def add(self, clients: pa.Table) -> None:
        """Add rows with the columns client_id, pays, segment."""
        ids = clients["client_id"].to_numpy().astype(np.int64, copy=False)
        for column, known in (("pays", self._by_pays), ("segment", self._by_segment)):
            codes = clients[column].combine_chunks().dictionary_encode()
            indices = codes.indices.to_numpy(zero_copy_only=False)
            for code, name in enumerate(codes.dictionary.to_pylist()):
                known[name] = _union(known.get(name), ids[indices == code])
        pairs = clients.select(["segment", "pays"]).group_by(["segment", "pays"]).aggregate([])
        for segment, pays in zip(pairs["segment"].to_pylist(), pairs["pays"].to_pylist(), strict=True):
            self._pays_of.setdefault(segment, set()).add(pays)

    def pays(self, names: Iterable[str]) -> pa.Table:
        """(pays, unique_customers) of the countries `names`."""
        names = list(names)
        return pa.table(
            {
                "pays": pa.array(names, pa.string()),
                "unique_customers": pa.array([len(self._by_pays[name]) for name in names], pa.int64()),
            }
        )

    def segments(self, names: Iterable[str]) -> pa.Table:
        """(segment, unique_customers, countries_count) of the segments `names`."""
        names = list(names)
        return pa.table(
            {
                "segment": pa.array(names, pa.string()),
                "unique_customers": pa.array([len(self._by_segment[name]) for name in names], pa.int64()),
                "countries_count": pa.array([len(self._pays_of[name]) for name in names], pa.int64()),
            }
        )


def _union(known: Ids | None, ids: Ids) -> Ids:
    """Sorted union; copies `known` only if there are new ids."""
    ids = np.unique(ids)
    if known is None or not len(known):
        return ids
    places = np.searchsorted(known, ids)
    new = known[np.minimum(places, len(known) - 1)] != ids
    return np.insert(known, places[new], ids[new]) if new.any() else known
