"""Events of many days: a file for each day, written together; reads leave out the days that they do not need."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.ingested import ARRIVAL, TOPIC, ingest, sale
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_engine import bronze_rows
from harness.silver_run import loop_of, rows_of, settings_of
from ventes.config import Settings
from ventes.deltalog import data_files
from ventes.deltalog.log import Log
from ventes.engines.bronze_rows import days_of, with_values
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.lot_range import LotRange
from ventes.lake import tables
from ventes.lake.tables import path_of

DAYS = 40


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def of_many_days(count: int) -> list[bytes]:
    """Sales, each of the day before the one of the sale before it, every tenth of them refused."""
    return [
        sale(
            number,
            timestamp=(ARRIVAL - timedelta(days=number % DAYS)).isoformat(),
            **({"quantite": 0} if number % 10 == 3 else {}),
        )
        for number in range(1, count + 1)
    ]


def test_a_batch_and_a_lot_write_one_file_for_each_day(settings: Settings) -> None:
    values = of_many_days(200)
    ingest(settings, values)
    loop_of(settings, EmbeddedSilver, max_rows=1000).run()
    assert len(Log.open(settings.bronze).files) == DAYS
    refused = [number for number in range(1, 201) if number % 10 == 3]
    clean = Log.open(path_of(settings, CLEAN))
    assert len(clean.files) == len({number % DAYS for number in range(1, 201)} - {number % DAYS for number in refused})
    assert [row["vente_id"] for row in rows_of(settings, CLEAN)] == [n for n in range(1, 201) if n not in refused]
    assert [row["value"] for row in rows_of(settings, REJETS)] == [values[number - 1] for number in refused]


def test_rows_of_a_day_keep_their_order_and_their_values(settings: Settings) -> None:
    tables.ensure(settings, BRONZE)
    rows = bronze_rows(
        {"offset": offset, "timestamp": ARRIVAL - timedelta(days=offset * 7 % 5), "value": b"%d" % offset}
        for offset in range(60)
    )
    made = data_files.write(settings.bronze, BRONZE, rows)
    found: dict[str | None, list[tuple[int, bytes]]] = {}
    for file in made:
        read = pq.read_table(settings.bronze / file.path, partitioning=None)
        found[file.partition["jour"]] = list(zip(read["offset"].to_pylist(), read["value"].to_pylist(), strict=True))
        assert file.rows == read.num_rows
        assert file.size == (settings.bronze / file.path).stat().st_size
    wanted: dict[str | None, list[tuple[int, bytes]]] = {}
    for offset in range(60):
        day = (ARRIVAL - timedelta(days=offset * 7 % 5)).date()
        wanted.setdefault(str(day), []).append((offset, b"%d" % offset))
    assert found == wanted


def test_files_and_folders_reach_the_disk_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.ensure(settings, BRONZE)
    synced: Counter[Path] = Counter()
    monkeypatch.setattr(data_files, "sync_file", lambda path: synced.update([path]))
    for first, folders in ((0, 30), (30, 0)):  # the second time all days have a folder
        synced.clear()
        sales = ({"offset": first + n, "timestamp": ARRIVAL - timedelta(days=n % 30)} for n in range(90))
        made = data_files.write(settings.bronze, BRONZE, bronze_rows(sales))
        wanted = {settings.bronze / file.path for file in made} | {
            (settings.bronze / file.path).parent for file in made
        }
        assert synced == Counter(wanted | ({settings.bronze} if folders else set()))


def test_a_batch_that_cannot_be_written_leaves_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.ensure(settings, BRONZE)
    left = [20]

    def full(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_files, "sync_file", full)
    sales = ({"offset": n, "timestamp": ARRIVAL - timedelta(days=n)} for n in range(30))
    with pytest.raises(OSError, match="No space left"):
        data_files.write(settings.bronze, BRONZE, bronze_rows(sales))
    assert not list(settings.bronze.rglob("*.parquet"))


def test_the_bytes_of_rejected_rows_are_read_from_their_days_only(settings: Settings) -> None:
    values = of_many_days(200)
    ingest(settings, values)
    bronze = tables.snapshot(settings, BRONZE)
    everything = LotRange({}, {(TOPIC, 0): 199})
    refused = [number - 1 for number in range(1, 201) if number % 10 == 3]
    rows = bronze.arrow().select(["topic_id", "partition", "offset", "jour"])
    wanted = pa.table(
        {
            "topic_id": [TOPIC] * len(refused),
            "partition": pa.array([0] * len(refused), pa.int32()),
            "offset": pa.array(refused, pa.int64()),
            "value": pa.nulls(len(refused), pa.binary()),
        }
    )
    days = days_of(wanted, rows)
    assert days == {date(2026, 1, 5) - timedelta(days=(offset + 1) % DAYS) for offset in refused}
    for file in bronze.files:
        if date.fromisoformat(str(file.partition["jour"])) not in days:
            (bronze.path / file.path).write_bytes(b"spoilt")
    found = pa.concat_tables(with_values(wanted, bronze, everything, days)).to_pylist()
    assert {row["offset"]: row["value"] for row in found} == {offset: values[offset] for offset in refused}
