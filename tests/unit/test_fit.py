"""A declaration that changes over a lake that exists: added to, built again, or refused before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from harness.ingested import ingest, sale
from harness.silver_run import loop_of, publisher_of, rows_of, settings_of
from tests.unit.test_declared_rollups import EVENT, START, clean_rows, declared_in, partials
from ventes.check.doctor import lake as doctor
from ventes.check.verify import Verification
from ventes.config import PROJECT, Settings
from ventes.contract import tables as contract
from ventes.deltalog import commit
from ventes.deltalog.log import Log
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import LakeDamaged
from ventes.lake import silver_recovery, tables
from ventes.lake.fit import DECLARATION
from ventes.lake.open_tables import OpenTables
from ventes.lake.tables import path_of
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper
from ventes.stream import Aggregate, ByDay, Count, Distinct, Event, Integer, Max, Mean, Min, Sum, Text
from ventes.stream.declared import DeclarationError

SHOPS = Aggregate("shops", ("shop",), (Count("events"), Sum("total", "small"), Max("largest", "small")))


@pytest.fixture
def first(tmp_path: Path) -> Settings:
    """A lake of two lots with the table `shops`."""
    config = declared_in(tmp_path, "first", [SHOPS])
    tables.ensure(config, contract.of(config).bronze)
    clean = OpenTables(config).ensure(contract.of(config).clean)
    OpenTables(config).ensure(contract.of(config).rejets)
    publisher = publisher_of(config)
    for lot, (shop, small) in enumerate([("A", 2), ("B", 5)], 1):
        rows = clean_rows(config, [event(shop, small), event("A", 1)], lot)
        commit.append(clean, contract.of(config).clean, rows, "test-silver", lot, {"test-rejets": 0})
        publisher.publish(partials(config, rows), lot)
    return config


def event(shop: str, small: int) -> dict[str, Any]:
    return {
        "time": START + timedelta(hours=small), "shop": shop, "order": None, "points": small, "small": small,
        "delay": None, "fee": Decimal(1), "paid": None, "due": None,
    }  # fmt: skip


def later(first: Settings, *aggregates: Aggregate, event: Event = EVENT) -> Settings:
    return declared_in(first.lake.parent, "later", aggregates, event=event)


def started(config: Settings) -> Sequence[str]:
    """Recover as the Silver job does at its start; returns the repairs."""
    publisher = publisher_of(config)
    return silver_recovery.recover(OpenTables(config), publisher).repaired


def shops(config: Settings) -> list[list[Any]]:
    table = contract.of(config).by_name["shops"]
    return [list(row.values()) for row in rows_of(config, table)]


def versions(config: Settings) -> dict[str, int]:
    return {path.name: DeltaTable(path).version() for path in sorted(config.silver.iterdir())}


def test_the_same_declaration_changes_nothing(first: Settings) -> None:
    before = versions(first)
    assert started(first) == []
    assert versions(first) == before


def test_an_order_of_measures_is_no_change(first: Settings) -> None:
    before = versions(first)
    assert started(later(first, replace(SHOPS, measures=tuple(reversed(SHOPS.measures))))) == []
    assert versions(first) == before


@pytest.mark.parametrize(
    ("changed", "rows"),
    [
        (replace(SHOPS, where="small > 1"), [["A", 1, 2, 2], ["B", 1, 5, 5]]),
        (replace(SHOPS, measures=(*SHOPS.measures[:2], Min("largest", "small"))), [["A", 3, 4, 1], ["B", 1, 5, 5]]),
        (replace(SHOPS, measures=SHOPS.measures[:1]), [["A", 3], ["B", 1]]),
        (replace(SHOPS, measures=(*SHOPS.measures, Distinct("many", "small"))), [["A", 3, 4, 2, 2], ["B", 1, 5, 5, 1]]),
        (
            replace(SHOPS, measures=(Mean("mean", "points", 1),)),
            [["A", Decimal("1.3"), Decimal(4), 3], ["B", Decimal("5.0"), Decimal(5), 1]],
        ),
        (Aggregate("shops", (ByDay(),), (Count("events"),)), [[START.date(), 4]]),
    ],
    ids=["where", "another field", "a measure less", "a measure more", "hidden columns", "by"],
)
def test_a_changed_table_is_built_again_with_its_columns(first: Settings, changed: Aggregate, rows: Any) -> None:
    config = later(first, changed)
    assert started(config) == ["shops completed up to lot 2"]
    assert shops(config) == rows
    table = contract.of(config).by_name["shops"]
    assert [field.name for field in DeltaTable(path_of(config, table)).schema().fields] == table.schema.names
    before = versions(config)
    assert started(config) == [], "once is enough"
    assert versions(config) == before


def test_a_changed_table_without_a_lot_takes_the_next_one(tmp_path: Path) -> None:
    started(declared_in(tmp_path, "first", [SHOPS]))
    config = declared_in(tmp_path, "later", [replace(SHOPS, measures=(Sum("sum_of_points", "points"),))])
    started(config)
    publisher = publisher_of(config)
    publisher.publish(partials(config, clean_rows(config, [event("A", 3)], 1)), 1)
    assert shops(config) == [["A", Decimal(3)]]


def test_an_added_table_is_filled(first: Settings) -> None:
    config = later(first, SHOPS, Aggregate("days", (ByDay(),), (Count("events"),)))
    assert started(config) == ["days completed up to lot 2"]
    assert [row["events"] for row in rows_of(config, contract.of(config).by_name["days"])] == [4]


def test_a_table_of_a_release_without_the_property_is_accepted_and_gets_it(first: Settings) -> None:
    path = path_of(first, contract.of(first).by_name["shops"])
    log = Log.open(path)
    configuration = {name: value for name, value in log.metadata["configuration"].items() if name != DECLARATION}
    log.commit([{"metaData": {**log.metadata, "configuration": configuration}}], "TEST")
    assert started(first) == []
    assert DECLARATION in DeltaTable(path).metadata().configuration


def with_field(changed: Any, place: int) -> Event:
    fields = (*EVENT.fields[:place], *([changed] if changed else []), *EVENT.fields[place + 1 :])
    return replace(EVENT, fields=fields)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (with_field(Text("small"), 5), "column small of .* is long, expected string"),
        (with_field(None, 5), "has the column small, which is not declared any more"),
        (replace(EVENT, id="small"), "written with another id"),
    ],
    ids=["type", "dropped", "id"],
)
def test_events_that_do_not_fit_are_refused_before_anything_is_written(
    first: Settings, event: Event, message: str
) -> None:
    config = later(first, Aggregate("added", ("shop",), (Count("events"),)), event=event)
    before = versions(first)
    with pytest.raises(LakeDamaged, match=message) as caught:
        publisher_of(config)
    assert "ventes rebuild silver" in (caught.value.hint or "")
    assert versions(first) == before


def test_bronze_keeps_its_types(first: Settings) -> None:
    config = later(first, event=with_field(Text("small"), 5))
    with pytest.raises(LakeDamaged, match="is long, expected string") as caught:
        tables.ensure(config, contract.of(config).bronze)
    assert "paths.lake" in (caught.value.hint or "")


def test_a_measure_of_another_type_is_refused(first: Settings) -> None:
    before = versions(first)
    config = later(first, replace(SHOPS, measures=(Mean("total", "small"),)))
    with pytest.raises(LakeDamaged, match=r"column total of .* is long, expected decimal"):
        publisher_of(config)
    assert versions(first) == before


def test_a_new_optional_field_becomes_a_column(first: Settings) -> None:
    event = replace(EVENT, fields=(*EVENT.fields, Integer("added", optional=True)))
    config = later(first, SHOPS, event=event)
    assert started(config) == []
    assert "added" in {field.name for field in DeltaTable(path_of(config, contract.of(config).clean)).schema().fields}


@pytest.mark.parametrize("aggregate", [replace(SHOPS, where="smal > 1"), replace(SHOPS, where="small >")])
def test_sql_that_cannot_run_is_refused_before_anything_is_written(first: Settings, aggregate: Aggregate) -> None:
    before = versions(first)
    with pytest.raises(DeclarationError, match=r"shops of .*later.py"):
        publisher_of(later(first, aggregate))
    assert versions(first) == before


def test_doctor_names_a_table_that_is_not_declared_any_more(first: Settings) -> None:
    named = {finding.name: finding for finding in doctor.findings(later(first), repair=False)}
    assert "nothing updates it" in named["table shops"].cause
    assert "table shops" not in {f.name for f in doctor.findings(first, repair=False) if "nothing updates" in f.cause}


# -- the sales, declared otherwise --------------------------------------------------------------------------------


def sales(folder: Path, name: str, *changes: tuple[str, str]) -> Settings:
    """Settings with the shipped declaration, in whose text (old, new) was replaced."""
    text = (PROJECT / "streams" / "ventes.py").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    return settings_of(folder, stream=str(file))


def test_rebuild_mends_what_was_refused(tmp_path: Path) -> None:
    config = sales(tmp_path, "first")
    ingest(config, [sale(number) for number in range(30)])
    assert loop_of(config, EmbeddedSilver).run() == 0
    changed = sales(tmp_path, "later", ('Sum("items_sold", "quantite")', 'Mean("items_sold", "quantite", 1)'))
    with pytest.raises(LakeDamaged, match=r"column items_sold of .* is long, expected decimal"):
        loop_of(changed, EmbeddedSilver).run()
    assert rebuild(changed, lambda _: None, lambda _: None, Stopper()) is not None
    assert Verification(changed, read_topic=False).run().ok
    ingest(changed, [sale(number) for number in range(30, 40)], first=30)
    assert loop_of(changed, EmbeddedSilver).run() == 0
    assert Verification(changed, read_topic=False).run().ok


def test_a_table_added_to_a_lake_is_filled_kept_and_verified(tmp_path: Path) -> None:
    config = sales(tmp_path, "first")
    ingest(config, [sale(number) for number in range(1, 61)])
    assert loop_of(config, EmbeddedSilver).run() == 0
    added = """Aggregate("ventes_par_heure", by=("categorie", ByHour()), measures=(
        Count("n"), Mean("moyenne", "montant", 4), Last("dernier", "client_nom"), Top("meilleurs", "produit_nom", 2),
        Distinct("clients", "client_id"), Share("gros", '"montant" > 5'))),
        Aggregate(
            "ventes_par_minute","""
    config = sales(
        tmp_path,
        "later",
        ("    ByMinute,\n", "    ByHour, ByMinute, Last, Share, Top,\n"),
        ('Aggregate(\n            "ventes_par_minute",', added),
    )
    ingest(config, [sale(number, timestamp="2026-01-05T07:30:00Z") for number in range(61, 81)], first=60)
    assert loop_of(config, EmbeddedSilver).run() == 0
    report = Verification(config, read_topic=False).run()
    assert report.ok, [check.differences for check in report.checks if not check.ok]
    rows = rows_of(config, contract.of(config).by_name["ventes_par_heure"])
    assert sum(row["n"] for row in rows) == 80
    path = path_of(config, contract.of(config).by_name["ventes_par_heure"])
    DeltaTable(path).update({"_meilleurs_counts": "NULL"})
    report = Verification(config, read_topic=False).run()
    assert [check.compared.split(":")[0] for check in report.checks if not check.ok] == ["ventes_par_heure"]
