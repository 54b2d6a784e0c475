"""How many different values large tables have, counted once and then kept up by the files that change.

Such a count does not add up from file to file, and counting anew reads the whole table: of a year's clients, twelve
million rows, it takes half a second. But the different values are few, and a commit replaces few files. So the values
are kept, and after a commit only the files that came and went are read. Nothing else can have changed if every value of
a file that went is in one that came, which is so when rows are merged or added up; otherwise all files are read again.

Whole numbers are kept sorted, where a few are found in microseconds among a million. All other values are in a table of
the page's database, which is read through for each commit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ventes.deltalog.snapshot import Snapshot
from ventes.errors import LakeDamaged, StoreRefused, StoreUnavailable

KEPT_VALUES = 4_000_000
"""Values that are kept, of all counts together, beside those of the newest count: 32 MB of numbers."""
KEPT_COUNTS = 32
"""Counts that are kept: two for a viewer's filters."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """The values of the column "value" of some rows of a table.

    `name`: equal for the same rows of the same column. `rows`: a SELECT of the table's files → that of the rows, with
    the parameters `values`.
    """

    name: Hashable
    rows: Callable[[str], str]
    values: Sequence[object] = ()


class _Numbers:
    """Different whole numbers, sorted.

    `follow` adds those of files that came (as a SELECT). It returns False, and adds nothing, if one of the files that
    went ("": none did) is in no file that came.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = np.sort(numbers)

    @property
    def count(self) -> int:
        return len(self._numbers)

    def follow(self, con: duckdb.DuckDBPyConnection, came: str, went: str, counted: Counted) -> bool:
        rows = f"SELECT value, true AS came FROM ({came})"
        if went:
            rows += f" UNION ALL SELECT value, false FROM ({went})"
        values = [*counted.values] * (2 if went else 1)
        found = con.execute(f"SELECT * FROM ({rows}) WHERE value NOTNULL", values).to_arrow_table()
        numbers, of_came = _numbers(found), found["came"].to_numpy()
        new = np.unique(numbers[of_came])
        if not np.isin(numbers[~of_came], new).all():
            return False
        places = np.searchsorted(self._numbers, new)
        inside = places < len(self._numbers)
        known = np.zeros(len(new), np.bool_)
        known[inside] = self._numbers[places[inside]] == new[inside]
        if not known.all():
            self._numbers = np.insert(self._numbers, places[~known], new[~known])
        return True

    def drop(self, con: duckdb.DuckDBPyConnection) -> None:
        """Nothing is in the database."""


class _Values:
    """The same for values of any type, in a table of the database."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: str, values: pa.Table) -> None:
        self._table = table
        self.count = values.num_rows
        con.register("found", values)
        con.execute(f"CREATE TABLE {table} AS SELECT value FROM found")
        con.unregister("found")

    def follow(self, con: duckdb.DuckDBPyConnection, came: str, went: str, counted: Counted) -> bool:
        if went:
            lost = f"SELECT count(*) FROM ({went}) AS went ANTI JOIN ({came}) AS came USING (value)"
            if _number(con, f"{lost} WHERE value NOTNULL", counted, times=2):
                return False
        self.count += _number(
            con,
            f"INSERT INTO {self._table} SELECT DISTINCT value FROM ({came}) AS came "
            f"ANTI JOIN {self._table} USING (value) WHERE value NOTNULL",
            counted,
        )
        return True

    def drop(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"DROP TABLE {self._table}")


@dataclass
class _Known:
    values: _Numbers | _Values
    snapshot: Snapshot


class DistinctCounts:
    """The counts over the tables of one lake. Threads may share it; they count one after the other."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._made = 0
        self._guard = threading.Lock()

    def of(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, counted: Counted) -> int:
        """The number of different values that are not NULL. `con`: a connection to the page's database."""
        key = (snapshot.path, counted.name)
        with self._guard:
            known = self._known.get(key)
            if known is not None and known.snapshot.committed_at > snapshot.committed_at:
                return self._counted_apart(con, snapshot, counted)  # another viewer has seen a later commit already
            if known is None or not self._follow(con, known, snapshot, counted):
                if known is not None:
                    self._drop(con, key)
                known = self._known[key] = self._fill(con, snapshot, counted)
            self._known.move_to_end(key)
            while len(self._known) > KEPT_COUNTS or sum(one.values.count for one in self._known.values()) > KEPT_VALUES:
                oldest = next(iter(self._known))
                if oldest == key:
                    break
                self._drop(con, oldest)
            return known.values.count

    def _counted_apart(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, counted: Counted) -> int:
        return _number(con, f"SELECT count(DISTINCT value) FROM ({counted.rows(snapshot.select())})", counted)

    def _fill(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, counted: Counted) -> _Known:
        self._made += 1
        rows = f"SELECT DISTINCT value FROM ({counted.rows(snapshot.select())}) WHERE value NOTNULL"
        found = con.execute(rows, [*counted.values]).to_arrow_table()
        if pa.types.is_integer(found.schema.field("value").type):
            return _Known(_Numbers(_numbers(found)), snapshot)
        return _Known(_Values(con, f"distinct_values_{self._made}", found), snapshot)

    def _follow(self, con: duckdb.DuckDBPyConnection, known: _Known, snapshot: Snapshot, counted: Counted) -> bool:
        """Bring the values to `snapshot`. False if all files must be read for that."""
        if known.snapshot is snapshot:
            return True
        before, now = ({file.path for file in one.files} for one in (known.snapshot, snapshot))
        came = counted.rows(snapshot.select(lambda file: file.path not in before))
        went = ""
        try:
            if before - now:
                went = counted.rows(known.snapshot.select(lambda file: file.path not in now))
            if not known.values.follow(con, came, went, counted):
                return False
        except (duckdb.IOException, LakeDamaged, StoreRefused, StoreUnavailable):
            return False  # a file that went is not kept any more
        known.snapshot = snapshot
        return True

    def _drop(self, con: duckdb.DuckDBPyConnection, key: Hashable) -> None:
        self._known.pop(key).values.drop(con)


def _number(con: duckdb.DuckDBPyConnection, query: str, counted: Counted, times: int = 1) -> int:
    """The single number of a query, or how many rows it wrote; it contains the rows of `counted` so many times."""
    found = con.execute(query, [*counted.values] * times).fetchone()
    assert found is not None  # both are one row
    return int(found[0])


def _numbers(found: pa.Table) -> Numbers:
    """The column "value"."""
    numbers: Numbers = found["value"].to_numpy().astype(np.int64)
    return numbers
