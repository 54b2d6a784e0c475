"""Silver's statements give the same rows on Spark and on DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from tests.support.silver_engine import START, bronze_rows, random_sales
from ventes.config import Rules
from ventes.contract.dialect import FOLDER, sql
from ventes.contract.tables import AGGREGES, CLEAN, PAR_MINUTE, PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT, REJETS
from ventes.lake.rollups import thresholds
from ventes.lake.snapshot import connect

STEPS: list[tuple[str, str, pa.Schema | None]] = [
    # statement, the relation that its result becomes, the contract of that result
    ("juges", "juges", None),
    ("clean", "clean", CLEAN.schema),
    ("rejets", "rejets", REJETS.schema),
    ("partiels_clients", "clients", None),
    ("partiels_produits", "produits", None),
    ("partiels_minutes", "minutes", None),
    ("ventes_aggreges", "ventes_aggreges", AGGREGES.schema),
    ("pays_uniques", "pays_uniques", None),
    ("segments_uniques", "segments_uniques", None),
    ("ventes_par_pays", "ventes_par_pays", PAR_PAYS.schema),
    ("ventes_par_segment", "ventes_par_segment", PAR_SEGMENT.schema),
    ("ventes_par_produit", "ventes_par_produit", PAR_PRODUIT.schema),
    ("ventes_par_minute", "ventes_par_minute", PAR_MINUTE.schema),
]
SALES = (
    "(SELECT pays, segment, nb_achats AS total_transactions, total_depense AS revenue_total,"
    " total_quantite AS items_sold FROM clients)"
)
INPUTS = {
    "ventes_aggreges": {"partiels": "clients"},
    "ventes_par_pays": {"partiels": SALES, "uniques": "pays_uniques"},
    "ventes_par_segment": {"partiels": SALES, "uniques": "segments_uniques"},
    "ventes_par_produit": {"partiels": "produits"},
    "ventes_par_minute": {"partiels": "minutes"},
}
"""Relations that a statement names otherwise than the step that makes them. Sums of sums: each is given twice."""
PARAMS: dict[str, Any] = {
    "lot": 3,
    "traitement": START,
    "watermark_us": 600_000_000,
    **thresholds(Rules(standard_from=99.99, premium_from=500.1)),
}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        yield con


def bronze() -> pa.Table:
    odd = [
        {"offset": 900 + n, "vente_id": 90_000 + n, "quantite": q, "montant": Decimal(m), "client_nom": "Zoé ' \\ 漢"}
        for n, (q, m) in enumerate([(1_000_000, "9999999999.99"), (3, "0.01"), (2, "0.01"), (999_999, "0.99")])
    ]
    return bronze_rows([*random_sales(11, 400, partitions=2), *odd])


def test_every_statement_is_here() -> None:
    assert sorted(name for name, _, _ in STEPS) == sorted(
        file.name.removesuffix(".sql") for file in (FOLDER / "silver").iterdir()
    )


def test_both_engines_give_the_same_rows(spark: SparkSession, con: duckdb.DuckDBPyConnection) -> None:
    rows = bronze()
    known = rows.slice(0, 0).rename_columns([{"timestamp": "horodatage"}.get(n, n) for n in rows.column_names])
    con.register("lot_rows", rows)
    con.register("connues", known)
    spark.createDataFrame(rows).createOrReplaceTempView("lot_rows")
    spark.createDataFrame(known).createOrReplaceTempView("connues")
    for name, relation, schema in STEPS:
        for inner, outer in INPUTS.get(name, {}).items():
            twice = f"SELECT * FROM {outer}" + (f" UNION ALL SELECT * FROM {outer}" if inner == "partiels" else "")
            con.execute(f"CREATE OR REPLACE TEMP VIEW {inner} AS {twice}")
            spark.sql(twice).createOrReplaceTempView(inner)
        ours = con.execute(sql(f"silver/{name}", "duckdb", **PARAMS)).to_arrow_table()
        theirs = spark.sql(sql(f"silver/{name}", "spark", **PARAMS))
        wanted = schema or ours.schema
        assert _comparable(theirs.toArrow().cast(wanted)) == _comparable(ours.cast(wanted)), name
        assert ours.num_rows > 0, name
        con.register(relation, ours)
        theirs.cache().createOrReplaceTempView(relation)


def _comparable(rows: pa.Table) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows.to_pylist())
