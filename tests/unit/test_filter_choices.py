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
from ventes.dashboard.sidebar import MINUTE_SECONDS, choices_of_filters
from ventes.dashboard.source import LiveTables

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
FIELDS = ("pays", "segment")


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
    first = choices_of_filters(tables := Counting(settings), FIELDS, 0.0)
    assert len(first["pays"]) > 1
    rows = sample_lake.messages(500, 2, NOW, sample_lake.Shape(bad_percent=0)).to_pylist()
    known, new = ({**row, "pays": country} for row, country in zip(rows, (first["pays"][0], "Atlantis"), strict=True))
    sample_lake.add(settings, pa.Table.from_pylist([known], BRONZE.schema))
    assert choices_of_filters(LiveTables(settings), FIELDS, 0.0) == first
    assert choices_of_filters(tables, FIELDS, 1.0) == first
    assert tables.connections == 1
    sample_lake.add(settings, pa.Table.from_pylist([new], BRONZE.schema))

    def offered() -> dict[str, list[str]]:
        return choices_of_filters(tables, FIELDS, 2.0)

    assert offered()["pays"] == sorted([*first["pays"], "Atlantis"])
    assert tables.connections == 2
    choices_of_filters(tables, FIELDS, MINUTE_SECONDS + 1.0)
    assert tables.connections == 3, "at least once a minute"
