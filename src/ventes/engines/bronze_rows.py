"""Bronze's rows of a range, read in pieces of limited size, because messages may be large.

Uses pyarrow, not DuckDB, which decodes 2,048 rows at once, even with messages of 10 MB each. For the few rows of a
small lot it is also four times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ventes.contract.tables import POSITION
from ventes.deltalog.actions import DataFile
from ventes.deltalog.data_files import rows_within, with_columns
from ventes.deltalog.present import local_path
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_row_groups import bounds_of_group, has_any, parts_of, places_of
from ventes.engines.lot_range import Bounds, LotRange, bounds_of

PIECE_BYTES = 16_000_000
"""Size of a piece, before compression."""
MOST_ROWS = 65_536
MANY_ROWS = 4_096
"""Row groups of at least so many rows are read with several threads; of smaller ones that takes 60 % more CPU."""


def pieces(
    bronze: Snapshot,
    lot_range: LotRange,
    columns: Sequence[str],
    wanted: Callable[[Bounds], bool] = lambda bounds: True,
    days: Collection[date | None] | None = None,
    groups: Mapping[str, range] | None = None,
) -> Iterator[pa.Table]:
    """The range's rows with topic_id, partition, offset and `columns`, about PIECE_BYTES at a time.

    `wanted`: leaves out files and row groups by the bounds of their rows. `days`: only these. `groups`: path of a file
    → the numbers of the only row groups to read.
    """
    names = [*POSITION, *columns]
    schema = pa.schema([bronze.table.schema.field(name) for name in names])
    stored = [name for name in names if name not in bronze.table.partition_by]

    def needed(bounds: Bounds) -> bool:
        return lot_range.meets(bounds) and wanted(bounds)

    for data_file in bronze.files:
        if not needed(bounds_of(data_file)) or (days is not None and _day(data_file) not in days):
            continue
        jour = pa.scalar(_day(data_file), pa.date32())
        path = local_path(bronze.path, data_file)
        with pq.ParquetFile(path) as file:
            places = places_of(file.metadata)
            for number in range(file.num_row_groups) if groups is None else groups[data_file.path]:
                group = file.metadata.row_group(number)
                bounds = bounds_of_group(group, places)
                if not needed(bounds):
                    continue
                # another program may have brought all partitions and topics together: each lot would read all of it
                if (
                    group.num_rows >= MANY_ROWS
                    and not lot_range.includes(bounds)
                    and not has_any(path, number, lot_range)
                ):
                    continue
                most = min(MOST_ROWS, rows_within(group, PIECE_BYTES))
                threads = group.num_rows >= MANY_ROWS
                for batch in file.iter_batches(most, row_groups=[number], columns=stored, use_threads=threads):
                    read = pa.Table.from_batches([batch]).append_column("jour", pa.repeat(jour, batch.num_rows))
                    rows = with_columns(read, schema)
                    if lot_range.includes(bounds):
                        yield rows
                        continue
                    mask = _inside(lot_range, rows)
                    if mask.any():
                        yield rows if mask.all() else rows.filter(pa.array(mask))


def with_values(
    rows: pa.Table, bronze: Snapshot, lot_range: LotRange, days: Collection[date | None] | None = None
) -> Iterator[pa.Table]:
    """`rows`, all within the range, with `value` filled in; in pieces, in Bronze's order. `days`: theirs, if known."""
    places = _Places(rows)
    column = rows.schema.get_field_index("value")
    for piece in pieces(bronze, lot_range, ("value",), places.may_be_within, days):
        found = places.of(piece)
        wanted = found >= 0
        if wanted.any():
            values = piece["value"].filter(pa.array(wanted))
            yield rows.take(pa.array(found[wanted])).set_column(column, rows.schema.field(column), values)


def days_of(positions: pa.Table, rows: pa.Table) -> set[date | None]:
    """The days of those of the Bronze `rows` whose position is in `positions`."""
    found = _Places(positions).of(rows) >= 0
    return set(rows["jour"].filter(pa.array(found)).unique().to_pylist())


class _Places:
    """The row index of a position in a table."""

    def __init__(self, rows: pa.Table) -> None:
        self._by_part: dict[tuple[str, int], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}
        offsets = rows["offset"].to_numpy()
        for part, mask in parts_of(rows):
            places = np.flatnonzero(mask)
            order = np.argsort(offsets[places])
            self._by_part[part] = offsets[places][order], places[order]

    def may_be_within(self, bounds: Bounds) -> bool:
        """Whether rows within `bounds` may include one of the table."""
        if bounds.offsets is None:
            return True
        low, high = bounds.offsets
        return any(
            bounds.meet(part, low - 1, high) and np.searchsorted(known, low) < np.searchsorted(known, high, "right")
            for part, (known, _) in self._by_part.items()
        )

    def of(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        """The index of each row, -1 for those that are not found."""
        result = np.full(rows.num_rows, -1, dtype=np.int64)
        offsets = rows["offset"].to_numpy()
        for part, mask in parts_of(rows):
            if part not in self._by_part:
                continue
            known, places = self._by_part[part]
            at = np.minimum(np.searchsorted(known, offsets), len(known) - 1)
            result = np.where(mask & (known[at] == offsets), places[at], result)
        return result


def _inside(lot_range: LotRange, rows: pa.Table) -> npt.NDArray[np.bool_]:
    result = np.zeros(rows.num_rows, dtype=np.bool_)
    offsets = rows["offset"].to_numpy()
    for part, mask in parts_of(rows):
        if part in lot_range.upto:
            result |= mask & (offsets > lot_range.after.get(part, -1)) & (offsets <= lot_range.upto[part])
    return result


def _day(file: DataFile) -> date | None:
    text = file.partition.get("jour")
    return date.fromisoformat(text) if text else None
