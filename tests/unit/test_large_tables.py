"""The figures of tables that are too large to read after each commit: exact, from the files that changed alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import sample_lake
from harness.maintaining import maintenance_of
from harness.shipped import CLEAN
from ventes.config import Settings
from ventes.dashboard import distinct_counts, query_sources
from ventes.dashboard.distinct_counts import Counted, DistinctCounts
from ventes.dashboard.filters import Chosen, Filters
from ventes.dashboard.headline_values import HeadlineValues
from ventes.dashboard.source import LiveTables
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake.tables import path_of

STREAM = Settings().stream
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
TODAY = NOW.date()
FILTERS = {
    "nothing": Filters(),
    "countries": Filters(chosen=(Chosen("pays", "countries", ("France", "Suisse")),)),
    "a category: no roll-up has it": Filters(chosen=(Chosen("categorie", "categories", ("Maison",)),)),
    "until yesterday": Filters(until=TODAY - timedelta(days=1)),
    "hours": Filters(
        TODAY - timedelta(days=1), TODAY, start=NOW - timedelta(hours=20, minutes=3), end=NOW - timedelta(seconds=10)
    ),
}


@pytest.fixture
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_sources, "ADDED_AT_ONCE", 0)


def figures_of(live: LiveTables, filters: Filters) -> tuple[object, ...]:
    """Sales, clients, products, revenue; then sales, clients and revenue of today."""
    found = HeadlineValues(STREAM.shown.figures, STREAM.event, live.read(), filters).of(TODAY)
    return (*found.total[:4], found.day[0], found.day[1], found.day[3])


def counted_from_clean(settings: Settings, filters: Filters) -> tuple[object, ...]:
    """The same from the rows of ventes_clean, with the filters written a second time."""
    passing = [
        row
        for row in Snapshot.open(path_of(settings, CLEAN), CLEAN).arrow().to_pylist()
        if all(not one.values or row[one.field] in one.values for one in filters.chosen)
        and (filters.since or date.min) <= row["jour"] <= (filters.until or date.max)
        and (filters.start is None or row["horodatage"] >= filters.start)
        and (filters.end is None or row["horodatage"] < filters.end)
    ]
    today = [row for row in passing if row["jour"] == TODAY]
    return (
        len(passing),
        len({row["client_id"] for row in passing}),
        len({row["produit_id"] for row in passing}),
        sum(row["montant"] for row in passing),
        len(today),
        len({row["client_id"] for row in today}),
        sum(row["montant"] for row in today),
    )


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
@pytest.mark.usefixtures("every_table_is_large")
def test_the_figures_stay_exact_while_files_come_and_go(tmp_path: Path, filters: Filters) -> None:
    settings = sample_lake.settings_at(tmp_path, maintenance={"compact_every": 2})
    sample_lake.make(settings, 400, sample_lake.Shape(days=3), now=NOW - timedelta(minutes=30), lots=3)
    live = LiveTables(settings)
    assert figures_of(live, filters) == counted_from_clean(settings, filters)
    for step in range(1, 6):
        new = sample_lake.Shape(clients=300 + 20 * step)
        rows = sample_lake.messages(sample_lake.next_offset(settings), 40, NOW - timedelta(minutes=25 - step), new)
        sample_lake.add(settings, rows)
        if step == 3:
            maintenance_of(settings, CLEAN, Log.open(path_of(settings, CLEAN), version=0)).run_due()
        assert figures_of(live, filters) == counted_from_clean(settings, filters)
    later = live.read(datetime.now(timezone.utc))
    assert (
        HeadlineValues(STREAM.shown.figures, STREAM.event, later, filters).of(TODAY).total[0]
        == figures_of(live, filters)[0]
    )


@contextmanager
def unreadable(paths: set[str]) -> Iterator[None]:
    for path in paths:
        os.rename(path, f"{path}.away")
    yield
    for path in paths:
        os.rename(f"{path}.away", path)


@pytest.mark.parametrize("name", ["nothing", "countries", "a category: no roll-up has it"])
@pytest.mark.usefixtures("every_table_is_large")
def test_only_files_that_came_and_went_are_read(tmp_path: Path, name: str) -> None:
    """Of the tables that have most rows; a merge of the clean table reads the merged file alone."""
    settings = sample_lake.settings_at(tmp_path, maintenance={"compact_every": 2})
    sample_lake.make(settings, 20_000, sample_lake.Shape(days=3, clients=15_000), now=NOW, lots=2)
    live = LiveTables(settings)
    tables = [CLEAN.name, "ventes_aggreges"]

    def files() -> set[str]:
        return {path for table in tables for path in live.read()[table].paths()}

    figures_of(live, FILTERS[name])
    for merges in (False, True):
        before = files()
        sample_lake.add(settings, sample_lake.messages(sample_lake.next_offset(settings), 3, NOW))
        if merges:
            maintenance_of(settings, CLEAN, Log.open(path_of(settings, CLEAN), version=0)).run_due()
        stayed = before & files()
        assert stayed
        with unreadable(stayed):
            found = figures_of(live, FILTERS[name])
        assert found == counted_from_clean(settings, FILTERS[name])


# -- counts of different values ----------------------------------------------------------------

NUMBERS = Table("numbers", pa.schema([pa.field("v", pa.int64())]), ("v",))
ALL = Counted("all", 'SELECT "v" AS value FROM ({})'.format)
AS_TEXTS = Counted("texts", "SELECT 'n' || \"v\" AS value FROM ({})".format)
KINDS = pytest.mark.parametrize("every", [ALL, AS_TEXTS], ids=["numbers", "texts"])


class Files:
    """A table of files with numbers, as snapshots."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 0

    def of(self, *files: list[int | None]) -> Snapshot:
        """The next version: a file for each list, called after its numbers."""
        self._version += 1
        listed = []
        for numbers in files:
            name = f"{'-'.join(map(str, numbers))}.parquet"
            pq.write_table(pa.table({"v": pa.array(numbers, pa.int64())}), self._folder / name)
            listed.append(DataFile(name, 1, {}, 0))
        at = NOW + timedelta(seconds=self._version)
        return Snapshot(self._folder, self._version, at, tuple(listed), {}, ("v",), NUMBERS)


@KINDS
def test_values_that_are_lost_are_not_counted_any_more(tmp_path: Path, every: Counted) -> None:
    files, counts = Files(tmp_path), DistinctCounts()
    with connect() as con:
        assert counts.of(con, files.of([1, 2, None], [2, 3]), every) == 3
        assert counts.of(con, files.of([1, 2, None], [2, 3, 4]), every) == 4, "rewritten, with one more"
        assert counts.of(con, files.of([1, 2, None], [2]), every) == 2, "3 and 4 are in no file now"
        assert counts.of(con, files.of([5]), every) == 1
        assert counts.of(con, files.of(), every) == 0
        assert counts.of(con, files.of([5, 6], [6, 7]), every) == 3


@KINDS
def test_a_file_that_is_gone_from_the_disk_does_not_matter(tmp_path: Path, every: Counted) -> None:
    files, counts = Files(tmp_path), DistinctCounts()
    with connect() as con:
        counts.of(con, files.of([1, 2], [3]), every)
        (tmp_path / "3.parquet").unlink()
        assert counts.of(con, files.of([1, 2], [4]), every) == 3


@KINDS
def test_a_viewer_who_has_an_earlier_commit_gets_its_count(tmp_path: Path, every: Counted) -> None:
    files, counts = Files(tmp_path), DistinctCounts()
    earlier, later = files.of([1]), files.of([1], [2])
    with connect() as con:
        assert [counts.of(con, one, every) for one in (earlier, later, earlier, later)] == [1, 2, 1, 2]


@KINDS
def test_a_table_that_is_made_again_is_counted_again(tmp_path: Path, every: Counted) -> None:
    files, counts = Files(tmp_path), DistinctCounts()
    with connect() as con:
        counts.of(con, files.of([1, 2], [3]), every)
        assert counts.of(con, replace(files.of([1], [4]), version=0), every) == 2


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_counts, "KEPT_VALUES", 5)
    monkeypatch.setattr(distinct_counts, "KEPT_COUNTS", 3)
    files, counts = Files(tmp_path), DistinctCounts()
    snapshot = files.of([1, 2, 3])
    with connect() as con:

        def kept() -> int:
            ((tables,),) = con.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
            return int(tables)

        for number in range(4):
            one = Counted(number, f"SELECT 'n' || v AS value FROM ({{}}) WHERE v <= {number}".format)
            assert counts.of(con, snapshot, one) == number
            assert kept() == min(number + 1, 2 if number == 3 else 3)
        assert counts.of(con, files.of([1, 2, 3, 4, 5, 6, 7]), AS_TEXTS) == 7, "the newest, however large"
        assert kept() == 1
