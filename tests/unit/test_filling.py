"""A roll-up that is new is filled beside the lots, in parts; meanwhile nobody reports a difference."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ingested import ingest, sale
from harness.shipped import CLEAN, SILVER_APP
from harness.silver_run import UntilIdle, loop_of, rows_of
from tests.unit.test_fit import sales
from ventes.check.doctor import lake as doctor
from ventes.check.lag import Lag
from ventes.check.report import Report
from ventes.check.status import Seen, judge
from ventes.check.verify import Verification
from ventes.cli import status_text
from ventes.config import PROJECT, Settings
from ventes.contract import tables as contract
from ventes.deltalog.log import Log
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.lot_range import next_lot_range
from ventes.lake import clean_lots
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import of_log
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Reporter
from ventes.supervise import services

ADDED = """Aggregate("ventes_par_heure", by=("categorie", ByHour()), measures=(
        Count("n"), Sum("total", "montant"), Distinct("clients", "client_id"))),
        Aggregate(
            "ventes_par_minute","""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Settings]:
    """A lake of 100 sales, and settings that declare one table more, before its Silver job has started."""
    monkeypatch.setattr(clean_lots, "AT_ONCE", 20)
    first = sales(tmp_path, "first")
    ingest(first, [sale(number) for number in range(1, 101)])
    assert loop_of(first, EmbeddedSilver, max_rows=10).run() == 0
    later = sales(
        tmp_path,
        "later",
        ("    ByMinute,\n", "    ByHour, ByMinute,\n"),
        ('Aggregate(\n            "ventes_par_minute",', ADDED),
    )
    return first, later


class WhileFilling(UntilIdle):
    """Stops the loop when nothing is being filled; calls `look` each time that the loop pauses before."""

    def __init__(self, reporter: Reporter, look: Callable[[], None]) -> None:
        super().__init__()
        self._reporter, self._look = reporter, look

    def wait(self, seconds: float) -> bool:
        if not self._reporter.record.filling:
            return super().wait(seconds)
        self._look()
        return False


def verified(settings: Settings) -> Report:
    return Verification(settings, read_topic=False).run()


def test_lots_go_on_while_a_table_is_filled(lake: tuple[Settings, Settings], caplog: pytest.LogCaptureFixture) -> None:
    _, later = lake
    caplog.set_level(logging.INFO, "ventes.silver")
    ingest(later, [sale(number) for number in range(101, 161)], first=100)
    reporter = Reporter(later.state, "silver")
    loop = loop_of(later, EmbeddedSilver, WhileFilling(reporter, lambda: None), reporter, max_rows=10)
    assert loop.run() == 0
    lines = [record.getMessage() for record in caplog.records]
    parts = [place for place, line in enumerate(lines) if "events are added up" in line]
    lots = [place for place, line in enumerate(lines) if line.startswith("lot ")]
    assert len(parts) >= 5
    assert any(parts[0] < lot < parts[-1] for lot in lots)
    assert verified(later).ok, [check for check in verified(later).checks if not check.ok]
    assert sum(row["n"] for row in rows_of(later, contract.of(later).by_name["ventes_par_heure"])) == 160


def test_everybody_says_how_far_it_is(lake: tuple[Settings, Settings]) -> None:
    _, later = lake
    reporter = Reporter(later.state, "silver")
    seen: list[str] = []

    def look() -> None:
        if seen:
            return
        report = verified(later)
        (unknown,) = [check for check in report.checks if not check.ok]
        assert not report.wrong
        assert (unknown.invariant, unknown.asked) == ("I5 aggregates", False)
        seen.extend(unknown.differences)
        record = heartbeat.read(later.state, "silver")
        assert record is not None
        status = judge(services.SILVER, Seen(None, record, record.pid, 0.0), (True, ""), Lag(0), record.beat)
        seen.extend(status_text._details(status, record.beat))
        seen.extend(f.cause for f in doctor.findings(later, repair=False) if f.name == "table ventes_par_heure")

    assert loop_of(later, EmbeddedSilver, WhileFilling(reporter, look), reporter).run() == 0
    assert len([text for text in seen if "being filled" in text and "of 100 events" in text]) == 3
    assert verified(later).ok


def test_a_table_that_is_declared_otherwise_is_being_filled_and_not_waiting_for_a_start(
    lake: tuple[Settings, Settings], tmp_path: Path
) -> None:
    changed = sales(tmp_path, "changed", ('Sum("items_sold", "quantite")', 'Max("items_sold", "quantite")'))
    reporter = Reporter(changed.state, "silver")
    seen: list[str] = []

    def look() -> None:
        if seen:
            return
        report = verified(changed)
        assert not report.wrong
        seen.extend(check.differences[0] for check in report.checks if not check.asked)
        assert len(seen) == len(reporter.record.filling)

    assert loop_of(changed, EmbeddedSilver, WhileFilling(reporter, look), reporter).run() == 0
    assert seen
    assert all("it is being filled" in said for said in seen)
    assert verified(changed).ok


def test_stopped_within_it_leaves_no_file_and_the_next_start_fills_it(lake: tuple[Settings, Settings]) -> None:
    _, later = lake
    table = contract.of(later).by_name["ventes_par_heure"]
    assert loop_of(later, EmbeddedSilver).run() == 0  # stops at its first pause
    assert not list(path_of(later, table).glob("*.parquet"))
    assert SILVER_APP not in Log.open(path_of(later, table)).transactions
    reporter = Reporter(later.state, "silver")
    assert loop_of(later, EmbeddedSilver, WhileFilling(reporter, lambda: None), reporter).run() == 0
    assert verified(later).ok


KILLED_WITHIN = """
import sys
from pathlib import Path
from harness.silver_run import UntilIdle, loop_of, settings_of
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake import clean_lots
from ventes.runtime.stop import Stopper

clean_lots.AT_ONCE = 20
loop_of(settings_of(Path(sys.argv[1])), EmbeddedSilver, Stopper()).run()
"""


@pytest.mark.parametrize(
    ("ended", "how_far"),
    [("stopped", "20 of 100 events"), ("killed", "40 of 100 events")],
)
def test_a_job_that_ended_within_it_is_reported_and_is_no_difference(
    lake: tuple[Settings, Settings], tmp_path: Path, ended: str, how_far: str
) -> None:
    _, later = lake
    if ended == "killed":
        environment = {
            "VENTES_STREAM": str(later.declaration),
            "VENTES_FAILPOINTS": "silver.after_filling@3:kill9",  # the second part is the last one that is reported
            "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}",
        }
        command = [sys.executable, "-c", KILLED_WITHIN, str(tmp_path)]
        assert subprocess.run(command, env=os.environ | environment, check=False).returncode == -signal.SIGKILL
    else:
        reporter = Reporter(later.state, "silver")
        assert loop_of(later, EmbeddedSilver, AfterAPart(reporter), reporter).run() == 0
    said = f"{how_far} when the Silver job ended"
    report = verified(later)
    (unknown,) = [check for check in report.checks if not check.ok]
    assert not report.wrong
    assert unknown.compared == "ventes_par_heure: not filled yet"
    assert said in unknown.differences[0]
    assert "`ventes start`" in unknown.differences[0]
    (finding,) = [one for one in doctor.findings(later, repair=False) if one.name == "table ventes_par_heure"]
    assert (finding.level, said in finding.cause, "`ventes start`" in finding.next_step) == ("warn", True, True)
    reporter = Reporter(later.state, "silver")
    assert loop_of(later, EmbeddedSilver, WhileFilling(reporter, lambda: None), reporter).run() == 0
    assert verified(later).ok


class AfterAPart(UntilIdle):
    """Stops the loop when a part of a table is added up."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def wait(self, seconds: float) -> bool:
        if any(done for done, _ in self._reporter.record.filling.values()):
            self.stop()
        return self.stopping


def test_a_job_that_is_starting_is_waited_for_and_is_no_difference(lake: tuple[Settings, Settings]) -> None:
    _, later = lake
    assert loop_of(later, EmbeddedSilver).run() == 0  # stops at its first pause
    Reporter(later.state, "silver").update(phase="starting")
    report = verified(later)
    (unknown,) = [check for check in report.checks if not check.ok]
    assert not report.wrong
    assert "the Silver job is starting" in unknown.differences[0]


def test_a_rollup_is_verified_as_of_its_own_lot(lake: tuple[Settings, Settings]) -> None:
    first, _ = lake
    ingest(first, [sale(number) for number in range(101, 121)], first=100)
    tables = OpenTables(first)
    engine = EmbeddedSilver(first, tables)
    engine.lock()
    clean, bronze = tables.log(CLEAN), tables.log(contract.of(first).bronze)
    lot_range = next_lot_range(of_log(clean), of_log(bronze), bronze.files.values(), 1_000)
    assert lot_range is not None
    engine.take(lot_range, clean.transactions[SILVER_APP] + 1)  # and no publication: as after kill -9
    engine.close()
    report = verified(first)
    assert report.ok, [check.differences for check in report.checks if not check.ok]
    assert report.lot == 11
    assert report.checks[0].rows == 120
    assert loop_of(first, EmbeddedSilver).run() == 0
    assert verified(first).ok
