"""`verify` passes on a consistent lake, and fails at the right invariant for each kind of damage."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
from typer.testing import CliRunner

from harness import sample_lake
from harness.ingested import TOPIC, ingest, sale
from harness.shipped import AGGREGES, ALL, BRONZE, CLEAN, PAR_PAYS, REJETS
from harness.silver_run import loop_of, rows_of, settings_of
from ventes.check import scope, verify
from ventes.check.recompute import not_compared
from ventes.check.report import Report
from ventes.check.verify import Verification
from ventes.cli import app, mount
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.table import Table
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import UsageError
from ventes.judging.judge_batch import judge_batch
from ventes.lake import readers, tables
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


def test_the_jobs_know_of_it_while_it_runs(lake: Settings) -> None:
    held = []
    Verification(lake, progress=lambda _: held.append(readers.oldest(lake)), read_topic=False).run()
    assert len(held) > 3
    assert None not in held[:-1]  # at last it reads the logs, and no data file
    assert readers.oldest(lake) is None


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


# -- in parts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PART_ROWS", 70)
    monkeypatch.setattr(scope, "BLOCK", 20)
    monkeypatch.setattr(verify, "IDS_AT_ONCE", 30)


@pytest.fixture
def lots(tmp_path: Path) -> Settings:
    """300 messages of two partitions in lots of 50: sales, repeated ones, conflicts and rubbish."""
    settings = settings_of(tmp_path)
    for partition in (0, 1):
        values = [sale(10_000 * partition + number % 120) for number in range(1, 141)]
        values += [sale(10_000 * partition + number, pays="Italie") for number in range(1, 6)]
        values += [b"rubbish %d" % number for number in range(5)]
        ingest(settings, values, partition=partition)
    assert loop_of(settings, EmbeddedSilver, max_rows=50).run() == 0
    return settings


@pytest.mark.usefixtures("in_small_parts")
def test_parts_give_the_same_result_as_the_whole(lots: Settings) -> None:
    report = verified(lots)
    assert report.ok, [check.differences for check in report.checks]
    assert report.checks[0].rows == 300
    assert report.unseen == []
    assert "unseen" not in json.loads(report.as_json())
    assert rows_of(lots, REJETS)


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("offset", [0, 69, 70, 71, 148])
def test_damage_at_the_edge_of_a_part_is_found(lots: Settings, offset: int) -> None:
    place = f"offset = {offset} AND partition = 1"
    _table(lots, BRONZE).update(predicate=place, updates={"key": "arrow_cast('2', 'Binary')"})
    assert verified(lots).ok, "the key is compared with the topic only"
    outcome = REJETS if offset >= 120 else CLEAN
    _table(lots, outcome).delete(place)
    failed = [check for check in verified(lots).checks if not check.ok]
    assert failed[0].differences == [f"in Bronze, in no Silver table: ('{TOPIC}', 1, {offset})"]


@pytest.mark.usefixtures("in_small_parts")
def test_what_is_held_at_once_is_bounded(lots: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    compared: list[int] = []

    def counting(con: duckdb.DuckDBPyConnection, raw: pa.Table, *more: Any, **named: Any) -> pa.Table:
        judged.append(raw.num_rows)
        return judge_batch(con, raw, *more, **named)

    class Counting(Verification):
        def _both_ways(self, con: duckdb.DuckDBPyConnection, what: str, *more: Any) -> None:
            if what == BRONZE.name:
                row = con.execute("SELECT count(*) FROM judged").fetchone()
                assert row is not None
                compared.append(row[0])
            super()._both_ways(con, what, *more)

    monkeypatch.setattr(verify, "judge_batch", counting)
    assert Counting(lots, read_topic=False).run().ok
    assert sum(judged) == sum(compared) == 300
    assert max(compared) <= 70


def test_large_messages_make_small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PART_BYTES", 3_000_000)
    settings = settings_of(tmp_path)
    for first in range(0, 12, 3):
        ingest(settings, [sale(first + number, remarque="x" * 400_000) for number in range(3)], first=first)
    whole = scope.Part(TOPIC, 0, 0, 11)
    parts = list(scope.parts_of([whole], tables.snapshot(settings, BRONZE)))
    assert [offset for part in parts for offset in range(part.first, part.last + 1)] == list(range(12))
    assert max(part.last - part.first + 1 for part in parts) <= 3_000_000 / 400_000
    assert loop_of(settings, EmbeddedSilver).run() == 0
    assert verified(settings).ok


# -- of some messages only ---------------------------------------------------------------------------------------------


def since(settings: Settings, lot: str) -> Report:
    return Verification(settings, read_topic=False, since=lot).run()


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("lot", ["1", "2", "4", "6"])
def test_since_a_lot_a_sound_lake_is_green(lots: Settings, lot: str) -> None:
    report = since(lots, lot)
    assert report.ok, [check.differences for check in report.checks]
    placed = [row for table in (CLEAN, REJETS) for row in rows_of(lots, table)]
    judged = sum(row["lot"] >= int(lot) for row in placed)
    assert report.unseen[0] == f"judged again: {judged:,} messages, lot {lot} and later ones"
    assert report.unseen[1].startswith(f"not judged again: {300 - judged:,} messages")


@pytest.mark.usefixtures("in_small_parts")
def test_since_a_lot_damage_before_it_is_not_seen_and_after_it_is(lots: Settings) -> None:
    early, late = (
        next(row for row in rows_of(lots, CLEAN) if row["lot"] == lot) for lot in (1, rows_of(lots, CLEAN)[-1]["lot"])
    )
    assert early["lot"] < late["lot"]
    change = {"client_nom": "'Somebody Else'"}
    for row, ok in ((early, True), (late, False)):
        place = f"offset = {row['offset']} AND partition = {row['partition']}"
        _table(lots, BRONZE).update(predicate=place, updates=change)
        report = since(lots, str(late["lot"]))
        assert report.ok is ok
    assert [check.invariant for check in report.checks if not check.ok] == ["I3 payload"]


@pytest.mark.usefixtures("in_small_parts")
def test_since_a_day(lots: Settings) -> None:
    assert since(lots, "2026-01-01").ok
    with pytest.raises(UsageError, match="there is no lot since 2999-01-01"):
        since(lots, "2999-01-01")
    with pytest.raises(UsageError, match="neither a lot nor a date"):
        since(lots, "yesterday")


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("percent", [1.0, 30.0, 100.0])
def test_a_sample_of_a_sound_lake_is_green_and_says_what_it_left_out(lots: Settings, percent: float) -> None:
    report = Verification(lots, sample=percent).run()
    assert report.ok, [check.differences for check in report.checks]
    said, left_out, topic = report.unseen
    judged = int(said.split()[2].replace(",", ""))
    assert judged <= 300
    assert judged == 300 or percent < 100
    assert abs(judged - 3 * percent) <= 20, "whole blocks of 20 offsets, one at least"
    assert f"not judged again: {300 - judged:,} messages" in left_out
    assert topic.startswith("the topic was not read")


@pytest.mark.usefixtures("in_small_parts")
def test_samples_find_damage_where_they_look(lots: Settings) -> None:
    """Every message of Bronze is damaged: each sample finds some. One aggregate too: it is always compared."""
    _table(lots, PAR_PAYS).update({"items_sold": "items_sold + 1"})
    _table(lots, BRONZE).update(updates={"client_nom": "'Somebody Else'"})
    report = Verification(lots, read_topic=False, sample=5.0).run()
    assert [
        check.compared.split(":")[0] for check in report.checks if not check.ok and check.invariant[:2] == "I5"
    ] == ["ventes_par_pays"]
    assert not report.checks[1].ok


def test_a_part_of_the_lake_on_the_command_line(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    mount()
    monkeypatch.setattr("ventes.config.load", lambda **_: lake)
    sampled = CliRunner().invoke(app, ["verify", "--no-topic", "--sample", "10%"])
    assert sampled.exit_code == 0, sampled.output
    assert "partly        judged again: " in sampled.stdout
    assert "verified in part as of lot" in sampled.stdout
    told = json.loads(CliRunner().invoke(app, ["verify", "--no-topic", "--since", "3", "--json"]).stdout)
    assert told["ok"] is True
    assert len(told["unseen"]) == 2
    for wrong in (["--sample", "0"], ["--sample", "much"], ["--sample", "1", "--since", "2"]):
        assert CliRunner().invoke(app, ["verify", *wrong]).exit_code != 0
