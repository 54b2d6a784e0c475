"""The values that the filters of the sidebar offer: new ones at once, asked for only where there may be one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa

from harness import sample_lake
from harness.shipped import BRONZE
from ventes.dashboard import choices
from ventes.dashboard.choices import MINUTE_SECONDS, MOST, Offered, Wanted
from ventes.dashboard.source import LiveTables

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
FIELDS = {"pays": Wanted(), "segment": Wanted()}


class Counting(LiveTables):
    connections = 0

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self.connections += 1
        with super().connection() as con:
            yield con


def test_the_values_are_asked_for_only_where_there_may_be_a_new_one(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 500, sample_lake.Shape(days=1, bad_percent=0), now=NOW, lots=1)
    first = choices.offered(tables := Counting(settings), FIELDS, 0.0)
    assert len(first["pays"].values) > 1
    rows = sample_lake.messages(500, 2, NOW, sample_lake.Shape(bad_percent=0)).to_pylist()
    known, new = (
        {**row, "pays": country} for row, country in zip(rows, (first["pays"].values[0], "Atlantis"), strict=True)
    )
    sample_lake.add(settings, pa.Table.from_pylist([known], BRONZE.schema))
    assert choices.offered(LiveTables(settings), FIELDS, 0.0) == first
    assert choices.offered(tables, FIELDS, 1.0) == first
    assert tables.connections == 1
    sample_lake.add(settings, pa.Table.from_pylist([new], BRONZE.schema))

    def offered() -> dict[str, Offered]:
        return choices.offered(tables, FIELDS, 2.0)

    assert list(offered()["pays"].values) == sorted([*first["pays"].values, "Atlantis"])
    assert tables.connections == 2
    choices.offered(tables, FIELDS, MINUTE_SECONDS + 1.0)
    assert tables.connections == 3, "at least once a minute"


def test_of_many_values_those_are_offered_that_are_searched_for(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    many = sample_lake.Shape(days=1, bad_percent=0, clients=3000, countries=2000)
    sample_lake.make(settings, 5000, many, now=NOW, lots=1)
    rows = sample_lake.messages(5000, 3, NOW, sample_lake.Shape(bad_percent=0)).to_pylist()
    named = [{**row, "pays": one} for row, one in zip(rows, ("Île 77", "Pays d'ÎLE", "100% île_"), strict=True)]
    sample_lake.add(settings, pa.Table.from_pylist(named, BRONZE.schema))
    tables = LiveTables(settings)

    def countries(search: str = "", *chosen: str) -> Offered:
        return choices.offered(tables, {"pays": Wanted(search, chosen), "segment": Wanted(search)}, 0.0)["pays"]

    every = countries()
    assert every.is_searched
    assert every.total == every.found > MOST == len(every.values)
    assert countries("ile").values == ("Île 77", "100% île_", "Pays d'ÎLE"), "those that begin with it first"
    assert countries("PAYS D'î").values == ("Pays d'ÎLE",)
    assert countries("%").values == ("100% île_",), "no pattern"
    assert countries("nowhere") == Offered((), every.total, 0)
    assert countries("nowhere", "Île 77", "gone").values == ("Île 77",), "what is in force stays, if it is there"
    assert "Pays 7" in countries("pays 7").values
    few = choices.offered(tables, {"segment": Wanted("ile")}, 0.0)["segment"]
    assert len(few.values) == few.total == len(sample_lake.SEGMENTS), "few values are all offered"
