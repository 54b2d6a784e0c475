"""The position of a table: from statistics if they are sufficient, else from its rows; and the next ranges."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from harness.shipped import BRONZE, REJETS
from harness.silver_engine import START, bronze_rows
from harness.silver_run import settings_of
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_row_groups import oldest
from ventes.engines.lot_range import next_lot_range
from ventes.engines.lot_rows import lot_rows
from ventes.lake import tables
from ventes.lake.positions import Position, as_transactions, behind, furthest, of_log, positions, read_through
from ventes.stream.declaration import Stream


@pytest.fixture
def bronze(tmp_path: Path) -> Path:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    return settings.bronze


def add(path: Path, version: int, *keys: tuple[str, int, int], **more: Any) -> None:
    sales = [{"topic_id": t, "partition": p, "offset": o} | more for t, p, o in keys]
    commit.append(Log.open(path), BRONZE, bronze_rows(sales), "job", version)


def test_missing_table_has_no_position(tmp_path: Path) -> None:
    assert positions(tmp_path / "nothing") == {}


def test_clear_and_mixed_files_and_files_without_statistics(bronze: Path) -> None:
    add(bronze, 1, ("A", 0, 0), ("A", 0, 1))
    add(bronze, 2, ("A", 0, 2), ("A", 1, 70), ("B", 0, 5))
    assert positions(bronze) == {("A", 0): 2, ("A", 1): 70, ("B", 0): 5}
    plain = bronze_rows([{"topic_id": "A", "partition": 1, "offset": 71}])
    write_deltalake(bronze, plain, mode="append", configuration=None)
    text = (bronze / "_delta_log" / f"{3:020d}.json").read_text()
    assert "numRecords" in text
    stripped = "\n".join(line if not line.startswith('{"add"') else _without_stats(line) for line in text.splitlines())
    (bronze / "_delta_log" / f"{3:020d}.json").write_text(stripped)
    assert positions(bronze) == {("A", 0): 2, ("A", 1): 71, ("B", 0): 5}
    assert Snapshot.open(bronze, BRONZE).rows == 6


def _without_stats(line: str) -> str:
    action = json.loads(line)
    action["add"]["stats"] = None
    return json.dumps(action)


def test_only_lots_up_to_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    tables.ensure(settings, REJETS)
    path = tables.path_of(settings, REJETS)
    for version, lots in ((1, [1, 1]), (2, [2, 3]), (3, [4, 4])):
        rows = [
            dict.fromkeys(REJETS.schema.names)
            | {"topic_id": "A", "partition": 0, "offset": version * 10 + n, "lot": lot}
            for n, lot in enumerate(lots)
        ]
        commit.append(Log.open(path), REJETS, pa.Table.from_pylist(rows, schema=REJETS.schema), "job", version)
    assert positions(path) == {("A", 0): 31}
    assert positions(path, max_lot=3) == {("A", 0): 21}
    assert positions(path, max_lot=2) == {("A", 0): 20}
    assert positions(path, max_lot=0) == {}


def test_merge_and_distance() -> None:
    assert furthest({("A", 0): 3}, {("A", 0): 2, ("B", 0): 1}) == {("A", 0): 3, ("B", 0): 1}
    assert behind({("A", 0): 3}, {("A", 0): 5, ("A", 1): 0}) == 3


def test_ranges_share_partitions_and_skip_gaps(bronze: Path) -> None:
    add(bronze, 1, *(("A", 0, n) for n in range(1000, 1010)))
    add(bronze, 2, *(("A", 1, n) for n in range(4)))
    log = Log.open(bronze)
    files = list(log.files.values())
    head = of_log(log)
    first = next_lot_range({}, head, files, 8)
    assert first is not None
    assert first.after == {("A", 0): 999, ("A", 1): -1}
    assert first.upto == {("A", 0): 1003, ("A", 1): 3}
    second = next_lot_range(furthest({}, first.upto), head, files, 8)
    assert second is not None
    assert second.upto == {("A", 0): 1009}
    assert next_lot_range(head, head, files, 8) is None


def test_a_recreated_topic_comes_after_the_previous_one(bronze: Path) -> None:
    add(bronze, 1, ("Z-first", 0, 0), kafka_ts=START)
    add(bronze, 2, ("A-second", 0, 0), kafka_ts=START + timedelta(hours=1))
    log = Log.open(bronze)
    lot_range = next_lot_range({}, of_log(log), log.files.values(), 100)
    assert lot_range is not None
    assert lot_range.upto == {("Z-first", 0): 0}


def test_the_older_topic_comes_first_whatever_files_another_program_has_merged(bronze: Path) -> None:
    """By the bounds of the merged file the growing topic is as old as the oldest, and its name comes first."""
    add(bronze, 1, ("Z-first", 0, 0), kafka_ts=START)
    add(bronze, 2, ("B-second", 0, 0), kafka_ts=START + timedelta(hours=1))
    add(bronze, 3, ("A-third", 0, 0), kafka_ts=START + timedelta(hours=2))
    DeltaTable(bronze).optimize.compact()
    add(bronze, 4, ("A-third", 0, 1), kafka_ts=START + timedelta(hours=3))
    log = Log.open(bronze)
    taken: Position = {}
    order = []
    while lot_range := next_lot_range(taken, of_log(log), log.files.values(), 100, oldest=partial(oldest, log.path)):
        order += [topic for topic, _ in lot_range.upto]
        taken = furthest(taken, lot_range.upto)
    assert order == ["Z-first", "B-second", "A-third"]


def test_a_range_selects_its_rows_and_only_its_files(bronze: Path) -> None:
    for start in range(0, 30, 10):
        add(bronze, start + 1, *(("A", 0, n) for n in range(start, start + 10)))
    log = Log.open(bronze)
    lot_range = next_lot_range({("A", 0): 12}, of_log(log), log.files.values(), 5)
    assert lot_range is not None
    snapshot = Snapshot.open(bronze, BRONZE)
    assert len(snapshot.paths(lot_range.holds)) == 1
    rows = lot_rows(snapshot, lot_range)
    assert rows["offset"].to_pylist() == [13, 14, 15, 16, 17]


def test_a_position_read_through_is_found_whatever_the_stream_is_called(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    tables.ensure(settings, BRONZE)
    log = Log.open(settings.bronze)
    orders = Stream("my_orders", "orders", settings.stream.event)
    commit.append_files(log, [], as_transactions(orders, "T", {0: 6, 1: 2}) | {"my_orders-bronze:0af7-9": 4})
    assert {name for name in log.transactions if "bronze" in name} == {
        "my_orders-bronze:T:0", "my_orders-bronze:T:1", "my_orders-bronze:0af7-9",
    }  # fmt: skip
    assert read_through(log) == {("T", 0): 6, ("T", 1): 2}
