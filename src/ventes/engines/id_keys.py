"""The keys of ids: 64 bits that are the same in every process and release. Different ids may share a key."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ventes.deltalog.database import run

KeysOf = Callable[[duckdb.DuckDBPyConnection, "pa.Array | pa.ChunkedArray"], npt.NDArray[np.int64]]
"""A column of ids without NULL → the key of each."""

SCHEME = "number or md5"
"""What `keys_of` computes: an index of another scheme is built again."""


def keys_of(con: duckdb.DuckDBPyConnection, ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Whole numbers are their own keys; of a text it is the last half of its MD5 (0.15 µs a text).

    DuckDB's hash() would take a fifth of that, but may differ in its next version.
    """
    if pa.types.is_integer(ids.type):
        numbers: npt.NDArray[np.int64] = ids.to_numpy()
        return numbers
    found = run(con, "SELECT md5_number_lower(text) AS key FROM texts", {"texts": pa.table({"text": ids})})["key"]
    return np.ascontiguousarray(found.to_numpy(), np.uint64).view(np.int64)
