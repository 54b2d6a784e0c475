"""Silver takes each Bronze row exactly once, wherever it is killed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from harness import expected
from harness.shipped import AGGREGES, BRONZE, CLEAN, PAR_PAYS, REJETS, ROLLUPS, SILVER_APP
from harness.silver_engine import START, PlainEngine, bronze_rows, random_sales
from harness.silver_run import UntilIdle, in_order, killed_at, loop_of, rows_of, run, settings_of, stored_rollups
from ventes.config import PROJECT, Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.engines import job
from ventes.engines.lot_range import LotRange
from ventes.engines.silver_loop import LotResult
from ventes.errors import AlreadyRunning, LakeDamaged
from ventes.lake import tables
from ventes.lake.open_tables import OpenTables
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

POINTS = [
    "silver.before_rejets",
    "silver.after_rejets",
    "silver.after_clean",
    *(f"silver.after_rollup.{table.name}" for table in ROLLUPS),
    "silver.after_lot",
    "silver.after_publication",
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    return settings


def fill_bronze(settings: Settings, seed: int = 1, count: int = 300, first: int = 0, partitions: int = 1) -> None:
    rows = bronze_rows(random_sales(seed, count, first, partitions))
    commit.append(Log.open(settings.bronze), BRONZE, rows, "test", first + 1)


def assert_exact(settings: Settings) -> None:
    """Silver = Bronze split row for row, and every aggregate equal to a recomputation from the clean rows."""
    bronze = tables.snapshot(settings, BRONZE).arrow()
    clean, rejected = expected.split(bronze)
    stored = rows_of(settings, CLEAN)
    assert [(row["vente_id"], row["offset"]) for row in stored] == sorted((r["vente_id"], r["offset"]) for r in clean)
    positions = [(row["topic_id"], row["partition"], row["offset"], row["motifs"]) for row in rows_of(settings, REJETS)]
    assert positions == [
        (row["topic_id"], row["partition"], row["offset"], sorted(row["motifs"])) for row in in_order(REJETS, rejected)
    ]
    wanted = expected.rollups(clean)
    for table in ROLLUPS:
        assert stored_rollups(settings)[table.name] == in_order(table, wanted[table.name]), table.name


def test_every_row_is_clean_or_rejected_and_every_sum_is_exact(settings: Settings) -> None:
    for batch in range(3):
        fill_bronze(settings, seed=batch, count=200, first=batch * 200)
        assert run(settings) == 0
    assert_exact(settings)


def test_partitions_are_taken_together(settings: Settings) -> None:
    fill_bronze(settings, count=400, partitions=3)
    assert run(settings, max_rows=10_000) == 0  # one lot: the order of all rows decides which of an id is first
    assert_exact(settings)


def test_files_are_merged_while_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, maintenance={"compact_every": 5})
    tables.ensure(settings, BRONZE)
    rows = bronze_rows([{"offset": n, "vente_id": n} for n in range(5)])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "test", 1)
    monkeypatch.setattr(job, "BEAT_SECONDS", 0.0)
    until = time.monotonic() + 30

    class UntilMerged(Stopper):
        def wait(self, seconds: float) -> bool:
            if time.monotonic() > until or len(Log.open(path_of(settings, CLEAN)).files) == 1:
                self.stop()
            return super().wait(seconds)

    assert loop_of(settings, stopper=UntilMerged(), max_rows=1).run() == 0
    assert len(Log.open(path_of(settings, CLEAN)).files) == 1
    assert_exact(settings)


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_continues_exactly(settings: Settings, tmp_path: Path, point: str) -> None:
    fill_bronze(settings)
    killed_at(point, tmp_path, "at-once")
    assert run(settings) == 0
    assert_exact(settings)
    fill_bronze(settings, seed=5, count=50, first=300)
    assert run(settings) == 0
    assert_exact(settings)


def test_a_lot_number_is_never_used_twice(settings: Settings, tmp_path: Path) -> None:
    fill_bronze(settings)
    subprocess.run(
        [sys.executable, "-m", "harness.silver_run", str(tmp_path)],
        env=os.environ
        | {"VENTES_FAILPOINTS": "silver.after_rejets:kill9", "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"},
        cwd=PROJECT,
        check=False,
    )
    assert Log.open(tables.path_of(settings, REJETS)).transactions[SILVER_APP] == 1
    run(settings)
    assert {row["lot"] for row in rows_of(settings, CLEAN)} == {2, 3, 4}
    assert {row["lot"] for row in rows_of(settings, REJETS)} == {2, 3, 4}


def test_repeating_a_lot_changes_nothing(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    before = {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS, *ROLLUPS)}
    assert run(settings) == 0
    after = {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS, *ROLLUPS)}
    assert after == before


def test_a_lost_rollup_is_built_again(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    shutil.rmtree(tables.path_of(settings, AGGREGES))
    shutil.rmtree(tables.path_of(settings, PAR_PAYS))
    run(settings)
    assert_exact(settings)


def test_a_lost_table_is_reported(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    for table in (CLEAN, REJETS):
        away = tables.path_of(settings, table).rename(settings.lake / "away")
        for _ in range(2):  # a retry does not help
            with pytest.raises(LakeDamaged, match="ventes rebuild silver"):
                run(settings)
        shutil.rmtree(tables.path_of(settings, table), ignore_errors=True)
        away.rename(tables.path_of(settings, table))
    assert run(settings) == 0


def test_duplicates_conflicts_and_late_sales(settings: Settings) -> None:
    sale = {"vente_id": 5, "timestamp": START}
    sales = [
        {"offset": 0, "kafka_ts": START + timedelta(minutes=10), **sale},
        {"offset": 1, **sale, "kafka_ts": START + timedelta(minutes=10, microseconds=1)},
        {"offset": 2, **sale, "kafka_ts": START + timedelta(minutes=11), "montant": Decimal("10.01")},
        {"offset": 3, **sale, "vente_id": 6, "kafka_ts": START + timedelta(minutes=10, microseconds=1)},
        {"offset": 4, **sale, "kafka_ts": START + timedelta(minutes=12), "_extra": '{"a":1}'},
    ]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", 1)
    run(settings, max_rows=2)  # repeats within a lot and across lots
    assert [(row["vente_id"], row["en_retard"]) for row in rows_of(settings, CLEAN)] == [(5, False), (6, True)]
    assert [(row["offset"], row["motifs"]) for row in rows_of(settings, REJETS)] == [
        (1, ["duplicate"]),
        (2, ["conflict"]),
        (4, ["conflict"]),
    ]


def test_unit_prices_are_rounded_half_up(settings: Settings) -> None:
    cases = [("10.00", 3, "3.33"), ("0.01", 2, "0.01"), ("0.05", 2, "0.03"), ("9999999999.99", 1_000_000, "10000.00")]
    sales = [{"offset": n, "montant": Decimal(m), "quantite": q} for n, (m, q, _) in enumerate(cases)]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", 1)
    run(settings)
    assert [row["prix_unitaire"] for row in rows_of(settings, CLEAN)] == [Decimal(price) for _, _, price in cases]


def test_a_bronze_that_is_not_the_one_it_took_from_is_refused(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    shutil.rmtree(settings.bronze)
    assert "does not exist yet" in reason_to_wait(settings)
    tables.ensure(settings, BRONZE)
    rows = bronze_rows([{**sale, "topic_id": "other"} for sale in random_sales(1, 10, 0, 1)])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "test", 1)
    with pytest.raises(LakeDamaged, match="Silver has taken 299"):
        run(settings)


def test_a_bronze_that_was_set_back_is_waited_for(settings: Settings) -> None:
    fill_bronze(settings)
    run(settings)
    shutil.rmtree(settings.bronze)
    tables.ensure(settings, BRONZE)
    sales = random_sales(1, 300, 0, 1)
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales[:10]), "test", 1)
    assert "Bronze was set back" in reason_to_wait(settings)
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales[10:]), "test", 2)
    fill_bronze(settings, seed=2, count=50, first=300)
    assert run(settings) == 0
    assert_exact(settings)


def test_a_full_disk_is_waited_for_and_leaves_nothing_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_bronze(settings)
    before = {path for path in settings.lake.rglob("*") if path.is_file()}
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*_: object) -> None:
        raise full

    tables.ensure(settings, CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert "disk full" in reason_to_wait(settings)
    left = {path for path in settings.lake.rglob("*") if path.is_file()} - before
    assert not [path for path in left if path.suffix in (".parquet", ".tmp")]
    run(settings)
    assert_exact(settings)


def reason_to_wait(settings: Settings) -> str:
    """The heartbeat's reason when the loop is idle for the first time; "" if it does not wait for anything."""
    seen = []

    class Note(UntilIdle):
        def wait(self, seconds: float) -> bool:
            seen.append(reporter.record.reason if reporter.record.phase == "waiting" else "")
            return super().wait(seconds)

    reporter = Reporter(settings.state, "silver")
    assert loop_of(settings, stopper=Note(), reporter=reporter, max_rows=10).run() == 0
    return seen[0]


def test_a_lot_in_progress_is_noted_in_the_heartbeat(settings: Settings) -> None:
    noted: list[float | None] = []

    class Watched(PlainEngine):
        def take(self, lot_range: LotRange, lot: int) -> LotResult:
            record = heartbeat.read(settings.state, "silver")
            assert record is not None
            noted.append(record.working_since)
            return super().take(lot_range, lot)

    fill_bronze(settings, count=200)
    assert run(settings, make_engine=Watched) == 0
    assert len(noted) == 2
    assert all(since is not None and abs(time.time() - since) < 30 for since in noted)
    record = heartbeat.read(settings.state, "silver")
    assert record is not None
    assert record.working_since is None


def test_waits_for_bronze(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert f"{settings.bronze} does not exist yet" in reason_to_wait(settings)
    tables.ensure(settings, BRONZE)
    assert reason_to_wait(settings) == ""


def test_pauses_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, maintenance={"min_free_mb": 10**9})
    tables.ensure(settings, BRONZE)
    fill_bronze(settings, count=10)
    assert "MB free" in reason_to_wait(settings)
    assert not settings.silver.exists()


def test_a_second_instance_is_refused(settings: Settings) -> None:
    with WriterLock(lock_path(settings, "silver")), pytest.raises(AlreadyRunning):
        PlainEngine(settings, OpenTables(settings)).lock()
