"""Silver's lag: Bronze's rows beyond it, and the age of the oldest of them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pytest

from harness.sample_lake import add, messages, settings_at
from harness.shipped import ALL, BRONZE
from ventes.check import lag
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.lake import tables

NOON = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_at(tmp_path)
    for table in ALL:
        tables.ensure(settings, table)
    add(settings, messages(0, 50, NOON))  # in Bronze and in Silver
    return settings


def bronze_only(settings: Settings, first: int, count: int) -> None:
    commit.append(Log.open(settings.bronze), BRONZE, messages(first, count, NOON), "test", first)


def test_caught_up_is_zero(settings: Settings) -> None:
    assert lag.of_silver(settings, NOON.timestamp() + 500) == lag.Lag(0, 0.0)


def test_whole_files_beyond_silver_are_counted_by_their_statistics(settings: Settings) -> None:
    bronze_only(settings, 50, 30)
    bronze_only(settings, 80, 7)
    found = lag.of_silver(settings, NOON.timestamp() + 10)
    assert found.messages == 37
    assert found.seconds == pytest.approx(oldest_age(settings, 50, 10), abs=0.01)


def test_a_file_that_silver_took_half_of_is_counted_by_its_rows(settings: Settings) -> None:
    bronze = tables.snapshot(settings, BRONZE)
    ((topic_id, partition),) = {(file.bounds("topic_id")[0], file.bounds("partition")[0]) for file in bronze.files}  # type: ignore[index]
    found = lag._beyond(bronze, {(topic_id, partition): 39}, NOON.timestamp() + 10)
    assert found.messages == 10
    assert found.seconds == pytest.approx(oldest_age(settings, 40, 10), abs=0.01)


@pytest.mark.parametrize("ahead", [60.0, 86_400.0])
def test_what_arrived_in_the_future_is_counted_and_has_no_age(settings: Settings, ahead: float) -> None:
    """The clock was set back meanwhile, or the broker's clock is ahead."""
    bronze_only(settings, 50, 30)
    before = NOON.timestamp() + 10 - oldest_age(settings, 50, 10) - ahead
    found = lag.of_silver(settings, before)
    assert found == lag.Lag(30, None)
    bronze = tables.snapshot(settings, BRONZE)
    ((topic_id, partition),) = {(file.bounds("topic_id")[0], file.bounds("partition")[0]) for file in bronze.files}  # type: ignore[index]
    assert lag._beyond(bronze, {(topic_id, partition): 69}, before) == lag.Lag(10, None)
    assert lag.of_silver(settings, before + ahead - 0.5) == lag.Lag(30, 0.0), "two clocks are never quite the same"


def oldest_age(settings: Settings, first: int, after_noon: float) -> float:
    """Seconds from the kafka_ts of Bronze's row `first` to `after_noon` seconds after NOON."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        tables.snapshot(settings, BRONZE).view(con, "bronze")
        row = con.execute('SELECT epoch(kafka_ts) FROM bronze WHERE "offset" = ?', [first]).fetchone()
    assert row is not None
    return NOON.timestamp() + after_noon - float(row[0])
