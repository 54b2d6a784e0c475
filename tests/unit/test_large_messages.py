"""What is held at once is bounded in bytes: lots, row groups and merges, however large the messages are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from harness.ingested import TOPIC, ingest, sale
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_run import loop_of, rows_of, settings_of
from ventes.config import PROJECT, Settings
from ventes.deltalog import compaction, data_files
from ventes.deltalog.actions import DataFile
from ventes.deltalog.log import Log
from ventes.engines.bronze_row_groups import NEWEST_FILES, BronzeRowGroups, recent_message_bytes
from ventes.engines.bronze_rows import pieces
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.lot_range import LOT_BYTES, Bounds, LotRange, RowGroup, next_lot_range
from ventes.engines.spark import kafka_source
from ventes.lake import tables
from ventes.lake.positions import Position, furthest, of_log
from ventes.query import export

MB = 1_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


# -- lots -----------------------------------------------------------------------------------------

GROUP, LOT = 60, 200
"""Bytes of a row group of several messages, and of a lot, in the drawn topics."""
MESSAGES = st.lists(st.sampled_from([1, 2, 50, 59, 300]), max_size=40)


def grouped(partition: int, sizes: Sequence[int]) -> list[RowGroup]:
    """Row groups as the writer makes them: several messages only where they have at most GROUP bytes together."""
    groups: list[RowGroup] = []
    start = 0
    for number in range(1, len(sizes) + 1):
        if number == len(sizes) or sum(sizes[start : number + 1]) > GROUP:
            bounds = Bounds((TOPIC, TOPIC), (partition, partition), (start, number - 1))
            groups.append(RowGroup(bounds, number - start, sum(sizes[start:number])))
            start = number
    return groups


@given(topic=st.lists(MESSAGES, min_size=1, max_size=4))
def test_every_message_is_in_one_lot_and_no_lot_is_too_large(topic: list[list[int]]) -> None:
    groups = [group for partition, sizes in enumerate(topic) for group in grouped(partition, sizes)]
    head = {(TOPIC, partition): len(sizes) - 1 for partition, sizes in enumerate(topic) if sizes}
    position: Position = {}
    taken: list[tuple[int, int]] = []
    while lot := next_lot_range(position, head, [], 30, LOT, lambda files: groups):
        messages = [
            (partition, offset)
            for (_, partition), last in lot.upto.items()
            for offset in range(lot.after[TOPIC, partition] + 1, last + 1)
        ]
        size = sum(topic[partition][offset] for partition, offset in messages)
        # the bytes of a row group are taken as evenly spread: the last one of each partition may be wrong
        assert messages
        assert len(messages) == 1 or size <= LOT + GROUP * len(lot.upto)
        assert len(messages) <= 30
        taken += messages
        position = furthest(position, lot.upto)
    assert sorted(taken) == [
        (partition, offset) for partition, sizes in enumerate(topic) for offset in range(len(sizes))
    ]


def test_ordinary_lots_are_not_cut(settings: Settings) -> None:
    ingest(settings, [sale(number) for number in range(1, 2001)])
    log = Log.open(settings.bronze)
    (file,) = log.files.values()
    assert sum(group.size for group in BronzeRowGroups().of(log.path, [file])) < 2000 * 500


def test_a_lot_reads_the_footers_of_its_own_files_only(settings: Settings) -> None:
    for block in range(5):
        ingest(settings, [sale(block * 10 + number) for number in range(1, 11)], first=10 * block)
    log = Log.open(settings.bronze)
    asked: list[str] = []

    def row_groups(files: Sequence[DataFile]) -> list[RowGroup]:
        asked.extend(file.path for file in files)
        return BronzeRowGroups().of(log.path, files)

    lot = next_lot_range({(TOPIC, 0): 19}, of_log(log), log.files.values(), 10, LOT, row_groups)
    assert lot == LotRange({(TOPIC, 0): 19}, {(TOPIC, 0): 20})  # a sale alone is larger than LOT
    (path,) = asked
    assert log.files[path].bounds("offset") == (20, 29)


def test_large_messages_of_another_partition_do_not_make_lots_small(settings: Settings) -> None:
    """Another program merges large messages of two partitions: the file's bounds hold the small ones between them."""
    ingest(settings, [sale(number, remarque="x" * 3 * MB) for number in range(1, 11)], partition=2)
    ingest(settings, [sale(number, remarque="x" * 3 * MB) for number in range(21, 31)], first=9000)
    DeltaTable(settings.bronze).optimize.compact()
    ingest(settings, [sale(number) for number in range(101, 3101)], partition=1)
    log = Log.open(settings.bronze)
    groups = BronzeRowGroups()
    position = {(TOPIC, 0): 8999, (TOPIC, 2): 9}
    lot = next_lot_range(
        position, of_log(log), log.files.values(), 5000, LOT_BYTES, lambda files: groups.of(log.path, files)
    )
    assert lot is not None
    assert lot.upto[TOPIC, 1] == 2999, "of the small ones only as many as if they were large"
    assert 9001 < lot.upto[TOPIC, 0] < 9009, "some of the large ones, not all"


def test_a_lot_reads_no_messages_of_a_file_that_only_seems_to_have_some(settings: Settings) -> None:
    """Otherwise each lot would read all of a large file that another program has merged."""
    ingest(settings, [sale(number) for number in range(1, 5001)], partition=2)
    ingest(settings, [sale(number) for number in range(6001, 11_001)], first=9000)
    DeltaTable(settings.bronze).optimize.compact()
    merged = set(Log.open(settings.bronze).files)
    ingest(settings, [sale(number) for number in range(20_001, 20_101)], first=500, partition=1)
    snapshot = tables.snapshot(settings, BRONZE)
    (path,) = merged
    with pq.ParquetFile(settings.bronze / path) as file:
        group = file.metadata.row_group(0)
        assert (file.num_row_groups, group.num_rows) == (1, 10_000)
        names = [file.schema.column(number).path for number in range(group.num_columns)]
        chunk = group.column(names.index("value"))
        start, size = chunk.dictionary_page_offset or chunk.data_page_offset, chunk.total_compressed_size
    with (settings.bronze / path).open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\0" * size)
    lot = LotRange({(TOPIC, 1): 499}, {(TOPIC, 1): 599})
    assert sum(piece.num_rows for piece in pieces(snapshot, lot, ("value",))) == 100
    with pytest.raises((OSError, pa.ArrowException)):
        list(pieces(snapshot, LotRange({(TOPIC, 0): 8999}, {(TOPIC, 0): 9000}), ("value",)))


# -- files ----------------------------------------------------------------------------------------


def row_groups_of(log: Log) -> list[tuple[int, int]]:
    """(rows, bytes of the raw messages) of each row group."""
    found = []
    for path in log.files:
        with pq.ParquetFile(log.path / path) as file:
            for number in range(file.num_row_groups):
                values = file.read_row_group(number, columns=["value"])["value"]
                found.append((len(values), values.nbytes))
    return found


def test_row_groups_of_large_messages_are_small_before_and_after_a_merge(settings: Settings) -> None:
    """The filler is the same in all messages: a dictionary would make them look small."""
    for block in range(4):
        ingest(settings, [sale(6 * block + n, remarque="x" * 3 * MB) for n in range(6)], first=6 * block)
    log = Log.open(settings.bronze)
    assert len(row_groups_of(log)) > 4
    merged = compaction.merge_files(log.path, BRONZE, list(log.files.values()))
    log.commit([*(file.remove(False) for file in log.files.values()), merged.add(False)], "OPTIMIZE")
    assert list(log.files) == [merged.path]
    groups = row_groups_of(log)
    assert sum(rows for rows, _ in groups) == 24
    assert max(size for _, size in groups) <= data_files.ROW_GROUP_BYTES
    assert len(groups) <= 24 / 2
    sizes = [group.size for group in BronzeRowGroups().of(log.path, [merged])]
    assert all(told >= size for told, (_, size) in zip(sizes, groups, strict=True)), "the footer tells them smaller"


def test_many_small_files_are_merged_into_few_row_groups(settings: Settings) -> None:
    for block in range(10):
        ingest(settings, [sale(10 * block + n) for n in range(10)], first=10 * block)
    log = Log.open(settings.bronze)
    merged = compaction.merge_files(log.path, BRONZE, list(log.files.values()))
    assert pq.read_metadata(log.path / merged.path).num_row_groups == 1


# -- Spark's batches ------------------------------------------------------------------------------


def test_a_batch_of_spark_has_fewer_of_larger_messages(settings: Settings) -> None:
    def most() -> int:
        known = recent_message_bytes(Log.open(settings.bronze))
        return int(kafka_source.options(settings, {0: 0}, known)["maxOffsetsPerTrigger"])

    tables.ensure(settings, BRONZE)
    assert most() == settings.spark.max_rows_per_batch
    ingest(settings, [sale(number) for number in range(100)])
    assert most() == settings.spark.max_rows_per_batch
    for block in range(NEWEST_FILES):
        ingest(settings, [sale(100 + block, remarque="x" * MB)], first=100 + block)
    assert 1_900 / 2 < most() < 2_000  # of value and _extra, 1 MB each
    for file in tables.snapshot(settings, BRONZE).paths():
        Path(file).unlink()
    assert most() == settings.spark.max_rows_per_batch


# -- exports --------------------------------------------------------------------------------------


def test_an_export_holds_few_large_messages_at_once(settings: Settings) -> None:
    for block in range(6):
        ingest(settings, [sale(5 * block + n, remarque="x" * 4 * MB) for n in range(5)], first=5 * block)
    with export.batches(tables.snapshot(settings, BRONZE)) as (_, rows):
        sizes = [(batch.num_rows, batch.nbytes) for batch in rows]
    assert sum(count for count, _ in sizes) == 30
    # `value` and `_extra` hold the filler, which the footer tells once where it is the same in both rows of a group
    assert max(size for _, size in sizes) <= 2 * export.BATCH_BYTES


# -- the job --------------------------------------------------------------------------------------

RUN = """
import sys
from harness.silver_run import loop_of, settings_of
from ventes.engines.bronze_rows import pieces
from ventes.engines.embedded.silver import EmbeddedSilver
from pathlib import Path
settings = settings_of(Path(sys.argv[1]))
loop_of(settings, EmbeddedSilver, max_rows=settings.embedded.max_rows_per_batch).run()
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_a_backlog_of_messages_of_5_mb_needs_less_than_600_mb(settings: Settings, tmp_path: Path) -> None:
    """100 of them: in one lot they took 1.7 GB."""
    filler = json.dumps({"text": "x" * 5 * MB})
    for block in range(25):
        ingest(settings, [sale(4 * block + n, remarque=filler) for n in range(1, 5)], first=4 * block)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) < 600_000
    assert tables.snapshot(settings, CLEAN).rows == 100


def test_rejected_large_messages_keep_their_bytes(settings: Settings) -> None:
    values = [b"x" * 3 * MB + b"%d" % number for number in range(40)]
    ingest(settings, values)
    loop = loop_of(settings, EmbeddedSilver, max_rows=100)
    loop.run()
    rejected = rows_of(settings, REJETS)
    assert [row["value"] for row in rejected] == values
    assert len({row["lot"] for row in rejected}) > 1
