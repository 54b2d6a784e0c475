"""`verify` passes on a consistent lake, and fails at the right invariant for each kind of damage."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
from typer.testing import CliRunner

from harness import sample_lake
from harness.ingested import ingest, sale
from harness.shipped import AGGREGES, ALL, BRONZE, CLEAN, PAR_PAYS, REJETS
from harness.silver_run import loop_of, rows_of, settings_of
from ventes.check.recompute import not_compared
from ventes.check.verify import Report, Verification
from ventes.cli import app, mount
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.table import Table
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake.tables import path_of
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper


@pytest.fixture(scope="module")
def whole_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    sample_lake.make(sample_lake.settings_at(folder), 2_000)
    return folder


@pytest.fixture
def lake(whole_lake: Path, tmp_path: Path) -> Settings:
    """A copy of the lake, to be damaged."""
    shutil.copytree(whole_lake, tmp_path, dirs_exist_ok=True)
    return sample_lake.settings_at(tmp_path)


def verified(settings: Settings) -> Report:
    return Verification(settings, read_topic=False).run()


def test_a_broker_that_is_down_is_not_reported_as_a_difference(lake: Settings) -> None:
    report = Verification(lake, read_topic=True).run()
    (unasked,) = [check for check in report.checks if not check.ok]
    assert (unasked.invariant, unasked.asked) == ("I3 payload", False)
    assert "does not answer" in unasked.differences[0]
    assert (report.ok, report.wrong) == (False, False)


def test_its_exit_code_tells_wrong_from_not_asked(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    mount()
    for name, value in (("LAKE", lake.lake), ("STATE", lake.state), ("LOGS", lake.lake / "logs")):
        monkeypatch.setenv(f"VENTES_PATHS__{name}", str(value))
    monkeypatch.setenv("VENTES_KAFKA__PORT", "1")
    asked = CliRunner().invoke(app, ["verify"])
    assert asked.exit_code == 3, asked.output
    assert "not everything could be asked" in asked.output
    DeltaTable(path_of(lake, PAR_PAYS)).update({"total_transactions": "total_transactions + 1"})
    assert CliRunner().invoke(app, ["verify"]).exit_code == 1


def test_a_first_lot_that_is_being_published_is_read_again(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ingest(settings, [sale(number) for number in range(20)])
    loop_of(settings, EmbeddedSilver).run()
    whole = path_of(settings, PAR_PAYS)
    kept = tmp_path / "kept"
    shutil.move(whole, kept)
    putting_back = threading.Timer(1.0, shutil.move, (kept, whole))
    putting_back.start()
    try:
        report = verified(settings)
    finally:
        putting_back.join()
    assert report.ok, [check.differences for check in report.checks if not check.ok]


def test_a_consistent_lake_is_green_with_the_number_of_compared_rows(lake: Settings) -> None:
    report = verified(lake)
    assert report.ok, [check.differences for check in report.checks]
    assert report.lot is not None
    assert [check.invariant for check in report.checks] == [
        "I1 positions",
        "I3 payload",
        "I4 silver",
        *["I5 aggregates"] * 5,
        "I6 protocol",
    ]
    assert all(check.rows > 0 for check in report.checks)
    assert report.checks[0].rows == 2_000


def _table(settings: Settings, table: Table) -> DeltaTable:
    return DeltaTable(str(path_of(settings, table)))


def _lose_a_clean_sale(settings: Settings) -> None:
    _table(settings, CLEAN).delete("offset = 7")


def _change_an_amount(settings: Settings) -> None:
    _table(settings, CLEAN).update(predicate="offset = 7", updates={"montant": "montant + 0.01"})


def _change_a_total(settings: Settings) -> None:
    _table(settings, PAR_PAYS).update(predicate="pays = 'France'", updates={"revenue_total": "revenue_total + 0.01"})


def _lose_a_country(settings: Settings) -> None:
    _table(settings, PAR_PAYS).delete("pays = 'France'")


def _lose_a_rejected_message(settings: Settings) -> None:
    rejected = _table(settings, REJETS)
    offset = rejected.to_pyarrow_table(columns=["offset"]).column(0)[0].as_py()
    rejected.delete(f"offset = {offset}")


def _double_a_bronze_row(settings: Settings) -> None:
    from deltalake import write_deltalake

    bronze = _table(settings, BRONZE)
    row = bronze.to_pyarrow_table().slice(0, 1)
    write_deltalake(bronze, row, mode="append")


def _empty_the_last_log_entry(settings: Settings) -> None:
    log = path_of(settings, PAR_PAYS) / "_delta_log"
    newest = max(log.glob("0*.json"))
    newest.with_name(f"{int(newest.stem) + 1:020d}.json").touch()


def _change_a_field_of_bronze(settings: Settings) -> None:
    _table(settings, BRONZE).update(predicate="offset = 7", updates={"client_nom": "'Somebody Else'"})


def _change_an_average(settings: Settings) -> None:
    updates = {"transaction_moyenne": "transaction_moyenne + 0.01"}
    _table(settings, PAR_PAYS).update(predicate="pays = 'France'", updates=updates)


def _add_a_column(settings: Settings) -> None:
    _table(settings, PAR_PAYS).alter.add_columns([Field("remise", PrimitiveType("long"))])


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        (_lose_a_clean_sale, "I1 positions"),
        (_change_an_amount, "I4 silver"),
        (_change_a_total, "I5 aggregates"),
        (_lose_a_country, "I5 aggregates"),
        (_lose_a_rejected_message, "I1 positions"),
        (_double_a_bronze_row, "I1 positions"),
        (_change_a_field_of_bronze, "I3 payload"),
        (_change_an_average, "I5 aggregates"),
        (_add_a_column, "I5 aggregates"),
    ],
)
def test_each_damage_is_found_where_it_is(lake: Settings, damage: Callable[[Settings], None], invariant: str) -> None:
    damage(lake)
    report = verified(lake)
    assert not report.ok
    failed = [check for check in report.checks if not check.ok]
    assert failed[0].invariant == invariant
    assert failed[0].differences, "the first differing rows are shown"


def test_the_command_prints_a_line_an_invariant_and_exits_with_1_on_damage(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount()
    monkeypatch.setattr("ventes.config.load", lambda **_: lake)
    good = CliRunner().invoke(app, ["verify", "--no-topic", "--json"])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["ok"] is True
    _change_a_total(lake)
    bad = CliRunner().invoke(app, ["verify", "--no-topic"])
    assert bad.exit_code == 1
    assert "I5 aggregates FAILED ventes_par_pays" in bad.stdout
    assert "NOT verified" in bad.stdout


def test_an_empty_log_entry_is_named(lake: Settings) -> None:
    _empty_the_last_log_entry(lake)
    with pytest.raises(Exception, match="is empty"):
        verified(lake)


def test_reasons_of_an_earlier_release_are_reported_and_rebuilt(lake: Settings) -> None:
    _table(lake, REJETS).update(
        predicate="motifs[1] = 'negative:montant'", updates={"motifs": "make_array('range:montant')"}
    )
    report = verified(lake)
    (silver,) = [check for check in report.checks if not check.ok]
    assert silver.invariant == "I4 silver"
    assert "`ventes rebuild silver` gives them those of now" in silver.differences[0]
    rebuild(lake, lambda _: None, lambda _: None, Stopper())
    assert verified(lake).ok
    assert ["negative:montant"] in [row["motifs"] for row in rows_of(lake, REJETS)]


def test_every_stored_column_is_compared_or_has_a_reason() -> None:
    """The tables' columns, what `verify` expects and what it exempts must stay the same sets."""
    exempt = not_compared(contract.of(Settings()))
    for table in ALL:
        assert set(exempt.get(table.name, {})) <= set(table.schema.names), table.name


@pytest.mark.parametrize(("spent", "level"), [("499.99", "Standard"), ("500.00", "Premium")])
def test_a_threshold_between_two_cents_means_the_same_to_job_and_verify(tmp_path: Path, spent: str, level: str) -> None:
    settings = settings_of(tmp_path, rules={"premium_from": Decimal("499.994")})
    ingest(settings, [sale(1, montant=float(spent))])
    assert loop_of(settings, EmbeddedSilver).run() == 0
    assert [row["segment_depense"] for row in rows_of(settings, AGGREGES)] == [level]
    assert verified(settings).ok
