"""The statements of a lot for a stream that is declared otherwise: text ids, other column names, optional fields."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest

from ventes.config import PROJECT, Rules
from ventes.contract import tables
from ventes.deltalog.database import connect, run
from ventes.engines.lot_sql import lot_sql
from ventes.engines.split_in_duckdb import split_in_duckdb
from ventes.lake.rollup_plan import Declared
from ventes.stream.loading import load

START = datetime(2026, 3, 1, 9, tzinfo=timezone.utc)
COMMANDES = PROJECT / "tests" / "streams" / "commandes.py"
STREAM = load(COMMANDES)
TABLES = tables.of_stream(STREAM)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        yield con


def bronze(*changes: dict[str, Any]) -> pa.Table:
    """Bronze rows at offsets from 0, each a plain valid order with the changes."""
    rows = [
        {
            "order": "A",
            "select": START,
            "nombre": 3,
            "prix": Decimal("10.00"),
            "rank": "x",
            "livre": True,
            "taux": Decimal("0.5000"),
            "motifs": [],
            "signalements": [],
            "topic_id": "T",
            "partition": 0,
            "offset": offset,
            "kafka_ts": START + timedelta(seconds=offset),
            "date_ingestion": START,
            "value": b"{}",
            "jour": START.date(),
        }
        | change
        for offset, change in enumerate(changes)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES.bronze.schema)


def split(con: duckdb.DuckDBPyConnection, rows: pa.Table, known: pa.Table | None = None) -> tuple[pa.Table, pa.Table]:
    """The clean and the rejected rows of a lot."""
    known = TABLES.clean.schema.empty_table() if known is None else known
    judged = {"judged_rows": run(con, lot_sql(STREAM, "judged"), {"lot_rows": rows, "known_rows": known})}
    taken: dict[str, Any] = {"processed_at": START, "lot": 4}
    clean = run(con, lot_sql(STREAM, "clean"), judged, watermark_us=60_000_000, **taken)
    rejected = run(con, lot_sql(STREAM, "rejected"), judged, **taken)
    return clean.cast(TABLES.clean.schema), rejected.cast(TABLES.rejets.schema).sort_by("offset")


@pytest.mark.parametrize("in_order", [True, False])
def test_a_lot_of_clean_rows_only_is_what_the_statement_makes_of_it(
    con: duckdb.DuckDBPyConnection, in_order: bool
) -> None:
    con.execute(f"SET preserve_insertion_order = {in_order}")
    changes: list[dict[str, Any]] = [
        {
            "order": f"A{number}",
            "prix": Decimal(number + 5) / 100,
            "signalements": ["cher"] if number % 2 else [],
            "rank": None if number % 3 else "x",
            "_extra": None if number % 5 else '{"a":1}',
            "kafka_ts": START + timedelta(seconds=number),
        }
        for number in range(3_000)
    ]
    rows = bronze(*changes)
    settings = cast(Declared, SimpleNamespace(stream=STREAM, rules=Rules(watermark_minutes=1)))
    made = split_in_duckdb(con, rows, TABLES.clean.schema.empty_table(), settings, 4, START)
    clean, _ = split(con, rows)
    assert made.rejets.num_rows == 0
    assert made.clean.equals(clean.sort_by("offset"))


def test_columns_have_the_names_types_and_values_of_the_declaration(con: duckdb.DuckDBPyConnection) -> None:
    late = {"order": "B", "kafka_ts": START + timedelta(seconds=61), "rank": None, "livre": None, "taux": None}
    clean, rejected = split(con, bronze({"prix": Decimal("0.05"), "signalements": ["cher"]}, late))
    first, second = clean.sort_by("reference").to_pylist()
    assert rejected.num_rows == 0
    assert list(first)[:8] == ["reference", "quand", "unite", "nombre", "order_prix", "rank", "rank_livre", "taux"]
    assert (first["unite"], first["order_prix"], first["taux"]) == (Decimal("0.02"), Decimal("0.05"), Decimal("0.5000"))
    assert (first["signalements"], first["en_retard"], second["en_retard"]) == (["cher"], False, True)
    assert (second["unite"], second["rank"], second["rank_livre"], second["taux"]) == (
        Decimal("3.33"),
        None,
        None,
        None,
    )
    assert {row["lot"] for row in (first, second)} == {4}


@pytest.mark.parametrize(
    ("change", "motif"),
    [
        ({}, "duplicate"),
        ({"rank": None}, "conflict"),
        ({"livre": None}, "conflict"),
        ({"taux": Decimal("0.5001")}, "conflict"),
        ({"select": START + timedelta(microseconds=1)}, "conflict"),
        ({"_extra": '{"a":1}'}, "conflict"),
        ({"signalements": ["cher"]}, "duplicate"),
    ],
)
def test_the_first_of_an_id_counts_in_a_lot_and_over_lots(
    con: duckdb.DuckDBPyConnection, change: dict[str, Any], motif: str
) -> None:
    clean, rejected = split(con, bronze({}, change))
    assert (clean["reference"].to_pylist(), rejected["motifs"].to_pylist()) == (["A"], [[motif]])
    assert rejected["order"].to_pylist() == ["A"]
    clean, rejected = split(con, bronze(change), known=clean)
    assert (clean.num_rows, rejected["motifs"].to_pylist()) == (0, [[motif]])


def test_two_orders_without_the_optional_fields_are_duplicates(con: duckdb.DuckDBPyConnection) -> None:
    without = {"rank": None, "livre": None, "taux": None}
    clean, rejected = split(con, bronze(without, without, {**without, "motifs": ["zero:prix"]}))
    assert (clean.num_rows, rejected["motifs"].to_pylist()) == (1, [["duplicate"], ["zero:prix"]])
