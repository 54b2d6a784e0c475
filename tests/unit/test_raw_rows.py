"""Bronze's rows read piece by piece."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from harness.ingested import TOPIC, ingest, sale
from harness.silver_run import settings_of
from ventes.config import Settings
from ventes.contract.tables import of
from ventes.engines import bronze_rows
from ventes.engines.bronze_rows import pieces, with_values
from ventes.engines.lot_range import LotRange
from ventes.lake import tables

BRONZE = of(Settings()).bronze


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def lot_range(after: int, upto: int, partition: int = 0) -> LotRange:
    key = (TOPIC, partition)
    return LotRange({key: after}, {key: upto})


def test_only_the_rows_of_the_range_whatever_the_pieces(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(settings, [sale(number) for number in range(1, 51)])
    ingest(settings, [sale(number) for number in range(51, 101)], first=50)
    ingest(settings, [sale(number) for number in range(101, 151)], partition=1)
    bronze = tables.snapshot(settings, BRONZE)
    for size in (1, 10_000, 16_000_000):
        monkeypatch.setattr(bronze_rows, "PIECE_BYTES", size)
        rows = pa.concat_tables(pieces(bronze, lot_range(9, 59), ("vente_id", "jour"))).to_pylist()
        assert [(row["partition"], row["offset"], row["vente_id"]) for row in rows] == [
            (0, offset, offset + 1) for offset in range(10, 60)
        ]
        assert {str(row["jour"]) for row in rows} == {"2026-01-05"}


def test_values_find_their_rows_in_any_order(settings: Settings) -> None:
    for partition in (0, 1):
        ingest(settings, [b"%d-%d" % (partition, number) for number in range(30)], partition=partition)
    bronze = tables.snapshot(settings, BRONZE)
    both = LotRange({}, {(TOPIC, 0): 29, (TOPIC, 1): 29})
    wanted = [(1, 5), (0, 28), (1, 0), (0, 3)]
    rows = pa.table(
        {
            "topic_id": [TOPIC] * 4,
            "partition": pa.array([partition for partition, _ in wanted], pa.int32()),
            "offset": pa.array([offset for _, offset in wanted], pa.int64()),
            "value": pa.nulls(4, pa.binary()),
        }
    )
    found = pa.concat_tables(with_values(rows, bronze, both)).to_pylist()
    assert {(row["partition"], row["offset"]): row["value"] for row in found} == {
        (partition, offset): b"%d-%d" % (partition, offset) for partition, offset in wanted
    }


def test_large_messages_come_in_small_pieces_and_leave_nothing_behind(settings: Settings) -> None:
    filler = os.urandom(1_000_000).hex()
    ingest(settings, [sale(number, remarque=filler) for number in range(1, 31)])
    bronze = tables.snapshot(settings, BRONZE)
    before = pa.total_allocated_bytes()
    kept = []
    for piece in pieces(bronze, lot_range(-1, 29), ("vente_id", "value", "_extra")):
        assert piece.nbytes < 2 * bronze_rows.PIECE_BYTES
        kept.append(piece.select(["vente_id"]))
        del piece
    assert sum(map(len, kept)) == 30
    assert pa.total_allocated_bytes() - before < 1_000_000
