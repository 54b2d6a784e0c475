"""Spark's Silver engine: exact for lots of any size, also when a lot is repeated."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark import SparkContext
from pyspark.sql import DataFrame

from harness.lot_counts import assert_reported
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_engine import START, bronze_rows, random_sales
from harness.silver_run import loop_of, settings_of
from tests.unit.test_silver_loop import assert_exact, fill_bronze
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.engines import id_index
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.job import Crashed
from ventes.engines.lot_range import LotRange
from ventes.engines.spark import frames, large_lots, silver
from ventes.engines.spark.session import Session
from ventes.engines.spark.silver import SparkSilver
from ventes.lake import tables
from ventes.lake.open_tables import OpenTables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    return settings


@pytest.fixture(params=["driver", "tasks"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with small lots, and with large ones whose doubtful rows go to several tasks."""
    if request.param == "tasks":
        monkeypatch.setattr(silver, "FEW", -1)
        monkeypatch.setattr(large_lots, "PART_ROWS", 15)


def run(settings: Settings, session: Session, max_rows: int = 100) -> None:
    assert loop_of(settings, partial(SparkSilver, session=session), max_rows=max_rows).run() == 0


@pytest.mark.usefixtures("size")
def test_every_row_is_clean_or_rejected_and_every_sum_is_exact(settings: Settings, session: Session) -> None:
    for batch in range(2):
        fill_bronze(settings, seed=batch, count=200, first=batch * 200)
        run(settings, session, max_rows=400)
    assert_exact(settings)


@pytest.mark.usefixtures("size")
def test_a_lot_without_a_valid_row(settings: Settings, session: Session) -> None:
    rows = bronze_rows([{"offset": 0, "motifs": ["empty"], "vente_id": None, "value": None}])
    commit.append(Log.open(settings.bronze), BRONZE, rows, "test", 1)
    run(settings, session)
    assert Log.open(tables.path_of(settings, CLEAN)).transactions["ventes-silver"] == 1
    assert_exact(settings)


@pytest.mark.usefixtures("size")
def test_rejected_rows_keep_their_bytes(settings: Settings, session: Session) -> None:

    sales = [{"offset": n, "motifs": ["not_json"] if n % 2 else [], "value": b"\xff%d" % n} for n in range(6)]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", 1)
    run(settings, session)
    rejected = tables.snapshot(settings, REJETS).arrow().to_pylist()
    assert {row["offset"]: row["value"] for row in rejected} == {n: b"\xff%d" % n for n in (1, 3, 5)}
    assert_reported(settings)


@pytest.mark.usefixtures("size")
def test_a_lot_taken_twice_changes_nothing(settings: Settings, session: Session) -> None:
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(random_sales(7, 50)), "test", 1)
    run(settings, session)
    engine = SparkSilver(settings, OpenTables(settings), session)
    before = {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS)}
    engine.lock()
    engine.take(LotRange({}, {("T", 0): 49}), 1)
    engine.close()
    assert before == {table.name: Log.open(tables.path_of(settings, table)).version for table in (CLEAN, REJETS)}
    assert_exact(settings)


@pytest.mark.usefixtures("size")
def test_ids_of_days_long_past_are_found(settings: Settings, session: Session) -> None:
    """An id that comes back much later, on another day, is still the same sale."""
    sale = {"offset": 0, "vente_id": 5, "timestamp": START - timedelta(days=400)}
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows([sale]), "test", 1)
    run(settings, session)
    again = [sale | {"offset": 1}, sale | {"offset": 2, "timestamp": START}]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(again), "test", 2)
    run(settings, session)
    assert_exact(settings)


@pytest.mark.usefixtures("size")
def test_both_engines_use_one_index(settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 60)
    for batch in range(4):
        rng = random.Random(batch)
        ids = [rng.choice((rng.randrange(1, 2**53), rng.randrange(1, 200))) for _ in range(100)]
        sales = [{"offset": batch * 100 + number, "vente_id": one} for number, one in enumerate(ids)]
        commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(sales), "test", batch)
        if batch % 2:
            assert loop_of(settings, EmbeddedSilver, max_rows=50).run() == 0
        else:
            run(settings, session, max_rows=50)
    assert_exact(settings)
    assert list((tables.path_of(settings, CLEAN) / id_index.FOLDER).glob("*.run"))


def test_a_small_lot_runs_no_job_of_spark(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one with a message of 5 MB: a new JVM would compile for a minute."""
    large = {"offset": 5, "motifs": ["not_json"], "vente_id": None, "value": b"x" * 5_000_000}
    first = [*random_sales(3, 5), large]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(first), "test", 1)
    assert jobs_of(settings, session, "small") == 0
    rejected = tables.snapshot(settings, REJETS).arrow().to_pylist()
    assert b"x" * 5_000_000 in [row["value"] for row in rejected]
    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(random_sales(4, 5, first=6)), "test", 2)
    monkeypatch.setattr(silver, "FEW", 4)
    assert jobs_of(settings, session, "large") > 0
    assert_exact(settings)


def jobs_of(settings: Settings, session: Session, name: str) -> int:
    """How many jobs Spark ran while Silver took what was new."""
    context = session.spark.sparkContext
    context.setJobGroup(name, name)
    try:
        run(settings, session)
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    return len(context.statusTracker().getJobIdsForGroup(name))


def test_the_error_of_a_task_is_told_when_spark_has_ended(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark's own error has no text without a session, and the job reports it after it has closed that."""

    def fail(lot: object, part: object) -> None:
        raise ValueError("what the task says")

    commit.append(Log.open(settings.bronze), BRONZE, bronze_rows(random_sales(3, 5)), "test", 1)
    monkeypatch.setattr(silver, "FEW", -1)
    monkeypatch.setattr(large_lots, "keys_of_part", fail)
    with pytest.raises(RuntimeError) as raised:
        run(settings, session)
    with monkeypatch.context() as ended:
        ended.setattr(SparkContext, "_gateway", None)
        assert "ValueError: what the task says" in str(raised.value)


def test_the_lock_ends_with_the_jvm(settings: Settings, session: Session) -> None:
    """The driver commits small lots: not after the process that holds the lock has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    engine = SparkSilver(settings, OpenTables(settings), session)
    engine.lock()
    engine.require_lock()
    without = SparkSilver(settings, OpenTables(settings), replace(session, jvm_pid=ended.pid))
    with pytest.raises(Crashed, match=f"JVM pid {ended.pid}"):
        without.require_lock()
    engine.close()


def test_few_rows_too_large_to_collect_are_left_to_spark(session: Session) -> None:
    names = ["key", "value", "headers"]
    columns = pa.schema([BRONZE.schema.field(name) for name in names])

    def rows(count: int, **sizes: int) -> DataFrame:
        parts = {name: f"CAST(repeat('x', {sizes.get(name, 1)}) AS BINARY)" for name in names}
        parts["headers"] = f"array(named_struct('key', 'k', 'value', {parts['headers']}))"
        return session.spark.range(count).selectExpr(*(f"{sql} AS {name}" for name, sql in parts.items()))

    together = rows(2_000, value=60_000)
    assert frames.collect(together, columns) is None
    few = frames.collect(together.limit(1), columns)
    assert few is not None
    assert few["value"].to_pylist() == [b"x" * 60_000]
    for name in names:
        assert frames.collect(rows(1, **{name: 140_000}), columns) is None, name
