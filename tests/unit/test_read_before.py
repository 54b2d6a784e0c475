"""A field that is declared after messages with it were read: `verify` knows what Bronze and Silver hold of them."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from harness import silver_run
from harness.ingested import ARRIVAL, TOPIC, ingest
from ventes.check import read_before, scope
from ventes.check.report import Check, Report
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.judging.judge_batch import judge_messages
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper

FIRST = """
from ventes.stream import *

FIELDS = (Text("ref", column="reference"), Instant("at"), Text("shop", path="place.shop"), Integer("items"))
TABLES = (Aggregate("by_shop", ("shop",), (Count("orders"), Sum("items", "items"))),)
MORE = ()
"""
LATER = """
FIELDS += (Text("pay", path="payment.method", optional=True, column="paid_by"), Decimals("fee", optional=True))
MORE = (Aggregate("by_pay", ("pay",), (Count("orders"), Sum("fees", "fee"))),)
"""
LAST = """
FIELDS += (Integer("floor", path="place.floor", optional=True),)
"""
STREAM = """
STREAM = Stream("orders", "orders", Event("ref", "at", FIELDS), tables=TABLES + MORE)
"""


def declared(folder: Path, *parts: str) -> Settings:
    path = folder / f"orders_{len(parts)}.py"
    path.write_text("".join((*parts, STREAM)), encoding="utf-8")
    return silver_run.settings_of(folder, stream=str(path), kafka={"topic": "orders"})


def order(number: int, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "ref": f"R{number}",
        "at": (ARRIVAL - timedelta(seconds=number)).isoformat(),
        "place": {"shop": "Nord" if number % 3 else "Sud", "floor": number % 4},
        "items": 1 + number % 5,
        "payment": {"method": "card" if number % 2 else "cash", "token": number},
        "fee": "0.25",
    }
    if number % 7 == 0:
        del fields["payment"], fields["fee"]
    return json.dumps(fields | changes).encode()


ODD = [
    order(3),  # again
    order(4, items=99),  # a conflict
    order(200, payment={"method": "x" * 300}),  # the later field is too long
    order(201, fee="much"),  # no column can hold it
    order(202, fee=None, payment=None),
    b'{"ref": "R203"}',
    b"no order",
]


def take(settings: Settings, values: list[bytes], first: int) -> None:
    ingest(settings, values, first)
    assert silver_run.run(settings, make_engine=EmbeddedSilver) == 0


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose declaration got two fields and a table between two lots."""
    folder = tmp_path_factory.mktemp("grown")
    take(declared(folder, FIRST), [*map(order, range(60)), *ODD], 0)
    take(declared(folder, FIRST, LATER), [*map(order, range(60, 90)), order(60), order(5)], 67)
    return folder


@pytest.fixture
def lake(grown: Path, tmp_path: Path) -> Settings:
    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    return declared(tmp_path, FIRST, LATER)


def verified(settings: Settings) -> Report:
    return Verification(settings, read_topic=False).run()


def wrong(report: Report) -> dict[str, list[str]]:
    return {check.invariant: check.differences for check in report.checks if check.asked and not check.ok}


def notes(report: Report) -> list[str]:
    return [note for check in report.checks for note in check.notes]


def unasked(report: Report) -> list[Check]:
    return [check for check in report.checks if not check.asked]


def test_what_was_read_before_a_field_was_declared_is_no_damage(lake: Settings) -> None:
    report = verified(lake)
    assert report.ok, wrong(report)
    sent = sum(number % 7 > 0 for number in range(60)) + len(["R200", "R201", "R202"])
    assert f"{sent} clean events were read before pay, fee were declared" in "\n".join(notes(report))
    assert all("`ventes rebuild silver` takes the values" in note for note in notes(report))


def test_a_rebuild_takes_the_values_and_bronze_keeps_what_it_read(lake: Settings) -> None:
    rebuild(lake, lambda _: None, lambda _: None, Stopper())
    report = verified(lake)
    assert report.ok, wrong(report)
    assert notes(report) == []
    table = contract.of(lake).by_name["by_pay"]
    rows = sorted(tables.snapshot(lake, table).arrow().to_pylist(), key=lambda row: row["pay"] or "")
    sent = [number for number in range(90) if number % 7]
    odd = sum(number % 2 for number in sent)
    # R201's fee is no number: it is rejected now; R202 has neither
    assert [(row["pay"], row["orders"]) for row in rows if row["pay"]] == [("card", odd), ("cash", len(sent) - odd)]
    assert rows[1]["fees"] == odd * Decimal("0.25")


@pytest.mark.parametrize("rows", [4, scope.PART_ROWS])
def test_two_fields_that_came_one_after_the_other(lake: Settings, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PART_ROWS", rows)
    rebuild(lake, lambda _: None, lambda _: None, Stopper())
    again = declared(lake.lake.parent, FIRST, LATER, LAST)
    take(again, [*map(order, range(90, 100)), order(7), order(8)], 99)
    report = verified(again)
    assert report.ok, wrong(report)
    assert "read before floor was declared" in "\n".join(notes(report))
    rebuild(again, lambda _: None, lambda _: None, Stopper())
    report = verified(again)
    assert (report.ok, notes(report)) == (True, []), wrong(report)


DAMAGE = [
    ("bronze", {"pay": "NULL"}, "I3 payload"),
    ("bronze", {"items": "items + 1"}, "I3 payload"),
    ("orders_clean", {"paid_by": "NULL"}, "I4 silver"),
    ("orders_clean", {"items": "items + 1"}, "I4 silver"),
]


@pytest.mark.parametrize(
    ("offset", "table", "changed", "invariant"),
    [
        (offset, *damage)
        for offset in (10, 71)
        for damage in DAMAGE
        if offset == 71 or "NULL" not in damage[1].values()  # a later field is NULL in rows of before anyway
    ],
)
def test_damage_is_found_in_rows_of_before_and_of_now(
    lake: Settings, offset: int, table: str, changed: dict[str, str], invariant: str
) -> None:
    path = path_of(lake, contract.of(lake).by_name[table])
    DeltaTable(path).update(predicate=f"offset = {offset}", updates=changed)
    assert invariant in wrong(verified(lake))


# -- in parts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "PART_ROWS", 4)
    monkeypatch.setattr(scope, "BLOCK", 4)


def test_parts_give_the_same_notes_as_the_whole(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated and odd messages, from offset 60 on, are in parts without other messages."""
    judged: list[int] = []

    def counting(con: duckdb.DuckDBPyConnection, raw: pa.Table, *more: Any) -> pa.Table:
        judged.append(raw.num_rows)
        return judge_messages(con, raw, *more)

    whole = notes(verified(lake))
    monkeypatch.setattr(read_before, "judge_messages", counting)
    monkeypatch.setattr(scope, "PART_ROWS", 4)
    report = verified(lake)
    assert report.ok, wrong(report)
    assert notes(report) == whole != []
    assert 0 < max(judged) <= 4


@pytest.mark.usefixtures("in_small_parts")
def test_two_sets_of_later_fields_without_a_rebuild(lake: Settings) -> None:
    again = declared(lake.lake.parent, FIRST, LATER, LAST)
    take(again, [*map(order, range(90, 100)), order(7), order(8), order(61)], 99)
    report = verified(again)
    assert report.ok, wrong(report)
    assert [note.split(" read before ")[1].split(" declared")[0] for note in notes(report)] == [
        "floor was",
        "pay, fee, floor were",
    ]


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("part", [{"since": "1"}, {"since": "2"}, {"sample": 10.0}, {"sample": 60.0}])
def test_of_some_messages_only_it_is_no_damage_either(lake: Settings, part: dict[str, Any]) -> None:
    report = Verification(lake, read_topic=False, **part).run()
    assert report.ok, wrong(report)
    assert len(report.unseen) == 2
    if part == {"since": "2"}:
        assert notes(report) == [], "the messages before are not judged again"


@pytest.mark.usefixtures("in_small_parts")
def test_a_sample_of_repeated_messages_only(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silver compared them without the later fields, which no judged clean event shows."""
    odd = scope.Part(TOPIC, 0, 60, 61)
    monkeypatch.setattr("ventes.check.verify.sample_of", lambda *_: scope.Scope((odd,), 4, False, "two"))
    report = Verification(lake, read_topic=False, sample=1.0).run()
    assert report.ok, wrong(report)
    assert report.unseen[0] == "judged again: 2 messages, two"


# -- before the restart ------------------------------------------------------------------------------------------------


def test_before_the_jobs_have_the_new_declaration_only_the_new_table_cannot_be_asked(tmp_path: Path) -> None:
    take(declared(tmp_path, FIRST), [*map(order, range(30))], 0)
    for heartbeat in (tmp_path / "state" / "run").glob("silver*.json"):
        heartbeat.unlink()  # this process lives, and runs no Silver job
    later = declared(tmp_path, FIRST.replace('Sum("items"', 'Max("items"'), LATER)
    report = verified(later)
    assert wrong(report) == {}
    said = [(check.compared, check.differences) for check in unasked(report)]
    assert [compared for compared, _ in said] == [
        "by_shop is as an earlier declaration has it",
        "by_pay is declared and not made yet",
    ]


def test_a_limit_that_changed_names_the_rebuild_first(tmp_path: Path) -> None:
    take(declared(tmp_path, FIRST), [*map(order, range(30))], 0)
    report = verified(declared(tmp_path, FIRST.replace('Integer("items")', 'Integer("items", most=3)'), ""))
    (said, *_) = wrong(report)["I4 silver"]
    assert said.startswith("12 clean events are rejected by the rules of now")
    assert "`ventes rebuild silver`" in said
