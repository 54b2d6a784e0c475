"""Whether a table on disk is the one that the declaration describes. Pure: it judges a log that is open.

A column of another type, or one that is no longer declared, cannot be continued: the job stops before it writes
anything. A new column is added. A roll-up whose declaration changed otherwise is built again from the clean events: the
hash of its declaration is a property of the table. Tables of releases before this property are accepted if their
columns fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from ventes.contract.tables import Tables
from ventes.deltalog.create import columns_of, kinds_of
from ventes.deltalog.log import Log
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.stream.declaration import Aggregate
from ventes.stream.declared import Declared

DECLARATION = "ventes.declaration"
"""The Delta property with a table's declaration: the hash of its columns, and that of what their values mean."""

_MEND_SILVER = "`ventes rebuild silver` makes the Silver tables again, from the messages in Bronze"
_MEND_BRONZE = "declare the field as before, or set paths.lake to a new folder: Bronze keeps what it has read"


def declaration_of(tables: Tables, table: Table) -> str:
    """The value of the property DECLARATION."""
    return f"{_hash(sorted(kinds_of(table).items()))}.{_hash(_meaning(tables, table))}"


def require(tables: Tables, table: Table, log: Log) -> None:
    """Raise LakeDamaged if the table cannot be continued: what differs, and the command that mends it."""
    mend = _MEND_BRONZE if table.name == tables.bronze.name else _MEND_SILVER
    found, wanted = columns_of(log), kinds_of(table)
    if not found.keys() & wanted.keys() and _known(log) is None:
        return  # not a table of this pipeline: refused where it is opened
    for name, kind in found.items():
        if wanted.get(name, kind) != kind:
            raise LakeDamaged(f"column {name} of {log.path} is {kind}, expected {wanted[name]}", mend)
    if table in tables.rollups:
        return
    known, declared = _known(log), declaration_of(tables, table)
    dropped = [name for name in found if name not in wanted]
    if dropped and known != declared:
        raise LakeDamaged(f"{log.path} has the column {dropped[0]}, which is not declared any more", mend)
    if known is not None and known.partition(".")[2] != declared.partition(".")[2]:
        raise LakeDamaged(f"{log.path} was written with another id, time or quotient of the event", mend)


def is_changed(tables: Tables, table: Table, log: Log) -> bool:
    """Whether a roll-up holds what an earlier declaration meant. `log`: of a table that `require` accepts."""
    known = _known(log)
    if known is None:
        found, wanted = set(columns_of(log)), set(table.schema.names)
        return found != wanted and bool(found & wanted)
    return known != declaration_of(tables, table)


def _known(log: Log) -> str | None:
    known = (log.metadata.get("configuration") or {}).get(DECLARATION)
    return None if known is None else str(known)


def _meaning(tables: Tables, table: Table) -> Any:
    event = tables.stream.event
    if table.name == tables.clean.name:
        return [event.id, event.at, *(_plain(quotient) for quotient in event.quotients)]
    declared = next((one for one in tables.stream.tables if one.table == table.name), None)
    return _plain(declared) if declared is not None else list(table.key)


def _plain(part: object) -> Any:
    """A part of a declaration as JSON, without what says the same in other words, and without what is left to default:
    so a later release may add an option."""
    if isinstance(part, Aggregate):
        measures = sorted((_plain(measure) for measure in part.measures), key=json.dumps)
        return [[_plain(by) for by in part.by], part.where, measures]
    if not isinstance(part, Declared):
        return part if isinstance(part, str | int | bool | None) else str(part)
    values = {
        field.name: _plain(getattr(part, field.name))
        for field in fields(part)
        if field.compare
        and field.name != "check_sql"
        and (field.default is MISSING or getattr(part, field.name) != field.default)
    }
    return [type(part).__name__, values]


def _hash(content: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
