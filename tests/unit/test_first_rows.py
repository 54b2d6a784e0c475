"""The first rows of a large table: exact, from the files that changed alone."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import sample_lake
from harness.shipped import CLEAN
from ventes.config import Settings
from ventes.dashboard import figures, first_rows, query_sources
from ventes.dashboard.choices import MOST, Wanted, offered
from ventes.dashboard.file_cache import FILE, FileCache
from ventes.dashboard.filters import Chosen, Filters
from ventes.dashboard.first_rows import AT_FIRST, AT_MOST, ROWS, FirstRows, Found, Order, Ordered
from ventes.dashboard.questions import Grouped
from ventes.dashboard.source import LiveTables
from ventes.deltalog.actions import DataFile
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake.tables import path_of
from ventes.stream.measures import Count, Distinct, Mean, Measure, Sum

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
EVENT = Settings().stream.event
NAMES = Table("names", pa.schema([pa.field("k", pa.string()), pa.field("v", pa.int64())]), ("k",))
NEEDED = 5

Row = tuple[str, int | None]


class Names:
    """A table with a row for each name, as snapshots of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0

    def of(self, files: dict[str, list[Row]]) -> Snapshot:
        """The next version; a file is written when its name comes first."""
        self._version += 1
        for name, rows in files.items():
            if not (self.folder / name).exists():
                pq.write_table(pa.table({"k": [k for k, _ in rows], "v": pa.array([v for _, v in rows], pa.int64())}),
                               self.folder / name)  # fmt: skip
        listed = tuple(DataFile(name, 1, {}, 0, f'{{"numRecords": {len(rows)}}}') for name, rows in files.items())
        at = NOW + timedelta(seconds=self._version)
        return Snapshot(self.folder, self._version, at, listed, {}, ("k", "v"), NAMES)


def rows_of(select: str) -> str:
    return f'SELECT k, v, "{FILE}" FROM ({select})'


LARGEST = Ordered("largest", ("k", "v"), rows_of, Order("v", sums=", sum(v) AS total"))
SMALLEST = Ordered("smallest", ("k", "v"), rows_of, Order("v", ascending=True, sums=", sum(v) AS total"))


@pytest.fixture(autouse=True)
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_rows, "LARGE", 0)


def assert_first(found: Found | None, files: dict[str, list[Row]], ordered: Ordered) -> None:
    """The first NEEDED by value, then name, are among those found; sums are those of all rows."""
    assert found is not None
    every = [row for rows in files.values() for row in rows]
    assert sum(found.totals[ROWS].to_pylist()) == len(every)
    assert sum(n or 0 for n in found.totals["total"].to_pylist()) == sum(v or 0 for _, v in every)

    def place(row: Row) -> tuple[bool, int, str]:
        value = row[1] or 0
        return row[1] is None, value if ordered.order.ascending else -value, row[0]

    kept = [(row["k"], row["v"]) for row in found.first.to_pylist()]
    assert sorted(kept, key=place)[:NEEDED] == sorted(every, key=place)[:NEEDED]


@pytest.mark.parametrize("ordered", [LARGEST, SMALLEST], ids=["largest", "smallest"])
@pytest.mark.parametrize("seed", range(4))
def test_the_first_rows_stay_exact_while_files_come_and_go(tmp_path: Path, ordered: Ordered, seed: int) -> None:
    """Also where values fall, so that too few are left, or rise, so that too many are, and with rows without one."""
    random, table, first = Random(seed), Names(tmp_path), FirstRows(FileCache())
    files: dict[str, list[Row]] = {}
    with connect() as con:
        for step in range(30):
            for name in random.sample(sorted(files), min(len(files), random.choice([0, 1, 1, 3]))):
                del files[name]
            level = random.choice([10, 1_000, 100_000])
            files[f"{step}.parquet"] = [
                (f"{step}-{n}", random.choice([None, *[random.randrange(level) for _ in range(9)]])) for n in range(40)
            ]
            found = first.of(con, table.of(files), ordered, NEEDED)
            if found is None:  # many rows are equal
                values = [v for rows in files.values() for _, v in rows]
                assert len(values) > NEEDED * AT_MOST
                continue
            assert found.first.num_rows <= NEEDED * AT_MOST
            assert_first(found, files, ordered)


def test_only_new_files_are_read(tmp_path: Path) -> None:
    table, first = Names(tmp_path), FirstRows(FileCache())
    files: dict[str, list[Row]] = {"a": [(f"a{n}", n) for n in range(100)], "b": [(f"b{n}", n) for n in range(60)]}
    with connect() as con:
        first.of(con, table.of(files), LARGEST, NEEDED)
        (tmp_path / "a").unlink()
        changed = {"a": files["a"], "b2": [*files["b"][1:], ("b0", 500)]}
        found = first.of(con, table.of(changed), LARGEST, NEEDED)
    assert_first(found, changed, LARGEST)


def test_where_too_many_rows_are_equal_none_are_kept_until_the_table_is_another_one(tmp_path: Path) -> None:
    table, first = Names(tmp_path), FirstRows(FileCache())
    equal: dict[str, list[Row]] = {"a": [(f"a{n}", 1) for n in range(NEEDED * AT_MOST + 1)]}
    with connect() as con:
        snapshot = table.of(equal)
        assert first.of(con, snapshot, LARGEST, NEEDED) is None
        os.rename(tmp_path / "a", tmp_path / "away")
        assert first.of(con, snapshot, LARGEST, NEEDED) is None, "it was not read again"
        other: dict[str, list[Row]] = {"b": [(f"b{n}", n) for n in range(NEEDED * AT_FIRST)]}
        assert_first(first.of(con, table.of(other), LARGEST, NEEDED), other, LARGEST)


# -- countries ---------------------------------------------------------------------------------

BY_COUNTRY = Grouped(
    ("pays",),
    (Sum("revenue", "montant"), Count("sales"), Distinct("clients", "client_id"), Mean("average", "montant")),
)


@pytest.mark.parametrize("measure", BY_COUNTRY.measures, ids=lambda one: one.name)
@pytest.mark.parametrize("filters", [Filters(), Filters(chosen=(Chosen("pays", "countries", ("Pays 3", "France")),))])
def test_the_largest_countries_are_those_of_the_clean_table(tmp_path: Path, measure: Measure, filters: Filters) -> None:
    settings = sample_lake.settings_at(tmp_path)
    shape = sample_lake.Shape(days=3, clients=2000, countries=1500)
    sample_lake.make(settings, 3000, shape, now=NOW - timedelta(hours=1), lots=2)
    live = LiveTables(settings)
    question, order = BY_COUNTRY.stored_question(EVENT), figures.largest_first(BY_COUNTRY, measure, EVENT)
    for step in range(3):
        snapshots = live.read()
        with live.connection() as con:
            found = query_sources.first_rows(con, snapshots, filters, question, order, 20)
            if found is None:
                assert isinstance(measure, Count | Distinct), "few different numbers of sales and clients"
                return
            con.register("grouped", found.first)
            con.register("totals", found.totals)
            rows = figures.grouped(con, BY_COUNTRY, EVENT, measure.name, 20, stored=True)
            overall = figures.overall_of(con, measure)
        expected = from_clean(settings, filters)
        assert [row["pays"] for row in rows] == [
            row["pays"] for row in sorted(expected, key=lambda row: (-row[measure.name], row["pays"]))
        ][:20]
        assert rows[0] == next(row for row in expected if row["pays"] == rows[0]["pays"])
        total = sum(row[measure.name] for row in expected) if isinstance(measure, Sum | Count) else None
        assert overall == figures.Overall(len(expected), total)
        new = sample_lake.messages(sample_lake.next_offset(settings), 50, NOW + timedelta(minutes=step), shape)
        sample_lake.add(settings, new)


def from_clean(settings: Settings, filters: Filters) -> list[dict[str, Any]]:
    """The countries, from the rows of ventes_clean."""
    wanted = {value for one in filters.chosen for value in one.values}
    with connect() as con:
        con.register("clean", Snapshot.open(path_of(settings, CLEAN), CLEAN).arrow())
        rows = con.execute(
            "SELECT pays, sum(montant) AS revenue, count(*) AS sales, count(DISTINCT client_id) AS clients, "
            "sum(montant) / count(*) AS unrounded FROM clean GROUP BY pays"
        ).fetchall()
    return [
        {"pays": pays, "revenue": revenue, "sales": sales, "clients": clients, "average": round(revenue / sales, 2)}
        for pays, revenue, sales, clients, _ in rows
        if not wanted or pays in wanted
    ]


def test_the_values_of_a_filter_are_the_first_ones(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    shape = sample_lake.Shape(days=1, clients=3000, countries=40_000)
    sample_lake.make(settings, 20_000, shape, now=NOW, lots=2)
    live = LiveTables(settings)
    for minute in range(2):
        found = offered(live, {"pays": Wanted(), "segment": Wanted()}, minute * 60.0)["pays"]
        names = sorted(row["pays"] for row in from_clean(settings, Filters()))
        assert len(names) > MOST * AT_FIRST
        assert (list(found.values), found.total, found.found) == (names[:MOST], len(names), len(names))
        sample_lake.add(settings, sample_lake.messages(sample_lake.next_offset(settings), 50, NOW))
