"""All tables at one consistent moment, for `verify`: when the last lot of the clean events was complete."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from ventes.check.filling import START, Unfilled, unfilled
from ventes.check.recompute import stored
from ventes.check.report import Check
from ventes.check.scope import Part
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import history
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot, TableMissing
from ventes.deltalog.table import Table
from ventes.lake import fit, tables
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat
from ventes.supervise.outdated import Changed

FIRST_LOT_SECONDS = 10.0
"""Seconds to wait for the first lot in all tables before it counts as missing."""


class Moment:
    """Snapshots of all tables, as relations of the database `con`:

    all_bronze      all rows of Bronze
    stored(name)    the rows of a table up to the lot; of Bronze the messages that Silver has taken
    placed          position, lot and times of each message in Silver
    taken           partition → the last offset in Silver

    `changed`: what of the settings the running Silver job does not have yet, or None. Raises LakeDamaged.
    """

    def __init__(self, settings: Settings, con: duckdb.DuckDBPyConnection, changed: Changed | None) -> None:
        self._settings, self._con, self._changed = settings, con, changed
        self._declared = contract.of(settings)
        self._app = settings.stream.silver_app
        self._views: dict[str, tuple[Snapshot, str]] = {}
        """Table → its snapshot, and the view of all its rows."""
        self._not_yet: dict[str, str] = {}
        """Roll-ups that the next start makes, as they are declared now: name → a sentence."""
        self._unfilled: dict[str, Unfilled] = {}
        """Roll-ups that the Silver job has not filled → how far it is."""
        self.snapshots, self.lots = self._first_lot_awaited()
        """Silver table → its snapshot, None if it does not exist; → its last lot: the clean events', each roll-up's."""
        self.lot = self.lots[self._declared.clean.name]
        """The last lot; None: Silver is empty."""
        self.bronze = tables.snapshot(settings, self._declared.bronze)
        self._create_relations()

    def _first_lot_awaited(self) -> tuple[dict[str, Snapshot | None], dict[str, int | None]]:
        found, lots = self._silver_now()
        deadline = time.monotonic() + FIRST_LOT_SECONDS
        while None in lots.values() and any(lots.values()) and time.monotonic() < deadline:
            time.sleep(0.2)  # most likely the first lot is being published
            found, lots = self._silver_now()
        return found, lots

    def _silver_now(self) -> tuple[dict[str, Snapshot | None], dict[str, int | None]]:
        """Snapshots of the Silver tables, and the last lot of those that count lots and are not being filled.

        The roll-ups first, then the clean events, then the rejects: so none has a lot that the next one lacks.
        """
        self._unfilled = unfilled(self._settings)
        self._not_yet = self._made_at_the_next_start()
        found: dict[str, Snapshot | None] = {}
        for table in (*self._declared.rollups, *self._declared.outcomes):
            try:
                found[table.name] = tables.snapshot(self._settings, table)
            except TableMissing:
                found[table.name] = None
        unmade = self._unfilled.keys() | self._not_yet.keys()
        counted = [t for t in (self._declared.clean, *self._declared.rollups) if t.name not in unmade]
        return found, {t.name: s.transactions.get(self._app) if (s := found[t.name]) else None for t in counted}

    def _made_at_the_next_start(self) -> dict[str, str]:
        """Roll-ups that are not as they are declared now: name → a sentence. Raises LakeDamaged for any other table."""
        tables.require_fit(self._settings, self._declared.bronze, *self._declared.outcomes)
        if not history.there(path_of(self._settings, self._declared.clean)):
            return {}  # no lot yet: all of them come with the first one
        silver = heartbeat.read(self._settings.state, "silver")
        coming = silver is not None and heartbeat.alive(silver) and self._changed is None
        found = {}
        for table in self._declared.rollups:
            if coming and table.name in self._unfilled:
                continue
            try:
                log = Log.open(path_of(self._settings, table))
            except TableMissing:
                if not coming:
                    found[table.name] = f"{table.name} is declared and not made yet"
                continue
            if fit.is_changed(self._declared, table, log):
                found[table.name] = f"{table.name} is as an earlier declaration has it"
        return found

    def _create_relations(self) -> None:
        con = self._con
        for table in self._declared.silver:
            snapshot = self.snapshots[table.name]
            if snapshot is None:
                con.register(f"no {table.name}", table.schema.empty_table())
                con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "no {table.name}"')
                continue
            self._view_all(table, snapshot, f"all {table.name}")
            with_lots = table in self._declared.outcomes
            until = f" WHERE lot <= {-1 if self.lot is None else self.lot}" if with_lots else ""
            con.execute(f'CREATE TEMP VIEW {stored(table.name)} AS SELECT * FROM "all {table.name}"{until}')
        self._view_all(self._declared.bronze, self.bronze, "all_bronze")
        clean, rejets = stored(self._declared.clean.name), stored(self._declared.rejets.name)
        columns = 'topic_id, "partition", "offset", lot, date_ingestion AS taken_at, date_traitement AS processed_at'
        con.execute(
            f"""
            CREATE TEMP VIEW placed AS SELECT {columns} FROM {clean} UNION ALL SELECT {columns} FROM {rejets};
            CREATE TABLE taken AS
            SELECT topic_id, "partition", max("offset") AS last FROM placed GROUP BY ALL;
            CREATE TEMP VIEW {stored(self._declared.bronze.name)} AS
            SELECT b.* FROM all_bronze b JOIN taken t USING (topic_id, "partition")
            WHERE b."offset" <= t.last;
            """
        )

    def _view_all(self, table: Table, snapshot: Snapshot, name: str) -> None:
        snapshot.view(self._con, name)
        self._views[table.name] = (snapshot, name)

    @contextmanager
    def only(self, part: Part) -> Iterator[str]:
        """The views of the tables with positions read only files that may hold rows of `part`; its condition."""
        with_positions = (self._declared.bronze, *self._declared.outcomes)
        parted = [self._views[table.name] for table in with_positions if table.name in self._views]
        for snapshot, view in parted:
            snapshot.view(self._con, view, part.rows.holds)
        try:
            yield part.condition()
        finally:
            for snapshot, view in parted:
                snapshot.view(self._con, view)

    # -- what is not as it should be ------------------------------------------------------------

    def complaints_about_lots(self) -> Iterator[tuple[str, str]]:
        """Tables without the first lot, and those with a later one than the clean events: a sentence, what to do."""
        missing = [name for name, value in self.lots.items() if value is None]
        if missing and len(missing) < len(self.lots):
            yield f"no lot yet in {', '.join(missing)}", "start the silver job: it completes them"
        last = self.lot
        ahead = [name for name, value in self.lots.items() if value is not None and last is not None and value > last]
        if ahead:
            text = f"{', '.join(ahead)}: a lot after {last}, the last one of {self._declared.clean.name}"
            yield text, "`ventes rebuild silver` makes them agree"

    def unmade(self, table: Table) -> Check | None:
        """Of a roll-up that cannot be compared: why, and what to do."""
        if (why := self._not_yet.get(table.name)) is not None:
            return Check("I5 aggregates", False, why, 0, [self._next_step()], asked=False)
        if (state := self._unfilled.get(table.name)) is not None:
            step = "ask again later" if state.running else START
            what = [f"{state.sentence()}: {step}"]
            return Check("I5 aggregates", False, f"{table.name}: not filled yet", 0, what, asked=False)
        return None

    def _next_step(self) -> str:
        if self._changed is None:
            return "`ventes start`: the Silver job makes it"
        return f"{self._changed.sentence()}: `ventes restart` makes it"

    def unexpected_columns(self, table: Table) -> list[str]:
        """A message for each unexpected stored column, which would otherwise not be compared."""
        snapshot = self.bronze if table is self._declared.bronze else self.snapshots[table.name]
        found = set(snapshot.columns) if snapshot is not None else set()
        known = set(table.schema.names)
        return [f"{table.name} has a column {name!r} that no release wrote" for name in sorted(found - known)]
