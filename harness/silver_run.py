"""Runs Silver over a lake until nothing is left to do. As a script: `python -m harness.silver_run LAKE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness.silver_engine import PlainEngine
from ventes import config
from ventes.config import Settings
from ventes.contract.tables import ROLLUPS, Table
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.silver_loop import SilverLoop
from ventes.lake.tables import path_of
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

Row = dict[str, Any]


class UntilIdle(Stopper):
    """Stops the loop at its first rest."""

    def wait(self, seconds: float) -> bool:
        self.stop()
        return True


def settings_of(root: Path, **sections: Any) -> Settings:
    return config.load(paths={"lake": root / "lake", "state": root / "state", "logs": root / "logs"}, **sections)


def run(settings: Settings, max_rows: int = 100) -> int:
    """Work off everything; returns the loop's exit code."""
    reporter = Reporter(settings.state, "silver")
    return SilverLoop(settings, PlainEngine(settings), UntilIdle(), reporter, max_rows=max_rows).run()


def rows_of(settings: Settings, table: Table) -> list[Row]:
    """All rows of a table in the order of its key."""
    rows: list[Row] = Snapshot.open(path_of(settings, table)).arrow().to_pylist()
    return in_order(table, rows)


def in_order(table: Table, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[name] for name in table.key])


def stored_rollups(settings: Settings) -> dict[str, list[Row]]:
    return {table.name: rows_of(settings, table) for table in ROLLUPS}


if __name__ == "__main__":
    sys.exit(run(settings_of(Path(sys.argv[1]))))
