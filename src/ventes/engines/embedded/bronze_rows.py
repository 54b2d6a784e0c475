"""Bronze's rows of a range, read in pieces of limited size, because messages may be large.

Uses pyarrow, not DuckDB, which decodes 2,048 rows at once, even with messages of 10 MB each. For the few rows of a
small lot it is also four times faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.contract.tables import POSITION
from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import rows_within, with_columns
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.lot_range import LotRange

PIECE_BYTES = 16_000_000
"""Size of a piece, before compression."""
MOST_ROWS = 65_536


def pieces(bronze: Snapshot, lot_range: LotRange, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The range's rows with topic_id, partition, offset and `columns`, about PIECE_BYTES at a time."""
    names = [*POSITION, *columns]
    schema = pa.schema([bronze.table.schema.field(name) for name in names])
    stored = [name for name in names if name not in bronze.table.partition_by]
    for data_file in filter(lot_range.holds, bronze.files):
        jour = pa.scalar(_day(data_file), pa.date32())
        with pq.ParquetFile(bronze.path / data_file.path) as file:
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                if not _may_hold(lot_range, group):
                    continue
                most = min(MOST_ROWS, rows_within(group, PIECE_BYTES))
                for batch in file.iter_batches(most, row_groups=[number], columns=stored):
                    read = pa.Table.from_batches([batch]).append_column("jour", pa.repeat(jour, batch.num_rows))
                    rows = with_columns(read, schema)
                    mask = _inside(lot_range, rows)
                    if mask.any():
                        yield rows if mask.all() else rows.filter(pa.array(mask))


def with_values(rows: pa.Table, bronze: Snapshot, lot_range: LotRange) -> Iterator[pa.Table]:
    """`rows`, all within the range, with `value` filled in; in pieces, in Bronze's order."""
    places = _Places(rows)
    column = rows.schema.get_field_index("value")
    for piece in pieces(bronze, lot_range, ("value",)):
        found = places.of(piece)
        wanted = found >= 0
        if wanted.any():
            values = piece["value"].filter(pa.array(wanted))
            yield rows.take(pa.array(found[wanted])).set_column(column, rows.schema.field(column), values)


class _Places:
    """The row index of a position in a table."""

    def __init__(self, rows: pa.Table) -> None:
        self._by_part: dict[tuple[str, int], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}
        offsets = rows["offset"].to_numpy()
        for part, mask in _parts(rows):
            places = np.flatnonzero(mask)
            order = np.argsort(offsets[places])
            self._by_part[part] = offsets[places][order], places[order]

    def of(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        """The index of each row, -1 for those that are not found."""
        result = np.full(rows.num_rows, -1, dtype=np.int64)
        offsets = rows["offset"].to_numpy()
        for part, mask in _parts(rows):
            if part not in self._by_part:
                continue
            known, places = self._by_part[part]
            at = np.minimum(np.searchsorted(known, offsets), len(known) - 1)
            result = np.where(mask & (known[at] == offsets), places[at], result)
        return result


def _parts(rows: pa.Table) -> Iterator[tuple[tuple[str, int], npt.NDArray[np.bool_]]]:
    """Each (topic_id, partition) in `rows`, and which rows are of it."""
    keys = rows.select(["topic_id", "partition"]).group_by(["topic_id", "partition"]).aggregate([])
    for topic, partition in zip(keys["topic_id"].to_pylist(), keys["partition"].to_pylist(), strict=True):
        same = pc.and_(pc.equal(rows["topic_id"], topic), pc.equal(rows["partition"], partition))
        yield (topic, partition), same.to_numpy()


def _inside(lot_range: LotRange, rows: pa.Table) -> npt.NDArray[np.bool_]:
    result = np.zeros(rows.num_rows, dtype=np.bool_)
    offsets = rows["offset"].to_numpy()
    for part, mask in _parts(rows):
        if part in lot_range.upto:
            result |= mask & (offsets > lot_range.after.get(part, -1)) & (offsets <= lot_range.upto[part])
    return result


def _may_hold(lot_range: LotRange, group: pq.RowGroupMetaData) -> bool:
    """Whether a row group may hold rows of the range, by its offsets."""
    statistics = _column(group, "offset").statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return any(
        statistics.max > lot_range.after.get(part, -1) and statistics.min <= upto
        for part, upto in lot_range.upto.items()
    )


def _day(file: DataFile) -> date | None:
    text = file.partition.get("jour")
    return date.fromisoformat(text) if text else None


def _column(group: pq.RowGroupMetaData, name: str) -> pq.ColumnChunkMetaData:
    return next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == name)
