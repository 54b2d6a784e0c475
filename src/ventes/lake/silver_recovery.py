"""Where Silver stands, and making its tables agree after a lot was interrupted.

The last lot is the transaction of ventes_clean. Whatever a crash left around it is mended from the tables alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.contract.tables import CLEAN, REJETS, SILVER_APP
from ventes.deltalog import commit
from ventes.deltalog.log import Log, TableMissing
from ventes.errors import LakeDamaged
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import Position, furthest, of_log
from ventes.lake.rollups import Publisher


@dataclass
class State:
    """Silver after `recover`."""

    last_used: int
    """The highest lot number ever used, also by a lot that did not come to its end; numbers are not used again."""
    position: Position
    mended: list[str] = field(default_factory=list)
    """What had to be put right, one sentence each."""


def recover(tables: OpenTables, publisher: Publisher) -> State:
    """Drop what an interrupted lot left, complete what it owed, and say where to go on. Needs the Silver lock.

    Raises LakeDamaged where tables contradict each other in a way that no crash explains.
    """
    clean = tables.ensure(CLEAN)
    committed = clean.transactions.get(SILVER_APP, 0)
    used = [log.transactions.get(SILVER_APP, 0) for log in publisher.logs.values()]
    if not committed and any(used):
        raise LakeDamaged(f"{clean.path} holds no lot, but the aggregates do", "ventes rebuild silver")
    if committed:
        _require_rejects(tables, committed)
    rejets = tables.ensure(REJETS)
    mended = []
    dropped = _drop_after(rejets, committed)
    if dropped:
        mended.append(f"{dropped} rows of ventes_rejets belonged to a lot that was not finished; it is taken again")
    if committed:
        mended += [f"{name} completed up to lot {committed}" for name in publisher.complete(clean, committed)]
    last_used = max(committed, rejets.transactions.get(SILVER_APP, 0), *used)
    return State(last_used, furthest(of_log(clean), of_log(rejets)), mended)


def _require_rejects(tables: OpenTables, committed: int) -> None:
    """Raise LakeDamaged if ventes_rejets is gone: made anew it would lack its rows for ever."""
    try:
        tables.log(REJETS)
    except TableMissing as error:
        raise LakeDamaged(f"{error.message}, but ventes_clean has {committed} lots", "ventes rebuild silver") from None


def _drop_after(rejets: Log, committed: int) -> int:
    """Take the rows with lot > `committed` out of ventes_rejets; returns how many there were."""
    old, kept, dropped = [], [], 0
    for file in rejets.files.values():
        lots = file.bounds("lot")
        if lots is not None and lots[1] <= committed:
            continue
        rows = pq.ParquetFile(rejets.path / file.path).read().cast(REJETS.schema)
        stay = rows.filter(pc.less_equal(rows["lot"], pa.scalar(committed, pa.int64())))
        if stay.num_rows == rows.num_rows:
            continue
        old.append(file)
        dropped += rows.num_rows - stay.num_rows
        if stay.num_rows:
            kept.append(stay)
    if old:
        commit.replace(rejets, REJETS, old, kept)
    return dropped
