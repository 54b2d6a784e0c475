"""Silver's state, and making its tables consistent after an interrupted lot.

The last lot is the transaction of the clean events. The effects of a crash are repaired from the tables alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ventes.deltalog import commit
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.present import local_path
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake import doubled_rows
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import Position, furthest, of_log
from ventes.lake.rollups import Publisher

REBUILD = "`ventes rebuild silver` builds the Silver tables again from Bronze"


@dataclass
class State:
    """Silver after `recover`."""

    committed: int
    """The last lot of the clean events; the roll-ups have it too, but for those that are being filled."""
    last_used: int
    """The highest lot number ever used, also by an interrupted lot; numbers are not used again."""
    position: Position
    repaired: list[str] = field(default_factory=list)
    """The repairs that were made, one sentence each."""


def rejects_of(tables: OpenTables) -> dict[str, int]:
    """What a lot's commit of clean events records about the rejects: their number of rows, including the lot's."""
    declared = tables.declared
    return {declared.stream.rejected_app: tables.log(declared.rejets).present_rows}


def recover(tables: OpenTables, publisher: Publisher) -> State:
    """Remove the rejects of an interrupted lot, complete the roll-ups, and return the state. Needs the Silver lock.

    Raises LakeDamaged for a contradiction between tables that no crash can cause: the clean events or the rejects are
    other rows than were written. A changed roll-up is built again from the clean events.
    """
    declared, app = tables.declared, tables.declared.stream.silver_app
    clean = tables.ensure(declared.clean)
    repaired = _require_rows(clean, declared.clean, declared.stream.accepted_app)
    committed = clean.transactions.get(app, 0)
    used = [log.transactions.get(app, 0) for log in publisher.logs.values()]
    if not committed and any(used):
        raise LakeDamaged(f"{clean.path} holds no lot, but the aggregates do", REBUILD)
    publisher.require_none_ahead(committed)
    if committed:
        _require_rejects(tables, committed)
    rejets = tables.ensure(declared.rejets)
    repaired += _require_rows(rejets, declared.rejets, declared.stream.accepted_app)
    dropped = _drop_after(rejets, declared.rejets, committed)
    if dropped:
        of = f"{dropped} rows of {declared.rejets.name}"
        repaired.append(f"{of} belonged to a lot that was not finished; it is repeated")
    expected = clean.transactions.get(declared.stream.rejected_app)
    if expected is not None and expected != rejets.present_rows:
        raise LakeDamaged(
            f"{rejets.path} holds {rejets.present_rows} rows, {expected} were written: it is an older copy", REBUILD
        )
    for log in (clean, rejets):
        if log.edited:  # other files with the same rows: the table was optimized
            log.accept({declared.stream.accepted_app: log.version})  # the index of ids is built again
    if committed or publisher.needs_filling:
        repaired += [f"{name} completed up to lot {committed}" for name in publisher.complete(clean, committed)]
    last_used = max(committed, rejets.transactions.get(app, 0), *used)
    return State(committed, last_used, furthest(of_log(clean), of_log(rejets)), repaired)


def _require_rows(log: Log, table: Table, accepted_app: str) -> list[str]:
    """Remove rows that a table holds twice; returns the repair, if there was one.

    Raises LakeDamaged if it then does not hold as many rows as were written to it.
    """
    if not log.edited:
        return []
    if doubled := doubled_rows.remove(log, table, {accepted_app: log.version}):
        return [f"{table.name} held {doubled} rows twice, as two programs merged its files"]
    if missing := log.missing_rows:
        what = f"{missing} rows fewer" if missing > 0 else f"{-missing} rows more"
        raise LakeDamaged(f"{log.path} holds {what} than were written: it was set back or edited", REBUILD)
    return []


def _require_rejects(tables: OpenTables, committed: int) -> None:
    """Raise LakeDamaged if the rejects are missing: a new table would lack their rows for ever."""
    try:
        tables.log(tables.declared.rejets)
    except TableMissing as error:
        raise LakeDamaged(f"{error.message}, but {tables.declared.clean.name} has {committed} lots", REBUILD) from None


def _drop_after(rejets: Log, table: Table, committed: int) -> int:
    """Remove the rows with lot > `committed` from the rejects; returns their number."""
    old, kept, dropped = [], [], 0
    for file in rejets.files.values():
        lots = file.bounds("lot")
        if lots is not None and lots[1] <= committed:
            continue
        rows = pq.ParquetFile(local_path(rejets.path, file)).read().cast(table.schema)
        stay = rows.filter(pc.less_equal(rows["lot"], pa.scalar(committed, pa.int64())))
        if stay.num_rows == rows.num_rows:
            continue
        old.append(file)
        dropped += rows.num_rows - stay.num_rows
        if stay.num_rows:
            kept.append(stay)
    if old:
        commit.replace(rejets, table, old, kept)
    return dropped
