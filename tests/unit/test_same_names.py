"""Two declared things that would make the same column, or the same table, are refused with the line of the second."""

from __future__ import annotations

from pathlib import Path

import pytest

from ventes.stream.declared import DeclarationError
from ventes.stream.loading import load

EVENT = """from ventes.stream import *
FIELDS = (
    Text("id"),
    Instant("at"),
    Integer("pieces", least=1, most=1000),
    Money("price", column="amount"),
    Text("shop", dimension=True),
)
"""
"""Seven lines and an end: what a case declares begins in line 9."""


def refusal(folder: Path, declared: str) -> str:
    path = folder / "s.py"
    path.write_text(EVENT + declared, encoding="utf-8")
    with pytest.raises(DeclarationError) as refused:
        load(path)
    return str(refused.value).removeprefix(f"{path}, ")


def of(fields: str = "", tables: str = "", rest: str = "") -> str:
    """A stream whose parts begin in the lines 12 (fields), 15 (tables) and 17 (the rest)."""
    return f"""
STREAM = Stream("s", "s",
    event=Event("id", "at", (*FIELDS,
    {fields}
    )),
    tables=(
    {tables}
    ),
    {rest}
)
"""


RATIO = 'Quotient("{}", amount="price", count="pieces"),'


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (RATIO.format("lot"), "line 12: quotient 'lot': every stream has a column of this name"),
        (RATIO.format("_extra"), "line 12: quotient '_extra': use a letter"),
        (RATIO.format("Jour"), "line 12: quotient 'Jour': every stream has a column"),
        (RATIO.format("amount"), "line 12: column of the clean events 'amount': line 6 has this name too"),
        (RATIO.format("Amount"), "line 12: column of the clean events 'Amount': line 6 has"),
        (RATIO.format("shop"), "line 12: field 'shop': line 7 has this name too"),
        ('Text("amount"),', "line 12: column of the clean events 'amount': line 6 has"),
        ('Text("x", column="SHOP"),', "line 12: column of the clean events 'SHOP': line 7 has"),
        ('Text("x", column="offset"),', "line 12: column of x 'offset': every stream has a column"),
        ('Text("signalements"),', "line 12: field 'signalements': every stream has a column"),
        ('Text("Shop", path="b"),', "line 12: field 'Shop': line 7 has this name too"),
        ('Text("x", path="shop"),', "line 12: field x: line 7 reads the same value: shop and shop"),
        ('Text("x", path="shop.name"),', "line 12: field x: line 7 reads the same value: shop and shop.name"),
    ],
)
def test_of_the_event(tmp_path: Path, fields: str, said: str) -> None:
    assert refusal(tmp_path, of(fields)).startswith(said)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('Aggregate("t", ("shop", "SHOP"), (Count("n"),)),', "line 15: t: by has 'SHOP' twice"),
        ('Aggregate("t", ("shop", "shop"), (Count("n"),)),', "line 15: t: by has 'shop' twice"),
        ('Aggregate("t", ("shop", ByDay("Shop")), (Count("n"),)),', "line 15: t: by has 'Shop' twice"),
        ('Aggregate("t", (ByMonth("lot"),), (Count("n"),)),', "line 15: grain 'lot': every stream has"),
        ('Aggregate("t", (ByMonth("jour"),), (Count("n"),)),', "line 15: grain 'jour': every stream has"),
        ('Aggregate("t", ("shop",), (\n    Count("n"),\n    Sum("N", "pieces"),\n    )),',
         "line 17: t: column 'N': line 16 has this name too"),
        ('Aggregate("t", ("shop",), (\n    Count("shop"),\n    )),', "line 16: t: column 'shop': line 15 has"),
        ('Aggregate("t", ("shop",), (Mean("kafka_ts", "price"),)),', "line 15: measure 'kafka_ts': every stream"),
        ('Aggregate("t", ("shop",), (Count("_n"),)),', "line 15: measure '_n': use a letter"),
        ('Aggregate("S_Clean", ("shop",), (Count("n"),)),', "line 15: table 'S_Clean': every stream has a table"),
        ('Aggregate("bronze_data", ("shop",), (Count("n"),)),', "line 15: table 'bronze_data': every stream has"),
        ('Aggregate("t", ("shop",), (Count("n"),)),\n    Aggregate("T", ("shop",), (Count("n"),)),',
         "line 16: table 'T': line 15 has this name too"),
    ],
)  # fmt: skip
def test_of_an_aggregate(tmp_path: Path, tables: str, said: str) -> None:
    assert refusal(tmp_path, of(tables=tables)).startswith(said)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ('summary=(Count("n"), Sum("N", "pieces")),', "line 17: summary: figure 'N': line 17 has this name too"),
        ('summary=(Sum("records", "pieces"),),', "line 17: summary: records cannot be one"),
        ('summary=(Sum("class", "pieces"),),', "line 17: summary: class cannot be one"),
        ('rules=(Rule("r", "true", ""), Rule("r", "false", "")),', "line 17: rule 'r': line 17 has this name too"),
    ],
)
def test_of_the_stream(tmp_path: Path, rest: str, said: str) -> None:
    assert refusal(tmp_path, of(rest=rest)).startswith(said)


def test_names_that_may_meet(tmp_path: Path) -> None:
    """A field may be called like the column of another one that has it under another name; a grain by its own unit."""
    fields = 'Text("amount", column="sum"), ' + RATIO.format("price_each")
    tables = 'Aggregate("t", ("amount", ByDay("jour")), (Count("montant"), Sum("price", "price"))),'
    path = tmp_path / "s.py"
    path.write_text(EVENT + of(fields, tables), encoding="utf-8")
    stream = load(path)
    assert stream.tables[0].key == ("amount", "jour")
