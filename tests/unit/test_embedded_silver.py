"""Lots processed by DuckDB: exact, and at a cost that depends only on the lot."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harness import expected
from harness.ingested import ingest, sale
from harness.shipped import BRONZE, CLEAN, REJETS, ROLLUPS
from harness.silver_run import in_order, loop_of, rows_of, settings_of, stored_rollups
from ventes.config import Settings
from ventes.deltalog.actions import DataFile
from ventes.deltalog.table import Table
from ventes.engines import id_index
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import AlreadyRunning
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.stop import Stopper


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def run(settings: Settings, max_rows: int = 100, rejudge: bool = False) -> None:
    loop_of(settings, partial(EmbeddedSilver, rejudge=rejudge), max_rows=max_rows).run()


def assert_exact(settings: Settings) -> None:
    """Silver = Bronze split row for row with the raw bytes of what was rejected, every aggregate = a recomputation."""
    clean, rejected = expected.split(tables.snapshot(settings, BRONZE).arrow())
    assert [row["vente_id"] for row in rows_of(settings, CLEAN)] == sorted(row["vente_id"] for row in clean)
    columns = ("partition", "offset", "motifs", "value", "vente_id")
    assert [[row[name] for name in columns] for row in rows_of(settings, REJETS)] == [
        [sorted(row[name]) if name == "motifs" else row[name] for name in columns] for row in in_order(REJETS, rejected)
    ]
    wanted = expected.rollups(clean)
    for table in ROLLUPS:
        assert stored_rollups(settings)[table.name] == in_order(table, wanted[table.name]), table.name


def motifs(settings: Settings) -> list[list[str]]:
    return [row["motifs"] for row in rows_of(settings, REJETS)]


def test_sales_duplicates_conflicts_and_rubbish_in_small_lots(settings: Settings) -> None:
    rng = random.Random(4)
    ids = [rng.randrange(1, 150) for _ in range(300)]  # most come twice, in one lot or in two
    values = [sale(number, quantite=rng.choice((1, 2))) for number in ids]
    ingest(settings, [*values[:150], b"{", None, *values[150:], b"\xff"])
    run(settings, max_rows=40)
    assert_exact(settings)
    assert {reason for row in motifs(settings) for reason in row} >= {"duplicate", "conflict", "not_utf8", "empty"}


def test_partitions_share_a_lot(settings: Settings) -> None:
    for partition in range(3):
        ingest(settings, [sale(1 + number * 3 + partition) for number in range(50)], partition=partition)
    run(settings, max_rows=10_000)
    assert_exact(settings)


def test_ids_that_start_again_at_one(settings: Settings) -> None:
    first = [sale(number) for number in range(1, 201)]
    ingest(settings, first)
    run(settings)
    again = [sale(number, pays="Italie") if number % 10 == 0 else sale(number) for number in range(1, 221)]
    ingest(settings, again, first=200)
    run(settings)
    assert_exact(settings)
    assert motifs(settings).count(["conflict"]) == 20
    assert motifs(settings).count(["duplicate"]) == 180


class Then(Stopper):
    """Does the next of `steps` whenever the loop has nothing to do, and then stops it."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self._steps = list(steps)

    def wait(self, seconds: float) -> bool:
        if self._steps:
            self._steps.pop(0)()
        else:
            self.stop()
        return True


def test_new_ids_need_no_file_of_the_past(settings: Settings) -> None:
    rng = random.Random(1)
    ids = rng.sample(range(1, 2**53), 200)
    ingest(settings, [sale(number) for number in ids[:100]])

    def then() -> None:
        for table in (BRONZE, CLEAN, REJETS):
            spoil(settings, table)
        ingest(settings, [sale(number) for number in ids[100:]], first=100)

    loop_of(settings, EmbeddedSilver, stopper=Then(then)).run()
    assert tables.snapshot(settings, CLEAN).rows == 200


def spoil(settings: Settings, table: Table, keep: Collection[DataFile] = ()) -> None:
    """Make every read of a data file of the table fail, but for those of `keep`."""
    for file in tables.snapshot(settings, table).files:
        if file not in keep:
            (path_of(settings, table) / file.path).write_bytes(b"spoilt")


def test_a_late_id_reads_only_the_file_that_may_hold_it(settings: Settings) -> None:
    ids = random.Random(2).sample(range(1, 2**53), 300)

    def lot(number: int) -> Callable[[], None]:
        first = number * 100
        return lambda: ingest(settings, [sale(one) for one in ids[first : first + 100]], first=first)

    def late() -> None:
        spoil(settings, CLEAN, [f for f in tables.snapshot(settings, CLEAN).files if f.bounds("lot") == (2, 2)])
        ingest(settings, [sale(ids[150]), sale(1)], first=300)

    lot(0)()
    loop_of(settings, EmbeddedSilver, stopper=Then(lot(1), lot(2), late)).run()
    assert motifs(settings) == [["duplicate"]]
    assert tables.snapshot(settings, CLEAN).rows == 301


def test_files_of_the_index_across_starts_and_compaction(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 60)
    rng = random.Random(5)
    for part in range(3):
        values = [sale(rng.choice((rng.randrange(1, 2**53), rng.randrange(1, 300)))) for _ in range(150)]
        ingest(settings, values, first=part * 150)
        run(settings, max_rows=50)
        DeltaTable(path_of(settings, CLEAN)).optimize.compact()  # by another program
    assert_exact(settings)
    assert motifs(settings)
    assert list((path_of(settings, CLEAN) / id_index.FOLDER).glob("*.run"))


def test_a_fresh_verdict_where_the_stored_one_is_out_of_date(tmp_path: Path) -> None:
    before = settings_of(tmp_path)
    tomorrow_in_utc = sale(2, timestamp="2026-01-06 14:00:00")
    ingest(before, [sale(1), tomorrow_in_utc, b"rubbish"])
    run(before)
    assert motifs(before) == [["time_out_of_range"], ["not_json"]]

    after = settings_of(tmp_path / "again", source={"time_zone": "Pacific/Kiritimati"})
    after.bronze.parent.mkdir(parents=True)
    after.bronze.symlink_to(before.bronze)
    run(after, rejudge=True)
    assert [row["vente_id"] for row in rows_of(after, CLEAN)] == [1, 2]
    assert [(row["motifs"], row["value"]) for row in rows_of(after, REJETS)] == [(["not_json"], b"rubbish")]
    ingested = {row["vente_id"]: row["date_ingestion"] for row in rows_of(before, CLEAN)}
    assert rows_of(after, CLEAN)[0]["date_ingestion"] == ingested[1]


def test_a_second_instance_refuses(settings: Settings) -> None:
    ingest(settings, [sale(1)])
    path = lock_path(settings, "silver")
    with WriterLock(path), pytest.raises(AlreadyRunning, match="this process holds"):
        run(settings)
