"""Tables and results as files: streamed batch by batch, so memory does not grow with the rows.

CSV as RFC 4180 has it, and safe to open in a spreadsheet: a text cell that a spreadsheet would take for a formula
(`= + - @`, TAB or CR in front) gets a leading `'`; numbers stay numbers. Parquet keeps values as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ventes.deltalog.data_files import rows_within
from ventes.deltalog.database import connect
from ventes.query import values
from ventes.query.readable import Readable

BATCH, BATCH_BYTES = 50_000, 64_000_000
"""Rows at a time, fewer where so many bytes (before compression) are in fewer rows of a row group."""
PIECE = 10_000
"""Rows of a piece of CSV: some MB in memory for each reader."""
_FORMULA = r"^[=+\-@\t\r]"


@contextmanager
def batches(table: Readable) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """All rows of a table, all columns of the contract, as they stand in its files."""
    with connect() as con:
        con.execute("SET preserve_insertion_order = false")
        reader = con.execute(table.select()).to_arrow_reader(_rows_at_once(table.paths()))
        yield reader.schema, iter(reader)


def _rows_at_once(paths: Iterable[str]) -> int:
    most = BATCH
    for path in paths:
        try:
            footer = pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            continue  # the query reports it
        groups = (footer.row_group(number) for number in range(footer.num_row_groups))
        most = min([most, *(rows_within(group, BATCH_BYTES) for group in groups)])
    return most


def csv_chunks(schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The UTF-8 CSV piece by piece: the header, then PIECE rows at a time."""
    plain = pa.schema([(_safe_header(field.name), _plain_type(field.type)) for field in schema])
    yield _csv(plain.empty_table(), header=True)
    for batch in rows:
        for first in range(0, batch.num_rows, PIECE):
            yield _csv(_plain(batch.slice(first, PIECE), plain), header=False)


def write_csv(
    schema: pa.Schema, rows: Iterable[pa.RecordBatch], out: IO[bytes], progress: Callable[[int], None] = lambda n: None
) -> int:
    """Header and rows as UTF-8 CSV; returns the number of rows. `progress` is called with the rows written so far."""
    done = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal done
        for batch in rows:
            yield batch  # comes back here once the batch was written
            done += batch.num_rows
            progress(done)

    for chunk in csv_chunks(schema, counted()):
        out.write(chunk)
    return done


def write_parquet(
    schema: pa.Schema, rows: Iterable[pa.RecordBatch], out: IO[bytes], progress: Callable[[int], None] = lambda n: None
) -> int:
    """The rows as one Parquet file; returns their number."""
    done = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
            done += batch.num_rows
            progress(done)
    return done


WRITERS = {"csv": write_csv, "parquet": write_parquet}


def _csv(rows: pa.Table | pa.RecordBatch, header: bool) -> bytes:
    out = pa.BufferOutputStream()
    pcsv.write_csv(rows, out, pcsv.WriteOptions(include_header=header, quoting_style="needed"))
    data: bytes = out.getvalue().to_pybytes()
    return data


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type as it is where CSV has a form for it that no spreadsheet misreads, else text."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return kind if is_number or pa.types.is_boolean(kind) or pa.types.is_temporal(kind) else pa.string()


def _plain(batch: pa.RecordBatch, plain: pa.Schema) -> pa.RecordBatch:
    columns = [_column(column, field.type) for column, field in zip(batch.columns, plain, strict=True)]
    return pa.record_batch(columns, names=plain.names)


def _column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column as CSV shows it: numbers and times (UTC, ending in Z) exactly, text that no spreadsheet runs."""
    if pa.types.is_temporal(column.type) and not _in_calendar(column):
        return _harmless(pa.array([values.text_of(one) for one in column], pa.string()))
    if column.type == kind and not pa.types.is_string(kind):
        return column
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _harmless(column.cast(pa.string()))
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_binary(column.type) and (text := _utf8(column)) is not None:
        return _harmless(text)
    if pa.types.is_list(column.type):
        return _lists(column)
    return _harmless(_texts(column))


def _in_calendar(column: pa.Array) -> bool:
    """Whether all dates or times are in the years 1 to 9999: Arrow writes no other ones right."""
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        return True
    try:
        pc.min_max(column).as_py()
    except (ValueError, OverflowError):
        return False
    return True


def _lists(column: pa.Array) -> pa.Array:
    """Lists as JSON. Nearly all are empty (most messages have no fault and no header) and need no encoding."""
    texts = pc.if_else(column.is_valid(), "[]", pa.scalar(None, pa.string()))
    filled = pc.fill_null(pc.greater(pc.list_value_length(column), 0), False)
    return pc.replace_with_mask(texts, filled, _texts(column.filter(filled)))


def _texts(column: pa.Array) -> pa.Array:
    return pa.array([None if value is None else _text(value) for value in values.python_values(column)], pa.string())


def _utf8(column: pa.Array) -> pa.Array | None:
    """Bytes as text if all of them are: a hundred times faster than value by value."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def _harmless(column: pa.Array) -> pa.Array:
    risky = pc.match_substring_regex(column, _FORMULA)
    return pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)


def _safe_header(name: str) -> str:
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def _text(value: Any) -> str:
    """Bytes as UTF-8 (escaped where they are not), everything nested as JSON."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(
        value, ensure_ascii=False, default=lambda item: _text(item) if isinstance(item, bytes) else str(item)
    )
