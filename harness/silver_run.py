"""Runs Silver on a lake until no work is left. As a script: `python -m harness.silver_run FOLDER [WORDS] [LAKE]`.

FOLDER: of state, logs and, unless LAKE is the address of one on a store, the lake. `at-once`: roll-ups are due with
each lot, so that their steps and the next lots alternate. `tasks`: lots are taken by tasks as on a Spark cluster.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness.shipped import ROLLUPS
from harness.silver_engine import PlainEngine
from ventes import config
from ventes.config import PROJECT, Settings
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.table import Table
from ventes.engines.job import Job
from ventes.engines.lot_range import LOT_BYTES
from ventes.engines.silver_loop import SilverEngine, SilverLoop
from ventes.lake import tables, unpublished
from ventes.lake.open_tables import OpenTables
from ventes.lake.rollups import Publisher
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

Row = dict[str, Any]


class UntilIdle(Stopper):
    """Stops the loop when it first waits for new rows."""

    def wait(self, seconds: float) -> bool:
        self.stop()
        return True


def killed_at(point: str, folder: Path, words: str, lake: str = "") -> None:
    """Run this module as a script, as above, that kill -9 ends the second time that it comes to a failpoint."""
    child = subprocess.run(
        [sys.executable, "-m", "harness.silver_run", str(folder), words, lake],
        env=os.environ | {"VENTES_FAILPOINTS": f"{point}@2:kill9", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=PROJECT,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL


def settings_of(root: Path, lake: str = "", **sections: Any) -> Settings:
    """`lake`: the address of a lake on a store."""
    return config.load(
        paths={"lake": lake or root / "lake", "state": root / "state", "logs": root / "logs"}, **sections
    )


MakeEngine = Callable[[Settings, OpenTables], SilverEngine]


def loop_of(
    settings: Settings,
    make_engine: MakeEngine = PlainEngine,
    stopper: Stopper | None = None,
    reporter: Reporter | None = None,
    max_rows: int = 100,
    max_bytes: int = LOT_BYTES,
) -> SilverLoop:
    """A Silver loop over the lake of `settings`; by default it ends when no work is left."""
    tables = OpenTables(settings)
    reporter = reporter or Reporter(settings.state, "silver")
    job = Job(settings, logging.getLogger("ventes.silver"), reporter, stopper or UntilIdle())
    return SilverLoop(job, make_engine(settings, tables), tables, max_rows=max_rows, max_bytes=max_bytes)


def run(settings: Settings, max_rows: int = 100, make_engine: MakeEngine = PlainEngine) -> int:
    """Process everything; returns the loop's exit code."""
    return loop_of(settings, make_engine, max_rows=max_rows).run()


def publisher_of(settings: Settings) -> Publisher:
    """A publisher with its own tables and database."""
    return Publisher(settings, OpenTables(settings), RecycledDatabase(settings.embedded.memory_mb))


def rows_of(settings: Settings, table: Table) -> list[Row]:
    """All rows of a table in the order of its key."""
    rows: list[Row] = tables.snapshot(settings, table).arrow().to_pylist()
    return in_order(table, rows)


def in_order(table: Table, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[name] for name in table.key])


def stored_rollups(settings: Settings) -> dict[str, list[Row]]:
    return {table.name: rows_of(settings, table) for table in ROLLUPS}


if __name__ == "__main__":
    if "at-once" in sys.argv[2:]:
        unpublished.AFTER = 0.0
    stored = next((argument for argument in sys.argv[2:] if "://" in argument), "")
    engine: MakeEngine = PlainEngine
    if "tasks" in sys.argv[2:]:
        from harness.in_process_tasks import LargeLotsInProcess  # it needs more than the plain engine does

        engine = partial(LargeLotsInProcess, master="spark://nowhere:7077")
    sys.exit(run(settings_of(Path(sys.argv[1]), stored), make_engine=engine))
