"""Tables are created according to the contract, older ones are widened, foreign ones are refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from harness.shipped import ALL, BRONZE, CLEAN, REJETS
from harness.silver_engine import START, bronze_rows
from harness.silver_run import settings_of
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.database import RecycledDatabase, connect
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake import tables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_created_as_the_contract_says_and_only_once(settings: Settings, table: Table) -> None:
    tables.ensure(settings, table)
    again = tables.ensure(settings, table)
    assert again.version() == 0
    assert pa.schema(again.schema()).names == table.schema.names
    assert tuple(again.metadata().partition_columns) == table.partition_by
    assert again.protocol().min_reader_version == 1


def test_a_table_of_an_older_release_is_widened_and_its_rows_stay(settings: Settings) -> None:
    path = tables.path_of(settings, REJETS)
    older = pa.schema([field for field in REJETS.schema if field.name not in ("vente_id", "date_traitement")])
    row = {"motifs": ["empty"], "value": b"", "topic_id": "T", "partition": 0, "offset": 3, "lot": 1}
    write_deltalake(path, pa.Table.from_pylist([row], schema=older), name=REJETS.name)
    assert (
        Snapshot.open(path, REJETS).arrow().schema == REJETS.schema
    )  # a reader does not depend on a writer having widened it
    tables.ensure(settings, REJETS)
    new = pa.Table.from_pylist([row | {"vente_id": 9, "offset": 4}], schema=REJETS.schema)
    commit.append(Log.open(path), REJETS, new, "t", 1)
    rows = sorted(Snapshot.open(path, REJETS).arrow().to_pylist(), key=lambda row: row["offset"])
    assert [(row["offset"], row["vente_id"], row["motifs"]) for row in rows] == [
        (3, None, ["empty"]),
        (4, 9, ["empty"]),
    ]


@pytest.mark.parametrize("partitioned", [True, False])
def test_a_new_column_that_no_file_has_is_null(settings: Settings, partitioned: bool) -> None:
    """A column that was declared later, before the first row with it was written."""
    table = CLEAN if partitioned else REJETS
    path = tables.path_of(settings, table)
    older = pa.schema([field for field in table.schema if field.name != "vente_id"])
    row = {"topic_id": "T", "partition": 0, "offset": 3, "lot": 1, "jour": date(2026, 1, 5)}
    rows = pa.Table.from_pylist([{name: value for name, value in row.items() if name in older.names}], schema=older)
    write_deltalake(path, rows, name=table.name, partition_by=list(table.partition_by))
    tables.ensure(settings, table)
    (found,) = Snapshot.open(path, table).arrow().to_pylist()
    assert (found["offset"], found["vente_id"]) == (3, None)
    with connect() as con:
        Snapshot.open(path, table).view(con, "seen")
        assert con.execute("SELECT count(*), count(vente_id) FROM seen WHERE lot = 1").fetchone() == (1, 0)


def test_a_column_of_another_type_is_named(settings: Settings) -> None:
    path = tables.path_of(settings, REJETS)
    fields = [pa.field("offset", pa.string()) if field.name == "offset" else field for field in REJETS.schema]
    DeltaTable.create(path, pa.schema(fields))
    with pytest.raises(LakeDamaged, match=r"column offset of .* is string, expected long"):
        tables.ensure(settings, REJETS)


def test_a_foreign_table_and_loose_files_are_refused(settings: Settings) -> None:
    write_deltalake(tables.path_of(settings, CLEAN), pa.table({"x": [1]}))
    with pytest.raises(LakeDamaged, match="not a table of this pipeline"):
        tables.ensure(settings, CLEAN)
    settings.bronze.mkdir(parents=True)
    (settings.bronze / "part-0.parquet").write_bytes(b"?")
    with pytest.raises(LakeDamaged, match=r"holds part-0\.parquet but no Delta log"):
        tables.ensure(settings, BRONZE)


def test_deltalake_reads_what_is_committed(settings: Settings) -> None:
    tables.ensure(settings, BRONZE)
    odd = datetime(2026, 3, 1, 9, 0, 0, 123_456, tzinfo=timezone.utc)
    rows = bronze_rows([{"offset": 0, "timestamp": odd}, {"offset": 1, "timestamp": None, "motifs": ["empty"]}])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "job", 7)
    table = DeltaTable(settings.bronze)
    assert table.transaction_version("job") == 7
    read = table.to_pyarrow_table().select(BRONZE.schema.names).cast(BRONZE.schema).sort_by("offset")
    assert read.equals(rows)
    assert tables.snapshot(settings, BRONZE).arrow().sort_by("offset").equals(rows)
    (file,) = Log.open(settings.bronze).files.values()
    assert file.stats["minValues"]["timestamp"] == "2026-03-01T09:00:00.123Z"
    assert file.stats["maxValues"]["timestamp"] == "2026-03-01T09:00:00.124Z"  # rounded up, or a filter would miss it
    assert file.stats["nullCount"]["timestamp"] == 1
    assert file.rows == 2


def test_rows_are_stored_by_day(settings: Settings) -> None:
    tables.ensure(settings, BRONZE)
    rows = bronze_rows([{"offset": n, "timestamp": START + timedelta(days=n)} for n in range(3)])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "job", 1)
    days = sorted(file.path.split("/")[0] for file in Log.open(settings.bronze).files.values())
    assert days == ["jour=2026-03-01", "jour=2026-03-02", "jour=2026-03-03"]


def test_rows_that_are_not_the_contract_are_refused(settings: Settings) -> None:
    tables.ensure(settings, BRONZE)
    with pytest.raises(LakeDamaged, match="rows for bronze have the columns x int64"):
        commit.append(Log.open(settings.bronze), BRONZE, pa.table({"x": [1]}), "job", 1)


def test_a_database_is_replaced_after_so_many_pieces_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecycledDatabase, "USES", 3)
    database = RecycledDatabase(64)
    taken = []
    for _ in range(4):
        database.begin()
        taken.append(database.con)
    assert taken[0] is taken[1] is taken[2]
    with pytest.raises(duckdb.ConnectionException):  # closed: its memory is free again
        taken[0].execute("SELECT 1")
    assert taken[3].execute("SELECT current_setting('TimeZone'), current_setting('threads')").fetchone() == ("UTC", 1)
    database.close()
