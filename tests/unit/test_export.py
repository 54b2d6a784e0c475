"""Files: every row, exact numbers, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness import sample_lake
from harness.shipped import ALL, BRONZE
from ventes.lake import tables
from ventes.query import export


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def as_csv(table: pa.Table) -> bytes:
    return b"".join(export.csv_chunks(table.schema, table.to_batches()))


def test_text_that_looks_like_a_formula_gets_a_quote_and_numbers_stay_numbers() -> None:
    texts = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\tx", "\rx", 'a,"b"\nc', "", "plain", None]
    numbers = [-1, 2, 3, 4, 5, 6, 7, 8, 9, None]
    table = pa.table({"=name": texts, "n": numbers, "m": pa.array([Decimal("-1.50")] * 10, pa.decimal128(28, 2))})
    header, *rows = read(as_csv(table))
    assert header == ["'=name", "n", "m"]
    assert [row[0] for row in rows] == [
        "'=cmd|' /C calc'!A0", "'+1", "'-1+1", "'@SUM(A1)", "'\tx", "'\rx", 'a,"b"\nc', "", "plain", "",
    ]  # fmt: skip
    assert [row[1] for row in rows] == ["-1", "2", "3", "4", "5", "6", "7", "8", "9", ""]
    assert {row[2] for row in rows} == {"-1.50"}


def test_bytes_and_lists_are_text_and_harmless_too() -> None:
    table = pa.table({"b": [b"=1+1", b"\xff\xfe", None], "l": [["=x"], [], None]})
    _, *rows = read(as_csv(table))
    assert rows == [["'=1+1", '["=x"]'], ["\\xff\\xfe", "[]"], ["", ""]]


def test_ids_are_exact_in_a_column_with_gaps() -> None:
    table = pa.table({"vente_id": pa.array([502424218828802, None, 9007199254740993], pa.int64())})
    assert read(as_csv(table))[1:] == [["502424218828802"], [], ["9007199254740993"]]


def test_lists_without_any_element() -> None:
    table = pa.table({"l": pa.array([[], None], pa.list_(pa.string())), "n": [1, 2]})
    assert read(as_csv(table))[1:] == [["[]", "1"], ["", "2"]]


def test_times_are_exact_and_say_that_they_are_utc() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
    table = pa.table({"t": pa.array([moment], pa.timestamp("us", "UTC"))})
    assert read(as_csv(table))[1] == ["2026-03-01 12:00:00.123456Z"]


def test_every_row_of_every_table_in_both_formats(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 600, sample_lake.Shape(hostile=sample_lake.HOSTILE), lots=3)
    for table in ALL:
        snapshot = tables.snapshot(settings, table)
        for name, write in export.WRITERS.items():
            path = tmp_path / f"{table.name}.{name}"
            seen: list[int] = []
            with export.batches(snapshot) as (schema, batches), path.open("wb") as out:
                assert write(schema, batches, out, seen.append) == snapshot.rows
            assert seen[-1] == snapshot.rows
        rows = read((tmp_path / f"{table.name}.csv").read_bytes())
        assert len(rows) == snapshot.rows + 1
        assert pq.read_table(tmp_path / f"{table.name}.parquet").num_rows == snapshot.rows


def test_hostile_names_in_the_csv_of_bronze(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 600, sample_lake.Shape(hostile=sample_lake.HOSTILE), lots=1)
    out = io.BytesIO()
    with export.batches(tables.snapshot(settings, BRONZE)) as (schema, batches):
        export.write_csv(schema, batches, out)
    header, *rows = read(out.getvalue())
    names = {row[header.index("pays")] for row in rows}
    for name in sample_lake.HOSTILE:
        assert (f"'{name}" if name[0] in "=+-@\t\r" else name) in names
    assert not [name for name in names if name[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert "-" in {row[header.index("montant")][:1] for row in rows}
