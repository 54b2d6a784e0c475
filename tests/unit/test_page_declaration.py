"""The declaration of a page: mistakes are refused with their line, and what is not declared is derived."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ventes.config import PROJECT
from ventes.stream import (
    Bars,
    Count,
    Decimals,
    DeclarationError,
    Distinct,
    Event,
    Example,
    Figure,
    Instant,
    Integer,
    Label,
    Max,
    Mean,
    Min,
    Money,
    Page,
    Rank,
    Ranking,
    Raw,
    Records,
    Stream,
    Sum,
    TabFile,
    Text,
    Timeline,
    Top,
)
from ventes.stream.loading import load

FIELDS = (
    Text("ref"),
    Instant("moment"),
    Integer("courier_id"),
    Text("zone", dimension=True),
    Text("mode", dimension=True, optional=True),
    Decimals("weight", scale=3),
)
EVENT = Event(id="ref", at="moment", fields=FIELDS)
RAW = Raw("Raw")


def stream(page: Page | None = None, fields: tuple[Any, ...] = FIELDS) -> Stream:
    return Stream("livraisons", topic="livraisons", event=Event(id="ref", at="moment", fields=fields), page=page)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: stream(Page(figures=(Figure("Total", Sum("total", "price")),))), "'price' is not one of the fields"),
        (lambda: stream(Page(figures=(Figure("Total", Sum("total", "zone")),))), "zone is Text, not a number"),
        (lambda: stream(Page(figures=(Figure("Best", Top("best", "zone")),))), "Top is no figure"),
        (lambda: stream(Page(figures=(Records("One"), Records("One")))), "two figures are called 'One'"),
        (lambda: stream(Page(figures=tuple(Records(f"{n}") for n in range(9)))), "9 figures"),
        (lambda: stream(Page(tabs=(RAW,))), "at least two"),
        (lambda: stream(Page(tabs=(RAW, RAW))), "two tabs are called 'Raw'"),
        (lambda: stream(Page(tabs=(RAW, Timeline("SQL")))), "two tabs are called 'SQL'"),
        (lambda: stream(Page(tabs=(RAW, Bars("By country", by="country")))), "'country' is not one of the fields"),
        (lambda: stream(Page(tabs=(RAW, Raw("Less", columns=("ref", "price"))))), "'price' is not one"),
        (lambda: stream(Page(labels=(Label("country", "Country"),))), "label 'Country': 'country' is not one"),
        (lambda: stream(Page(labels=(Label("zone", "Zone"), Label("zone", "Area")))), "two labels of one field"),
        (lambda: stream(Page(labels=(Label("zone", "Zone"), Label("mode", "zone")))), "two dimensions are called"),
        (lambda: stream(Page(examples=(Example("a", "SELECT 1"), Example("a", "SELECT 2")))), "two examples"),
        (
            lambda: stream(Page(tabs=(RAW, Bars("B", by="zone", measures=(Max("last", "moment"),))))),
            "a bar shows numbers",
        ),
        (lambda: stream(Page(tabs=(RAW, Ranking("B", by=("zone",), measures=(Min("a", "mode"),))))), "mode is Text"),
        (lambda: stream(Page(tabs=(RAW, Timeline("T", measures=(Min("first", "moment"),))))), "a bar shows numbers"),
        (lambda: Page(many="rides", tabs=(RAW, Timeline("T", (Sum("rides", "weight"),)))), "two choices of 'T'"),
        (lambda: Bars("By zone", by="zone", measures=()), "no measure"),
        (lambda: Bars("By zone", by="zone", measures=(Count("zone"),)), "two columns are called 'zone'"),
        (lambda: Bars("By zone", by="zone", hover="{zone} {price}"), "hover names 'price'"),
        (lambda: Bars("By zone", by="zone", hover="{zone"), "hover: "),
        (lambda: Timeline("Time", measures=(Distinct("n", "zone"),)), "Distinct n cannot be shown"),
        (lambda: Timeline("Time", measures=(Sum("events", "weight"),)), "two columns are called 'events'"),
        (lambda: Ranking("Top", by=("zone",), ranks=("weight",)), "no measure 'weight' to rank by"),
        (lambda: Ranking("Top", by=("zone",), name="mode"), "name = 'mode' is not one of by"),
        (lambda: Ranking("Top", by=("zone",), most=0), "most must be 1 to 100"),
    ],
)
def test_mistakes_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        make()
    assert said in str(refused.value)


def test_the_message_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        "from ventes.stream import *\n"
        'EVENT = Event("ref", "moment", (Text("ref"), Instant("moment")))\n'
        "PAGE = Page(\n"
        "    figures=(\n"
        '        Records("All"),\n'
        '        Figure("Total", Sum("total", "price")),\n'
        "    )\n"
        ")\n"
        'STREAM = Stream("wrong", "wrong", EVENT, page=PAGE)\n'
    )
    with pytest.raises(DeclarationError, match=r"wrong\.py, line 6: 'Total', total: 'price' is not one"):
        load(file)


def test_a_page_that_is_not_declared_is_derived() -> None:
    page = stream().shown
    assert [figure.label for figure in page.figures] == [
        "Total Records", "Unique courier ids", "Total Weight", "Mean Weight",
    ]  # fmt: skip
    assert [figure.measure for figure in page.figures[1:]] == [
        Distinct("keys_0", "courier_id"), Sum("total", "weight"), Mean("average", "weight"),
    ]  # fmt: skip
    assert [(type(tab), tab.label) for tab in page.tabs] == [
        (Bars, "By Zone"), (Bars, "By Mode"), (Ranking, "Top 10 courier ids"), (Timeline, "Timeline"),
        (Raw, "Raw Data"),
    ]  # fmt: skip
    assert all("livraisons_" in example.sql for example in page.examples)


def test_money_comes_before_other_decimals_and_dimensions_replace_keys() -> None:
    fields = (Text("ref"), Instant("moment"), Decimals("weight"), Money("fee"), Text("zone", dimension=True))
    assert [figure.label for figure in stream(fields=fields).shown.figures] == [
        "Total Records", "Unique zones", "Total Fee", "Mean Fee",
    ]  # fmt: skip


def test_a_stream_of_two_fields_has_a_page() -> None:
    page = stream(fields=(Text("ref"), Instant("moment"))).shown
    assert [type(figure) for figure in page.figures] == [Records]
    assert [type(tab) for tab in page.tabs] == [Timeline, Raw]


def test_a_part_that_is_declared_replaces_only_that_part() -> None:
    page = stream(Page(title="Parcels", figures=(Records("All"),), tabs=(RAW, TabFile("Mine", "mine.py")))).shown
    assert (page.title, [figure.label for figure in page.figures]) == ("Parcels", ["All"])
    assert page.examples == stream().shown.examples


def test_the_page_of_the_documentation_can_be_declared(tmp_path: Path) -> None:
    document = (PROJECT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(page = Page\(.*?)```", document, re.DOTALL)
    file = tmp_path / "vols.py"
    file.write_text(
        "from ventes.stream import *\n"
        'NAMES = ("carrier", "origin", "dest")\n'
        'FIELDS = (Text("ref"), Instant("at"), *(Text(name, dimension=True) for name in NAMES),\n'
        '          Text("tail"), Integer("arrival_delay", optional=True))\n'
        f'STREAM = Stream("vols", "vols", Event("ref", "at", FIELDS), {block})\n',
        encoding="utf-8",
    )
    page = load(file).shown
    assert [tab.label for tab in page.tabs] == ["By carrier", "Routes", "Over time", "Raw Data", "Weather"]
    assert [label.one for label in page.dimensions(load(file).event)] == ["Carrier", "Destination", "Origin"]


def test_filters_stand_in_the_order_of_their_labels() -> None:
    page = Page(labels=(Label("weight", "Weight"), Label("mode", "Mode", "modes of transport"), Label("zone", "Zone")))
    assert [(label.field, label.plural) for label in page.dimensions(EVENT)] == [
        ("mode", "modes of transport"), ("zone", "zones"),
    ]  # fmt: skip


def test_ranks_are_the_measures_unless_they_are_declared() -> None:
    measures = (Count("parcels"), Sum("weight", "weight"))
    assert Ranking("Top", by=("zone",), measures=measures).ranked == (Rank("parcels"), Rank("weight"))
    assert Ranking("Top", by=("zone",), measures=measures, ranks=("weight",)).ranked == (Rank("weight"),)


@pytest.mark.parametrize(("one", "said"), [("sale", "a sale"), ("event", "an event"), ("Order", "an Order")])
def test_the_article(one: str, said: str) -> None:
    assert Page(one=one).a_one == said
