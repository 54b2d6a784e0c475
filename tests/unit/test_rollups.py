"""The aggregates equal a recomputation from all clean rows, for any sales and any division into lots."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import expected
from harness.shipped import CLEAN, PAR_MINUTE, PAR_PAYS, ROLLUPS, SILVER_APP
from harness.silver_engine import START
from harness.silver_run import in_order, publisher_of, settings_of, stored_rollups
from ventes.config import Settings
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.errors import LakeDamaged
from ventes.lake import rollup_files, tables
from ventes.lake.distinct_values import DistinctValues
from ventes.lake.rollup_partials import partials_of_rows

CENTS = st.one_of(st.integers(1, 3), st.integers(1, 100_000), st.just(999_999_999_999))
SALE = st.fixed_dictionaries(
    {
        "client_id": st.integers(1, 4),
        "client_nom": st.sampled_from(["Ana", "Bo"]),
        "pays": st.sampled_from(["France", "Italie", "Côte d'Ivoire"]),
        "segment": st.sampled_from(["B2B", "B2C"]),
        "produit_id": st.integers(1, 5),
        "produit_nom": st.sampled_from(["Lampe", "Sac"]),
        "categorie": st.just("Maison"),
        "quantite": st.integers(1, 1_000_000),
        "montant": CENTS.map(lambda cents: Decimal(cents) / 100),
        "timestamp": st.timedeltas(timedelta(days=-3), timedelta(days=3)).map(lambda delta: START + delta),
    }
)
LOTS = st.lists(st.lists(SALE, max_size=12), min_size=1, max_size=6)


def clean_rows(sales: Sequence[dict[str, Any]], lot: int) -> pa.Table:
    rows = [
        dict.fromkeys(CLEAN.schema.names)
        | {name: value for name, value in sale.items() if name in CLEAN.schema.names}
        | {"horodatage": sale["timestamp"], "jour": sale["timestamp"].date(), "lot": lot}
        for sale in sales
    ]
    return pa.Table.from_pylist(rows, schema=CLEAN.schema)


def partials(rows: pa.Table) -> dict[str, pa.Table]:
    with connect() as con:
        return partials_of_rows(con, Settings(), rows)


def assert_equal_to_recomputation(config: Settings, lots: Sequence[Sequence[dict[str, Any]]]) -> None:
    sales = [sale | {"jour": sale["timestamp"].date()} for lot in lots for sale in lot]
    wanted = expected.rollups(sales)
    stored = stored_rollups(config)
    for table in ROLLUPS:
        assert stored[table.name] == in_order(table, wanted[table.name]), table.name


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(lots=LOTS)
def test_any_sales_in_any_lots(lots: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = settings_of(Path(folder))
        publisher = publisher_of(config)
        for number, lot in enumerate(lots, 1):
            publisher.publish(partials(clean_rows(lot, number)), number)
        assert_equal_to_recomputation(config, lots)


def test_sums_stay_exact_when_many_files_are_touched(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_files, "CHUNK", 4)
    sale = {
        "client_nom": "Ana", "pays": "France", "segment": "B2C", "produit_nom": "Sac", "categorie": "Mode",
        "quantite": 1, "montant": Decimal("0.05"),
    }  # fmt: skip
    lots = [
        [
            sale | {"client_id": n % 9, "produit_id": (n * lot) % 11, "timestamp": START + timedelta(hours=7 * n - lot)}
            for n in range(30)
        ]
        for lot in range(1, 6)
    ]
    publisher = publisher_of(config)
    for number, lot in enumerate(lots, 1):
        publisher.publish(partials(clean_rows(lot, number)), number)
    files = Log.open(tables.path_of(config, PAR_MINUTE)).files.values()
    assert len(files) > 3
    assert all((file.rows or 0) <= 4 for file in files)
    assert_equal_to_recomputation(config, lots)


def test_a_lot_published_twice_counts_once(config: Settings) -> None:
    lot = [_sale(1), _sale(2)]
    for _ in range(2):
        publisher_of(config).publish(partials(clean_rows(lot, 1)), 1)
    assert_equal_to_recomputation(config, [lot])


def test_tables_that_lag_are_completed_from_ventes_clean(config: Settings) -> None:
    tables.ensure(config, CLEAN)
    clean = Log.open(tables.path_of(config, CLEAN))
    lots = [[_sale(n), _sale(n + 1)] for n in range(1, 5)]
    publisher = publisher_of(config)
    for number, lot in enumerate(lots, 1):
        commit.append(clean, CLEAN, clean_rows(lot, number), SILVER_APP, number)
        if number == 1:
            publisher.publish(partials(clean_rows(lot, number)), number)
    publisher = publisher_of(config)
    assert publisher.complete(clean, 4) == [table.name for table in ROLLUPS]
    assert publisher.complete(clean, 4) == []
    assert_equal_to_recomputation(config, lots)
    publisher.publish(partials(clean_rows([_sale(9)], 5)), 5)
    assert_equal_to_recomputation(config, [*lots, [_sale(9)]])


def test_a_rollup_ahead_of_ventes_clean_is_refused(config: Settings) -> None:
    tables.ensure(config, CLEAN)
    clean = Log.open(tables.path_of(config, CLEAN))
    commit.append(clean, CLEAN, clean_rows([_sale(1)], 1), SILVER_APP, 1)
    publisher = publisher_of(config)
    publisher.publish(partials(clean_rows([_sale(1)], 2)), 2)
    with pytest.raises(LakeDamaged, match="holds lot 2, ventes_clean only 1"):
        publisher.complete(clean, 1)


def test_only_the_day_concerned_is_rewritten(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_files, "CHUNK", 8)
    publisher = publisher_of(config)
    days = [_sale(1) | {"timestamp": START + timedelta(days=day)} for day in range(5)]
    for number, sale in enumerate(days, 1):
        publisher.publish(partials(clean_rows([sale], number)), number)
    log = publisher.logs["ventes_aggreges"]
    before = set(log.files)
    publisher.publish(partials(clean_rows([days[2]], 6)), 6)
    assert len(before & set(log.files)) == 4
    assert len(log.files) == 5


def test_a_start_reads_each_client_of_a_country_once_however_many_days_it_has(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [_sale(1) | {"timestamp": START + timedelta(days=day)} for day in range(20)]
    first = publisher_of(config)
    for number, sale in enumerate(days, 1):
        first.publish(partials(clean_rows([sale], number)), number)
    handed_over: list[int] = []
    add = DistinctValues.add

    def counted(self: DistinctValues, keys: Sequence[pa.ChunkedArray], values: pa.ChunkedArray) -> None:
        handed_over.append(len(values))
        add(self, keys, values)

    monkeypatch.setattr(DistinctValues, "add", counted)
    publisher_of(config).publish(partials(clean_rows([_sale(2)], 21)), 21)
    assert max(handed_over) == 1
    assert_equal_to_recomputation(config, [days, [_sale(2)]])


def test_files_of_a_small_table_stay_few(config: Settings) -> None:
    publisher = publisher_of(config)
    for number in range(1, 40):
        publisher.publish(partials(clean_rows([_sale(number)], number)), number)
        assert all(len(log.files) <= 2 * rollup_files.SMALL_FILES for log in publisher.logs.values())
    assert len(publisher.logs[PAR_PAYS.name].files) == 1


def _sale(number: int) -> dict[str, Any]:
    return {
        "client_id": number % 3, "client_nom": "Ana", "pays": f"P{number % 2}", "segment": "B2C",
        "produit_id": number, "produit_nom": "Sac", "categorie": "Mode", "quantite": number,
        "montant": Decimal(number * 7) / 100, "timestamp": START + timedelta(days=number // 2, minutes=number),
    }  # fmt: skip
