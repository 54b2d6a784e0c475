"""The flights through the embedded engine, lot by lot: pandas recomputes figures of every aggregate table."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import silver_run
from harness.lot_counts import assert_reported
from harness.messages import raw_table
from ventes.check.measure import sizes
from ventes.config import PROJECT, Settings
from ventes.contract import tables as contract
from ventes.dashboard.filters import Filters
from ventes.dashboard.questions import Grouped, Sources
from ventes.deltalog.commit import append
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.judging.judge_batch import judge_batch
from ventes.lake import tables
from ventes.lake.open_tables import OpenTables
from ventes.producer import flights
from ventes.stream import Bars, Share

COUNT = 5_000
NOT_NEW = [b'{"vol_id":"x"}', b"flight"]


@pytest.fixture(scope="module")
def sent() -> list[bytes]:
    return [message.value for message in islice(flights.flights(flights.data_file()), COUNT)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sent: list[bytes]) -> Settings:
    """The flights, seven of them twice, and two messages that are none, in lots of 1,500."""
    settings = silver_run.settings_of(tmp_path_factory.mktemp("vols"), stream=str(PROJECT / "streams" / "vols.py"))
    own = contract.of(settings)
    for table in own.all:
        tables.ensure(settings, table)
    with connect(500) as con:
        rows = judge_batch(con, raw_table([*sent, *sent[:7], *NOT_NEW]), settings, datetime.now(timezone.utc))
    append(Log.open(tables.path_of(settings, own.bronze)), own.bronze, rows.cast(own.bronze.schema), "test", 1)
    assert silver_run.run(settings, max_rows=1_500, make_engine=EmbeddedSilver) == 0
    return settings


@pytest.fixture(scope="module")
def frame(sent: list[bytes]) -> pd.DataFrame:
    events = pd.DataFrame([json.loads(value) for value in sent])
    return events.assign(jour=pd.to_datetime(events["depart_prevu"]).dt.date)


def stored(settings: Settings, name: str) -> pd.DataFrame:
    return pd.DataFrame(tables.snapshot(settings, contract.of(settings).by_name[name]).arrow().to_pylist())


def rounded(values: pd.Series, places: str) -> Decimal:
    """The mean of whole numbers, half up."""
    mean = Decimal(int(values.sum())) / len(values)
    return mean.quantize(Decimal(places), ROUND_HALF_UP)


def test_every_flight_is_clean_once(lake: Settings, sent: list[bytes]) -> None:
    clean, rejected = stored(lake, "vols_clean"), stored(lake, "vols_rejets")
    assert set(clean["vol_id"]) == {json.loads(value)["vol_id"] for value in sent}
    assert len(clean) == COUNT
    assert sorted(map(tuple, rejected["motifs"]))[0] == ("duplicate",)
    assert len(rejected) == 7 + len(NOT_NEW)


def test_the_job_reports_what_it_wrote(lake: Settings) -> None:
    assert_reported(lake)
    found = sizes(OpenTables(lake))
    assert set(found) == {table.name for table in contract.of(lake).all}
    assert (found["vols_clean"].rows, found["bronze"].rows) == (COUNT, COUNT + 7 + len(NOT_NEW))
    paths = tables.snapshot(lake, contract.of(lake).clean).paths()
    assert found["vols_clean"].size == sum(Path(path).stat().st_size for path in paths)
    assert found["vols_clean"].files == len(paths)


FIGURES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "nombre": len,
    "retard_depart_moyen": lambda rows: rounded(rows["retard_depart"].dropna(), "0.01"),
    "retard_depart_min": lambda rows: rows["retard_depart"].min(),
    "retard_depart_max": lambda rows: rows["retard_depart"].max(),
    "retard_arrivee_moyen": lambda rows: rounded(rows["retard_arrivee"].dropna(), "0.01"),
    "part_en_retard": lambda rows: rounded((rows["retard_arrivee"] >= 15).astype(int), "0.001"),
    "part_annulee": lambda rows: rounded(rows["retard_depart"].isna().astype(int), "0.001"),
}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("vols_par_compagnie", "compagnie"),
        ("vols_par_origine", "origine"),
        ("vols_par_destination", "destination"),
        ("vols_par_jour", "jour"),
    ],
)
def test_aggregates_are_those_of_pandas(lake: Settings, frame: pd.DataFrame, name: str, key: str) -> None:
    found = {row[key]: row for row in stored(lake, name).to_dict("records")}
    groups = dict(iter(frame.groupby(key)))
    assert set(found) == set(groups)
    for value, rows in groups.items():
        expected = {column: figure(rows) for column, figure in FIGURES.items()}
        assert {column: found[value][column] for column in FIGURES} == expected, value


def test_distinct_and_sum_are_those_of_pandas(lake: Settings, frame: pd.DataFrame) -> None:
    airlines = stored(lake, "vols_par_compagnie").set_index("compagnie")
    assert airlines["destinations"].to_dict() == frame.groupby("compagnie")["destination"].nunique().to_dict()
    places = stored(lake, "vols_par_destination").set_index("destination")
    assert places["distance_totale"].to_dict() == frame.groupby("destination")["distance"].sum().to_dict()


@pytest.mark.parametrize(("field", "table"), [("compagnie", "vols_par_compagnie"), ("origine", "vols_par_origine")])
def test_the_bars_of_the_page_are_read_from_an_aggregate(lake: Settings, field: str, table: str) -> None:
    own = contract.of(lake)
    (bars,) = [tab for tab in own.stream.shown.tabs if isinstance(tab, Bars) and tab.by == field]
    asked = Grouped((field,), bars.measures).question(own.stream.event)
    sources = Sources(own, "UTC")
    assert [one.table for one in sources.aggregates(asked, Filters())] == [table]
    other = Grouped((field,), (Share("late", where="retard_arrivee > 15"),)).question(own.stream.event)
    assert sources.aggregates(other, Filters()) == ()
