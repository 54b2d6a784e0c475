"""Silver's state, and making its tables consistent after an interrupted lot.

The last lot is the transaction of ventes_clean. The effects of a crash are repaired from the tables alone.
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

REJECTED_ROWS = "ventes-rejets"
"""Transaction of ventes_clean: how many rows ventes_rejets has with the same lot."""
REBUILD = "`ventes rebuild silver` builds the Silver tables again from Bronze"


@dataclass
class State:
    """Silver after `recover`."""

    last_used: int
    """The highest lot number ever used, also by an interrupted lot; numbers are not used again."""
    position: Position
    repaired: list[str] = field(default_factory=list)
    """The repairs that were made, one sentence each."""


def rejects_of(tables: OpenTables) -> dict[str, int]:
    """What a lot's commit to ventes_clean records about ventes_rejets: its number of rows, including the lot's."""
    return {REJECTED_ROWS: tables.log(REJETS).present_rows}


def recover(tables: OpenTables, publisher: Publisher) -> State:
    """Remove the rejects of an interrupted lot, complete the roll-ups, and return the state. Needs the Silver lock.

    Raises LakeDamaged for a contradiction between tables that no crash can cause: ventes_clean or ventes_rejets holds
    other rows than were written. A changed roll-up is built again from ventes_clean.
    """
    clean = tables.ensure(CLEAN)
    _require_rows(clean)
    committed = clean.transactions.get(SILVER_APP, 0)
    used = [log.transactions.get(SILVER_APP, 0) for log in publisher.logs.values()]
    if not committed and any(used):
        raise LakeDamaged(f"{clean.path} holds no lot, but the aggregates do", REBUILD)
    publisher.require_none_ahead(committed)
    if committed:
        _require_rejects(tables, committed)
    rejets = tables.ensure(REJETS)
    _require_rows(rejets)
    repaired = []
    dropped = _drop_after(rejets, committed)
    if dropped:
        repaired.append(f"{dropped} rows of ventes_rejets belonged to a lot that was not finished; it is repeated")
    expected = clean.transactions.get(REJECTED_ROWS)
    if expected is not None and expected != rejets.present_rows:
        raise LakeDamaged(
            f"{rejets.path} holds {rejets.present_rows} rows, {expected} were written: it is an older copy", REBUILD
        )
    for log in (clean, rejets):
        if log.edited:  # other files with the same rows: the table was optimized
            log.accept()
    if committed:
        repaired += [f"{name} completed up to lot {committed}" for name in publisher.complete(clean, committed)]
    last_used = max(committed, rejets.transactions.get(SILVER_APP, 0), *used)
    return State(last_used, furthest(of_log(clean), of_log(rejets)), repaired)


def _require_rows(log: Log) -> None:
    """Raise LakeDamaged if a table does not hold as many rows as were written to it."""
    if log.edited and (missing := log.missing_rows):
        what = f"{missing} rows fewer" if missing > 0 else f"{-missing} rows more"
        raise LakeDamaged(f"{log.path} holds {what} than were written: it was set back or edited", REBUILD)


def _require_rejects(tables: OpenTables, committed: int) -> None:
    """Raise LakeDamaged if ventes_rejets is missing: a new one would lack its rows for ever."""
    try:
        tables.log(REJETS)
    except TableMissing as error:
        raise LakeDamaged(f"{error.message}, but ventes_clean has {committed} lots", REBUILD) from None


def _drop_after(rejets: Log, committed: int) -> int:
    """Remove the rows with lot > `committed` from ventes_rejets; returns their number."""
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
