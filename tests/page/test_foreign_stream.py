"""The page of a stream that is no sale: other names, optional fields, no money; figures against pandas."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from streamlit.testing.v1 import AppTest

from harness.cards import cards_of
from harness.page_site import SCRIPT, toml
from tests.page.conftest import Run
from ventes.contract import tables
from ventes.stream.loading import load

FIELDS = """
from decimal import Decimal
from ventes.stream import *

EVENT = Event(
    id="ref",
    at="taken",
    fields=(
        Text("ref"),
        Instant("taken", column="heure"),
        Integer("courier_id", least=1),
        Text("zone", dimension=True),
        Text("mode", dimension=True, optional=True),
        Boolean("express", dimension=True),
        Integer("delay", least=-1000, most=1000, optional=True),
        Decimals("weight", scale=3, least=Decimal(0), most=Decimal(1000)),
    ),
)
AGGREGATES = (
    Aggregate(
        "courses_par_zone",
        by=("zone", "express", ByDay()),
        measures=(Count("courses"), Sum("poids", "weight"), Max("plus_lourd", "weight"), Sum("retard", "delay")),
    ),
    Aggregate("courses_lourdes", by=("zone",), measures=(Count("courses"),), where="weight > 500"),
    Aggregate("courses_par_minute", by=("zone", ByMinute()), measures=(Count("courses"), Sum("poids", "weight"))),
)
"""
PAGE = """
PAGE = Page(
    title="Rides, live",
    one="ride",
    many="rides",
    figures=(
        Records("All messages"),
        Figure("Couriers", Distinct("couriers", "courier_id")),
        Figure("Mean delay", Mean("delay_mean", "delay", scale=1)),
        Figure("Heaviest", Max("heaviest", "weight"), note="ever"),
        Figure("Weight", Sum("kilos", "weight")),
    ),
    tabs=(
        Bars("Zones", by="zone", measures=(Sum("kilos", "weight"), Count("rides"), Max("heaviest", "weight"))),
        Bars("Delays", by="zone", measures=(Count("rides"), Sum("delay", "delay"), Mean("delay_mean", "delay"))),
        Bars("Weights", by="zone", measures=(Sum("weight", "weight"), Distinct("weights", "weight"))),
        Bars("Modes", by="mode", measures=(Count("rides"), Mean("delay_mean", "delay"), Min("delay_min", "delay"))),
        Ranking("Couriers", by=("courier_id", "mode"), measures=(Count("rides"), Mean("average", "delay")), most=5),
        Ranking("Zones by weight", by=("zone",), measures=(Sum("kilos", "weight"), Max("heaviest", "weight"))),
        Timeline("Over time", measures=(Sum("kilos", "weight"), Mean("delay_mean", "delay"))),
        Raw("Newest"),
        TabFile("By hand", "hand.py"),
    ),
    labels=(Label("express", "Express", "speeds"), Label("mode", "Mode")),
)
"""
BY_HAND = """
from __future__ import annotations
from dataclasses import dataclass
import streamlit as st
from ventes.dashboard.questions import question
from ventes.stream import Count

RIDES = question("rides", ("zone",), Count("n"))

@dataclass(frozen=True)
class Found:
    n: int

def render(view):
    with view.sums(RIDES) as con:
        found = Found(con.execute("SELECT sum(n)::BIGINT FROM rides").fetchone()[0])
    st.metric("By hand", found.n, help=", ".join(view.answered_by(RIDES)))
"""
NOW = datetime.now(timezone.utc).replace(microsecond=0)
ROWS = 400
REJECTED = 30


def events() -> pd.DataFrame:
    """The clean events. Some have no mode or no delay; delays may be negative."""
    rng = Random(7)
    rows = [
        {
            "ref": f"R{number:05d}",
            "taken": NOW - timedelta(seconds=rng.randrange(3 * 86_400)),
            "courier_id": rng.randint(1, 40),
            "zone": rng.choice(["Nord", "Sud", "$Est", "<b>Ouest</b>"]),
            "mode": rng.choice(["vélo", "scooter", None]),
            "express": rng.random() < 0.3,
            "delay": rng.choice([None, rng.randint(-60, 900)]),
            "weight": Decimal(rng.randrange(1, 900_000)).scaleb(-3),
        }
        for number in range(ROWS)
    ]
    frame = pd.DataFrame(rows).astype({"delay": "Int64"})
    frame["mode"] = frame["mode"].astype(object).where(frame["mode"].notna(), None)
    return frame


@pytest.fixture(scope="module")
def rides() -> pd.DataFrame:
    return events()


@pytest.fixture(params=["page declared", "page derived", "no roll-up"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, rides: pd.DataFrame) -> Path:
    """A pipeline's folder with the declaration and its tables, written by another Delta library."""
    page = ", page=PAGE" if request.param != "page derived" else ""
    aggregates = ", tables=AGGREGATES" if request.param != "no roll-up" else ""
    declared = f'STREAM = Stream("courses", "rides.v1", EVENT{aggregates}{page})\n'
    (tmp_path / "courses.py").write_text(f"{FIELDS}{PAGE}{declared}", encoding="utf-8")
    (tmp_path / "hand.py").write_text(BY_HAND, encoding="utf-8")
    path = toml(tmp_path, "[page]\nsql_seconds = 30\n")
    path.write_text(f'stream = "courses.py"\n{path.read_text()}', encoding="utf-8")
    write_lake(tmp_path, rides)
    return tmp_path


def write_lake(folder: Path, rides: pd.DataFrame) -> None:
    contract = tables.of_stream(load(folder / "courses.py"))
    every: dict[str, Any] = {"topic_id": "T", "partition": 0, "lot": 1, "date_traitement": NOW}
    clean = rides.rename(columns={"taken": "heure"}).assign(**every, _extra=None, en_retard=False)
    clean["offset"] = range(len(clean))
    clean["kafka_ts"] = clean["date_ingestion"] = clean["heure"] + timedelta(seconds=2)
    clean["jour"] = clean["heure"].dt.date
    bad = pd.DataFrame({"ref": [None] * REJECTED, "offset": range(ROWS, ROWS + REJECTED)}).assign(**every)
    bad["motifs"] = [["missing:ref", "missing:zone"]] * REJECTED
    bad["value"] = b'{"zone": null}'
    bad["kafka_ts"] = bad["date_ingestion"] = NOW
    bronze = pd.concat(
        [clean.rename(columns={"heure": "taken"}).astype(object), bad.assign(jour=NOW.date()).astype(object)]
    )
    bronze["motifs"] = [[]] * ROWS + [["missing:ref", "missing:zone"]] * REJECTED
    by_zone = rides.assign(jour=rides["taken"].dt.date).groupby(["zone", "express", "jour"])
    by_minute = rides.assign(minute=rides["taken"].dt.floor("min")).groupby(["zone", "minute"])["weight"]
    written = {
        contract.clean.name: clean,
        contract.rejets.name: bad,
        "courses_par_zone": by_zone.agg(
            courses=("weight", "count"), poids=("weight", "sum"), plus_lourd=("weight", "max"), retard=("delay", "sum")
        ).reset_index(),
        "courses_lourdes": pd.DataFrame({"zone": ["Nord"], "courses": [1]}),
        "courses_par_minute": by_minute.agg(courses="count", poids="sum").reset_index(),
    }
    write(folder / "delta" / "bronze" / "rides.v1", contract.bronze, bronze)
    for table in contract.silver:
        write(folder / "delta" / "silver" / table.name, table, written[table.name])


def write(path: Path, table: Any, rows: pd.DataFrame) -> None:
    columns = {name: rows[name].to_list() if name in rows else [None] * len(rows) for name in table.schema.names}
    found = {
        name: pa.array(values, table.schema.field(name).type, from_pandas=True) for name, values in columns.items()
    }
    write_deltalake(str(path), pa.table(found), partition_by=list(table.partition_by), name=table.name)


def half_up(total: Decimal | int, count: int, places: str) -> Decimal:
    return (Decimal(total) / count).quantize(Decimal(places), ROUND_HALF_UP)


def figures(rides: pd.DataFrame, records: int) -> list[str]:
    known = [int(delay) for delay in rides["delay"].dropna()]
    return [
        f"{records:,}",
        f"{rides['courier_id'].nunique():,}",
        f"{half_up(Decimal(sum(known)), len(known), '0.1')}",
        f"{max(rides['weight']):,}",
        f"{sum(rides['weight'], Decimal(0)):,}",
    ]


def today(rides: pd.DataFrame) -> pd.DataFrame:
    return rides[rides["taken"].dt.date == datetime.now(timezone.utc).date()]


DAYS = ((NOW - timedelta(days=2)).date(), (NOW - timedelta(days=1)).date())
FILTERS: dict[str, tuple[dict[str, Any], Callable[[pd.DataFrame], pd.Series[bool]]]] = {
    "a zone": ({"zone": "$Est"}, lambda rides: rides["zone"] == "$Est"),
    "an optional field": ({"mode": "vélo"}, lambda rides: rides["mode"] == "vélo"),
    "true or false": ({"express": "true"}, lambda rides: rides["express"]),
    "a zone and a period": (
        {"zone": "Sud", "period": "Custom", "days": [str(day) for day in DAYS]},
        lambda rides: (rides["zone"] == "Sud")
        & rides["taken"].dt.date.between(*DAYS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("folder", ["page declared", "no roll-up"], indirect=True)
def test_the_figures(run: Run, rides: pd.DataFrame) -> None:
    page = run()
    assert [card.value for card in cards_of(page)] == figures(rides, ROWS + REJECTED)
    assert [card.label for card in cards_of(page)] == ["All messages", "Couriers", "Mean delay", "Heaviest", "Weight"]
    of_day = figures(today(rides), len(today(rides)))
    notes = [f"{of_day[0]} rides today", f"{of_day[1]} today", f"{of_day[2]} today", "ever", f"{of_day[4]} today"]
    assert [card.note for card in cards_of(page)] == notes
    assert page.title[0].value == "Rides, live"


@pytest.mark.parametrize("chosen", FILTERS)
@pytest.mark.parametrize("folder", ["page declared", "no roll-up"], indirect=True)
def test_filters_narrow_every_figure(run: Run, rides: pd.DataFrame, chosen: str) -> None:
    query, passes = FILTERS[chosen]
    passed = rides[passes(rides)]
    assert 0 < len(passed) < ROWS
    assert [card.value for card in cards_of(run(**query))] == figures(passed, len(passed))


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_the_filters_are_the_dimensions(run: Run) -> None:
    shown = run().multiselect
    assert [(one.label, one.options) for one in shown] == [
        ("Express", ["false", "true"]), ("Mode", ["scooter", "vélo"]),
        ("Zone", ["$Est", "<b>Ouest</b>", "Nord", "Sud"]),
    ]  # fmt: skip


@pytest.mark.parametrize("folder", ["page declared", "no roll-up"], indirect=True)
def test_bars_are_sums_of_each_value(run: Run, rides: pd.DataFrame) -> None:
    rows = run("Zones", table="zone").dataframe[0].value
    by_zone = rides.groupby("zone")["weight"]
    wanted = sorted(
        zip(by_zone.groups, by_zone.sum(), by_zone.count(), by_zone.max(), strict=True), key=lambda r: -r[1]
    )
    assert rows.columns.tolist() == ["Zone", "Kilos", "Rides", "Heaviest"]
    assert [(row.Zone, Decimal(row.Kilos), row.Rides, Decimal(row.Heaviest)) for row in rows.itertuples()] == wanted


@pytest.mark.parametrize("folder", ["page declared", "no roll-up"], indirect=True)
def test_a_mean_counts_only_events_that_have_the_field(run: Run, rides: pd.DataFrame) -> None:
    """The roll-up has the sum, and the number of all events."""
    wanted = {}
    for zone, group in rides.groupby("zone"):
        known = [int(delay) for delay in group["delay"].dropna()]
        wanted[zone] = (len(group), sum(known), half_up(Decimal(sum(known)), len(known), "0.01"))
    rows = run("Delays", table="zone").dataframe[0].value
    assert {row[1]: (row[2], row[3], Decimal(row[4])) for row in rows.itertuples()} == wanted


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_a_measure_may_be_called_like_its_field(run: Run, rides: pd.DataFrame) -> None:
    rows = run("Weights", table="zone").dataframe[0].value
    by_zone = rides.groupby("zone")["weight"]
    wanted = dict(zip(by_zone.groups, zip(by_zone.sum(), by_zone.nunique(), strict=True), strict=True))
    assert {row.Zone: (Decimal(row.Weight), row.Weights) for row in rows.itertuples()} == wanted


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_an_absent_value_has_a_bar_of_its_own(run: Run, rides: pd.DataFrame) -> None:
    rows = run("Modes", table="mode").dataframe[0].value
    wanted = {}
    for mode, group in rides.groupby("mode", dropna=False):
        known = [int(delay) for delay in group["delay"].dropna()]
        name = mode if isinstance(mode, str) else "–"
        wanted[name] = (len(group), half_up(Decimal(sum(known)), len(known), "0.01"), min(known))
    found = {row[1]: (row[2], Decimal(row[3]), row[4]) for row in rows.itertuples()}
    assert found == wanted


def chart(page: AppTest) -> dict[str, Any]:
    """Plotly's figure on the open tab."""

    def walk(block: Any) -> list[Any]:
        children = getattr(block, "children", None)
        return [block] if children is None else [found for child in children.values() for found in walk(child)]

    drawn = [one.proto.json for one in walk(page._tree) if getattr(one, "type", "") == "bidi_component"]
    (data,) = [data for one in drawn if "figure" in (data := json.loads(one))]
    figure: dict[str, Any] = json.loads(data["figure"])
    return figure


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_the_ranking(run: Run, rides: pd.DataFrame) -> None:
    sizes = rides.groupby(["courier_id", "mode"], dropna=False).size()
    (trace,) = chart(run("Couriers"))["data"]
    assert trace["x"] == sorted(sizes, reverse=True)[:5]
    assert "<br>Mode " in trace["customdata"][0]
    (by_mean,) = chart(run("Couriers", rank="Average"))["data"]
    means = rides.dropna(subset=["delay"]).astype({"delay": float}).groupby(["courier_id", "mode"], dropna=False)
    assert by_mean["x"] == pytest.approx(sorted(means["delay"].mean(), reverse=True)[:5], abs=0.005)


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_two_rankings_have_their_own_choice(run: Run, rides: pd.DataFrame) -> None:
    query = {"rank": "Average", "rank2": "Heaviest"}
    (trace,) = chart(run("Zones by weight", **query))["data"]
    assert trace["x"] == pytest.approx(sorted(map(float, rides.groupby("zone")["weight"].max()), reverse=True))
    page = run("Couriers", **query)
    assert page.subheader[0].value == "Largest courier ids by average"


@pytest.mark.parametrize("folder", ["page declared", "no roll-up"], indirect=True)
def test_the_timeline_counts_every_ride_once(run: Run, rides: pd.DataFrame) -> None:
    page = run("Over time", show="Rides")
    assert page.subheader[0].value.startswith("Rides per ")
    assert sum(chart(page)["data"][0]["y"]) == ROWS
    assert chart(run("Over time"))["data"][0]["y"][-1] == ROWS
    days = rides["taken"].dt.date.between(*DAYS)
    narrowed = run("Over time", show="Rides", period="Custom", days=[str(day) for day in DAYS])
    assert sum(chart(narrowed)["data"][0]["y"]) == days.sum() < ROWS
    kilos = chart(run("Over time", show="Kilos"))["data"][0]["y"]
    assert sum(kilos) == pytest.approx(float(sum(rides["weight"])))


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_the_newest_messages_have_the_declared_columns(run: Run, rides: pd.DataFrame) -> None:
    rows = run("Newest").dataframe[0].value
    fields = ["ref", "taken", "courier_id", "zone", "mode", "express", "delay", "weight"]
    assert rows.columns.tolist() == [*fields, "verdict", "kafka_ts", "partition", "offset", "jour", "value"]
    assert rows["verdict"].tolist().count("missing:ref, missing:zone") == REJECTED
    newest = rides.sort_values("taken", ascending=False)["taken"].dt.tz_localize(None)
    assert rows["taken"].dropna().tolist() == newest.tolist()[: 100 - REJECTED]


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_rejected_messages(run: Run) -> None:
    page = run("Rejected Messages")
    assert [card.value for card in page.metric] == [f"{ROWS + REJECTED}", f"{ROWS}", f"{REJECTED}", "0", "0"]
    assert page.metric[1].label == "= clean rides"
    assert page.dataframe[0].value.columns.tolist() == [
        "received", "reasons", "why", "message", "ref", "partition", "offset",
    ]  # fmt: skip


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_the_delays(run: Run) -> None:
    page = run("Freshness")
    assert page.subheader[0].value == "How long a ride takes"
    assert page.metric[1].value == "2.00 s"


@pytest.mark.parametrize(("folder", "table"), [("page declared", "courses_par_zone"), ("no roll-up", "courses_clean")],
                         indirect=["folder"])  # fmt: skip
def test_a_tab_by_hand_asks_the_same_rows(run: Run, rides: pd.DataFrame, table: str) -> None:
    card = run("By hand", zone="Nord").metric[0]
    assert (card.value, card.help) == (f"{(rides['zone'] == 'Nord').sum()}", table)


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_a_tab_file_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hand.py").unlink()
    monkeypatch.setenv("VENTES_CONFIG", str(folder / "ventes.toml"))
    page = AppTest.from_file(str(SCRIPT), default_timeout=60)
    page.query_params["tab"] = "By hand"
    page.run()
    assert not page.exception
    (said,) = [one.value.replace("\\", "") for one in page.error]
    assert str(folder / "hand.py") in said
    assert "No such file" in said


@pytest.mark.parametrize("folder", ["page derived"], indirect=True)
def test_a_page_that_is_not_declared(run: Run, rides: pd.DataFrame) -> None:
    page = run()
    labels = [tab.label for tab in page.tabs]
    assert labels == ["By Zone", "By Mode", "By Express", "Top 10 courier ids", "Timeline", "Raw Data",
                      "Rejected Messages", "Freshness", "SQL"]  # fmt: skip
    weight = sum(rides["weight"], Decimal(0))
    wanted = [
        f"{ROWS + REJECTED}",
        f"{rides['courier_id'].nunique()}",
        f"{weight:,}",
        f"{half_up(weight, ROWS, '0.01')}",
    ]
    for label in labels:
        assert [card.value for card in cards_of(run(label))][:4] == wanted


@pytest.mark.parametrize("folder", ["page declared"], indirect=True)
def test_sql_knows_the_tables_and_offers_examples(run: Run) -> None:
    page = run("SQL")
    assert page.selectbox(key="_example").options == [
        "Rides per hour of the day", "Why messages were rejected", "Late rides",
    ]  # fmt: skip
    for example in page.selectbox(key="_example").options:
        page.selectbox(key="_example").select(example).run()
        assert not [one.value for one in page.error]
    assert "`courses_par_zone`" in page.caption[0].value
    page.text_area[0].set_value("SELECT COUNT(*) AS n FROM bronze_data").run()
    assert page.dataframe[0].value["n"].tolist() == [ROWS + REJECTED]


def test_a_declaration_that_is_refused_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PAGE.replace('by="zone"', 'by="price"')
    (tmp_path / "courses.py").write_text(f'{FIELDS}{wrong}STREAM = Stream("courses", "rides.v1", EVENT, page=PAGE)\n')
    path = toml(tmp_path)
    path.write_text(f'stream = "courses.py"\n{path.read_text()}', encoding="utf-8")
    monkeypatch.setenv("VENTES_CONFIG", str(path))
    page = AppTest.from_file(str(SCRIPT), default_timeout=60)
    page.run()
    assert not page.exception
    said = page.error[0].value.replace("\\", "")
    assert "courses.py, line" in said
    assert "'price' is not one of the fields" in said


def test_the_oracle_has_what_is_special(rides: pd.DataFrame) -> None:
    assert rides["mode"].isna().any()
    assert rides["delay"].isna().any()
    assert (rides["delay"].dropna() < 0).any()
    assert isinstance(rides["taken"].dt.date.iloc[0], date)
