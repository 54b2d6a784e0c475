"""Reading a table at one version, without a JVM and without a lock.

`Watcher` checks for a new version with one stat call and holds the newest `Snapshot`. A Snapshot is immutable: its
files, rows and version do not change. Its files stay on disk for the kept history (vacuum.py) after a later version
removed them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ventes.deltalog import history
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log, TableMissing, VersionGone
from ventes.deltalog.present import local_path, local_paths
from ventes.deltalog.table import WIDENED, Table
from ventes.deltalog.vacuum import MINUTE, RECENT
from ventes.errors import LakeDamaged, StoreUnavailable
from ventes.store import places

__all__ = ["Snapshot", "TableMissing", "VersionGone", "Watcher"]

_SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "int32": "INTEGER", "bool": "BOOLEAN", "binary": "BLOB"}


@dataclass(frozen=True)
class Snapshot:
    """A table at `version`, committed at `committed_at` (UTC)."""

    path: Path
    version: int
    committed_at: datetime
    files: tuple[DataFile, ...]
    transactions: Mapping[str, int]
    columns: tuple[str, ...]
    """Columns of the table; a table of an older release may lack some of the contract."""
    table: Table
    properties: Mapping[str, str] = field(default_factory=dict)
    """The table's Delta properties."""

    @classmethod
    def open(cls, path: Path, table: Table, version: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """The newest state of `table`, that of `version`, or the last one committed not after `as_of` (aware).

        Raises TableMissing, VersionGone (cleaned up, or before the table began), LakeDamaged.
        """
        if as_of is not None:
            version = version_at(path, as_of)
        return cls.of_log(Log.open(path, version), table)

    @classmethod
    def of_log(cls, log: Log, table: Table) -> Snapshot:
        """`table` as `log` has it now. Raises LakeDamaged if the log is another table's."""
        name = log.metadata.get("name")
        if name is not None and name != table.name:
            raise LakeDamaged(f"{log.path} is named {name!r}, not {table.name!r}", "move the folder away")
        fields = json.loads(log.metadata["schemaString"])["fields"]
        return cls(
            path=log.path,
            version=log.version,
            committed_at=datetime.fromtimestamp(log.committed_at / 1000, timezone.utc),
            files=tuple(log.files.values()),
            transactions=dict(log.transactions),
            columns=tuple(field["name"] for field in fields),
            table=table,
            properties=dict(log.metadata.get("configuration") or {}),
        )

    @property
    def widened(self) -> bool:
        """Whether a column was added after the table was made."""
        return self.properties.get(WIDENED) == "true"

    @cached_property
    def rows(self) -> int:
        """Rows of the table; from the log, or from the footer of a file whose writer left no statistics."""
        return sum(self._rows(file) for file in self.files)

    def _rows(self, file: DataFile) -> int:
        if file.rows is not None:
            return file.rows
        return int(pq.read_metadata(local_path(self.path, file)).num_rows)

    @property
    def size(self) -> int:
        """Bytes of the live files."""
        return sum(file.size for file in self.files)

    def paths(self, keep: Callable[[DataFile], bool] | None = None) -> list[str]:
        """Absolute paths of the live files (those that `keep` accepts), which are fetched if they are on a store."""
        return [str(path) for path in local_paths(self.path, (one for one in self.files if keep is None or keep(one)))]

    def view(self, con: duckdb.DuckDBPyConnection, name: str, keep: Callable[[DataFile], bool] | None = None) -> None:
        """Make the temporary view `name` in `con`: all columns of the contract, in its order and exact types.

        `keep` leaves out files, by their statistics. Columns that older files lack are NULL.
        """
        con.execute(f"CREATE OR REPLACE TEMP VIEW {_quoted(name)} AS {self.select(keep)}")

    def select(self, keep: Callable[[DataFile], bool] | None = None, file_as: str = "") -> str:
        """The SELECT behind `view`, in DuckDB's dialect. `file_as`: a further column, each row's file."""
        paths = self.paths(keep)
        present = set(self.columns) if paths else set()
        columns = ", ".join(
            f"CAST({_quoted(f.name) if f.name in present else 'NULL'} AS {sql_type(f.type)}) AS {_quoted(f.name)}"
            for f in self.table.schema
        )
        if not paths:
            none = f", CAST(NULL AS VARCHAR) AS {_quoted(file_as)}" if file_as else ""
            return f"SELECT {columns}{none} WHERE false"
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        options = []
        if self.table.partition_by:
            kinds = ", ".join(f"{_quoted(column)}: DATE" for column in self.table.partition_by)
            options += ["hive_partitioning = true", f"hive_types = {{{kinds}}}"]
        if self.widened:
            options.append("union_by_name = true")
        if file_as:
            options.append(f"filename = '{file_as}'")
            columns += f", {_quoted(file_as)}"
        source = f"read_parquet({', '.join([f'[{listed}]', *options])})"
        if self.widened:  # a new column may be in none of these files: no row, but every column
            none = ", ".join(f"CAST(NULL AS {sql_type(f.type)}) AS {_quoted(f.name)}" for f in self.table.schema)
            source = f"(SELECT * FROM {source} UNION ALL BY NAME SELECT {none} WHERE false)"
        return f"SELECT {columns} FROM {source}"

    def arrow(self, keep: Callable[[DataFile], bool] | None = None) -> pa.Table:
        """All rows (of the files that `keep` accepts) with the contract's schema. For small tables."""
        with connect() as con:
            return con.sql(self.select(keep)).to_arrow_table().cast(self.table.schema)


class Watcher:
    """The newest snapshot of a table, followed. Threads may share one."""

    def __init__(self, path: Path, table: Table) -> None:
        self.path = path
        self.table = table
        self._log: Log | None = None
        self._snapshot: Snapshot | None = None
        self._guard = threading.Lock()

    def latest(self) -> Snapshot:
        """The newest snapshot; the same object while nothing was committed (one stat call).

        Raises TableMissing while there is no table, LakeDamaged if the log cannot be read; StoreUnavailable for a table
        on an object store only if no snapshot is known yet.
        """
        with self._guard:
            try:
                return self._latest()
            except StoreUnavailable:
                if self._snapshot is None:
                    raise
                return self._snapshot

    def _latest(self) -> Snapshot:
        if self._log is not None and not self._log.valid():
            self._log = self._snapshot = None
        if self._log is None:
            self._log = Log.open(self.path)
            self._snapshot = None
        if self._snapshot is None or self._log.newer():
            self._log.refresh()
            self._snapshot = Snapshot.of_log(self._log, self.table)
        return self._snapshot


def version_at(path: Path, moment: datetime) -> int:
    """The last version committed not after `moment` (beyond the last minutes: not after its full minute).

    Raises VersionGone where the kept log does not reach back so far.
    """
    if moment.tzinfo is None:
        raise LakeDamaged(f"as_of {moment} has no time zone", "give an aware datetime, for example in UTC")
    kept = history.kept(path)
    if not kept and not history.there(path):
        raise TableMissing(f"no table at {places.shown(path)}", "it appears when the job that writes it has started")
    wanted = moment.timestamp()
    if time.time() - wanted > RECENT:  # of older versions only those at full minutes are kept
        wanted -= wanted % MINUTE
    low, high = 0, len(kept)
    while low < high:  # the first version after the moment; commit files are never touched again
        middle = (low + high) // 2
        if (history.committed_at(path, kept[middle]) or 0.0) <= wanted:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        raise VersionGone(f"{path} has no version as old as {moment.isoformat()}", "ask for a later time")
    return kept[low - 1]


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type of the contract."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{_quoted(field.name)} {sql_type(field.type)}' for field in kind)})"
    return _SQL_TYPES[str(kind)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
