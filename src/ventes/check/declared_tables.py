"""Compares a declaration with the tables on disk: what a start would create, add and fill, and what it would refuse.

Read-only: it opens the logs and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ventes.config import Settings
from ventes.contract import tables
from ventes.contract.tables import Tables
from ventes.deltalog.create import columns_of, kinds_of
from ventes.deltalog.log import Log, TableMissing
from ventes.deltalog.table import Table
from ventes.errors import LakeDamaged
from ventes.lake import fit
from ventes.lake.tables import path_of, undeclared

REBUILD = "ventes rebuild silver"


@dataclass(frozen=True)
class Finding:
    """One table, or one difference. `rows`: that a start must read for it. `refused`: nothing starts with it."""

    text: str
    next_step: str = ""
    rows: int = 0
    refused: bool = False


def compare(settings: Settings) -> list[Finding]:
    """The findings, table by table. Raises DeclarationError, and LakeDamaged for a table that cannot be read."""
    ours = tables.of(settings)
    logs = {table.name: _log(settings, table) for table in ours.all}
    findings = [finding for table in ours.all for finding in _of_table(settings, ours, table, logs)]
    left = [Finding(f"{folder.name} is on disk and not declared: left as it is") for folder in undeclared(settings)]
    return [*findings, *left]


def _log(settings: Settings, table: Table) -> Log | None:
    try:
        return Log.open(path_of(settings, table))
    except TableMissing:
        return None


def _of_table(settings: Settings, ours: Tables, table: Table, logs: dict[str, Log | None]) -> Iterator[Finding]:
    log = logs[table.name]
    if log is None:
        yield _new(ours, table, logs)
        return
    try:
        fit.require(ours, table, log)
    except LakeDamaged as refusal:
        yield from _refused(settings, ours, table, log, refusal)
        return
    wanted, found = kinds_of(table), columns_of(log)
    added = [name for name in wanted if name not in found]
    if table in ours.rollups and fit.is_changed(ours, table, log):
        yield _built_again(ours, table, added, [name for name in found if name not in wanted], logs)
    elif added:
        fills = f"`{REBUILD}` fills it where the messages have it" if table is ours.clean else ""
        yield Finding(
            f"{table.name} ({log.rows:,} rows) gets {', '.join(added)}: NULL in the rows that are there", fills
        )
        yield from _of_required(ours, table, added)
    else:
        yield Finding(f"{table.name} fits: {log.rows:,} rows")


def _refused(settings: Settings, ours: Tables, table: Table, log: Log, refusal: LakeDamaged) -> Iterator[Finding]:
    """Every column that differs; the first one is what `refusal` says."""
    wanted, found = kinds_of(table), columns_of(log)
    way_out = _way_out(settings, ours, table)
    other = [name for name in wanted if name in found and wanted[name] != found[name]]
    dropped = [name for name in found if name not in wanted] if table not in ours.rollups else []
    for name in other:
        yield Finding(f"{table.name}.{name} is {found[name]} on disk, declared {wanted[name]}", way_out, refused=True)
    if dropped:
        text = f"{table.name} has columns that are not declared: {', '.join(dropped)}"
        yield Finding(text, f"declare {'it' if len(dropped) == 1 else 'them'} again, or: {way_out}", refused=True)
    if not other and not dropped:
        yield Finding(refusal.message, refusal.hint, refused=True)


def _new(ours: Tables, table: Table, logs: dict[str, Log | None]) -> Finding:
    clean = logs[ours.clean.name]
    if table in ours.rollups and clean is not None:
        return Finding(
            f"{table.name} is created and filled from {clean.rows:,} rows of {clean.path.name}", rows=clean.rows
        )
    bronze = logs[ours.bronze.name]
    if table is ours.clean and bronze is not None:
        return Finding(f"{table.name} is created and filled from {bronze.rows:,} rows of Bronze", rows=bronze.rows)
    return Finding(f"{table.name} is created")


def _built_again(
    ours: Tables, table: Table, added: list[str], dropped: list[str], logs: dict[str, Log | None]
) -> Finding:
    clean = logs[ours.clean.name]
    rows = 0 if clean is None else clean.rows
    what = [f"gets {', '.join(added)}"] if added else []
    what += [f"loses {', '.join(dropped)}"] if dropped else []
    what = what or ["means something else now"]
    return Finding(f"{table.name} {' and '.join(what)}: built again from {rows:,} rows of {ours.clean.name}", rows=rows)


def _of_required(ours: Tables, table: Table, added: list[str]) -> Iterator[Finding]:
    """A new field that is not optional: what it means for messages without it."""
    required = [
        name for name in added if name in ours.stream.event.names and not ours.stream.event.field(name).optional
    ]
    if table is ours.bronze and required:
        yield Finding(
            f"{', '.join(required)}: not optional, so messages without it are rejected from now on",
            f"optional=True takes them; `{REBUILD}` judges the older ones again too",
        )


def _way_out(settings: Settings, ours: Tables, table: Table) -> str:
    if table is not ours.bronze:
        return REBUILD
    return f"Bronze keeps what was read: set another paths.lake in {settings.config_file}, and the topic is read again"
