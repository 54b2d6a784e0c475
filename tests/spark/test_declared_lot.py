"""A lot of a stream whose ids are texts, taken by tasks: the same rows as by one statement in DuckDB."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.silver_run import loop_of, settings_of
from tests.unit.test_lot_sql import COMMANDES, TABLES, bronze, split
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.engines.spark import large_lots, silver
from ventes.engines.spark.session import Session
from ventes.engines.spark.silver import SparkSilver
from ventes.lake import tables

CHANGES: list[dict[str, Any]] = [
    *({"order": f"n-{number}", "rank": None if number % 2 else "x"} for number in range(20)),
    {"order": "n-3", "rank": None},
    {"order": "n-4", "rank": "other"},
    {"order": "known"},
    {"order": "known", "taux": None},
    {"order": None, "motifs": ["missing:order"], "prix": None},
    {"order": "été", "signalements": ["cher"]},
]
OF_THE_RUN = ("lot", "date_traitement")


def test_a_lot_with_text_ids(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silver, "FEW", -1)
    monkeypatch.setattr(large_lots, "PART_ROWS", 2)  # the doubtful rows go to several tasks
    settings = settings_of(tmp_path, stream=str(COMMANDES), rules={"watermark_minutes": 1})
    first, then = bronze({"order": "known"}), bronze(*CHANGES)
    then = then.set_column(then.schema.get_field_index("offset"), "offset", pa.array(range(1, 1 + len(then))))
    with connect() as con:
        known, _ = split(con, first)
        clean, rejected = split(con, then, known)
    tables.ensure(settings, TABLES.bronze)
    for number, rows in enumerate((first, then.slice(0, 12), then.slice(12)), 1):
        commit.append(Log.open(settings.bronze), TABLES.bronze, rows, "test", number)
        if number != 2:  # the second lot is of two files
            assert loop_of(settings, partial(SparkSilver, session=session)).run() == 0
    assert rows_of(settings, "commandes_clean") == compared(pa.concat_tables([known, clean]))
    assert rows_of(settings, "commandes_rejets") == compared(rejected)
    assert (clean.num_rows, rejected.num_rows) == (21, 5)


def rows_of(settings: Settings, name: str) -> list[str]:
    return compared(tables.snapshot(settings, TABLES.by_name[name]).arrow())


def compared(rows: pa.Table) -> list[str]:
    return sorted(map(repr, rows.drop(list(OF_THE_RUN)).to_pylist()))
