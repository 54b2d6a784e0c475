"""The page of streams/vols.py: every figure, bar and point equals what pandas computes from the recorded flights."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from harness import silver_run
from harness.cards import cards_of
from harness.ingested import ingest
from harness.page_site import toml
from tests.page.conftest import Run
from tests.page.test_foreign_stream import chart, half_up
from ventes import config
from ventes.config import PROJECT
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.producer import flights

EVERY = 150
"""Of the year's flights one in so many."""
REJECTED = [b"no flight", b'{"vol_id": "x"}']


@pytest.fixture(scope="module")
def sent() -> list[bytes]:
    return [message.value for message in islice(flights.flights(flights.data_file()), 0, None, EVERY)]


@pytest.fixture(scope="module")
def frame(sent: list[bytes]) -> pd.DataFrame:
    events = pd.DataFrame([json.loads(value) for value in sent])
    planned = pd.to_datetime(events["depart_prevu"], utc=True)
    return events.assign(hour=planned.dt.hour, month=planned.dt.month)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sent: list[bytes]) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    vols = str(PROJECT / "streams" / "vols.py")
    path = toml(folder, "[page]\nsql_seconds = 30\n")
    path.write_text(f"stream = {json.dumps(vols)}\n{path.read_text()}", encoding="utf-8")
    places = {"lake": folder / "delta", "state": folder / "state", "logs": folder}
    settings = config.load(stream=vols, paths=places)
    ingest(settings, [*sent, *REJECTED])
    assert silver_run.run(settings, max_rows=900, make_engine=EmbeddedSilver) == 0
    return folder


def late(rows: pd.DataFrame) -> Decimal:
    return half_up(int((rows["retard_arrivee"] >= 15).sum()), len(rows), "0.001")


def cancelled(rows: pd.DataFrame) -> Decimal:
    return half_up(int(rows["retard_depart"].isna().sum()), len(rows), "0.001")


def mean(rows: pd.DataFrame, field: str) -> Decimal:
    known = rows[field].dropna()
    return half_up(int(known.sum()), len(known), "0.1")


def percent(share: Decimal) -> str:
    return f"{share * 100:.1f}%"


@pytest.mark.parametrize("chosen", [{}, {"airline": "UA"}, {"origin": "JFK", "airline": "B6"}])
def test_figures(run: Run, frame: pd.DataFrame, chosen: dict[str, str]) -> None:
    columns = {"airline": "compagnie", "origin": "origine"}
    rows = frame
    for label, value in chosen.items():
        rows = rows[rows[columns[label]] == value]
    records = len(rows) + (0 if chosen else len(REJECTED))
    found = {card.label: card.value for card in cards_of(run(**chosen))}
    assert found == {
        "Flights": f"{records:,}",
        "Late by 15 min or more": percent(late(rows)),
        "Mean departure delay, min": f"{mean(rows, 'retard_depart')}",
        "Mean arrival delay, min": f"{mean(rows, 'retard_arrivee')}",
        "Cancelled": percent(cancelled(rows)),
        "Aircraft": f"{rows['avion'].nunique():,}",
    }


@pytest.mark.parametrize(
    ("tab", "field", "column"), [("By airline", "compagnie", "Airline"), ("By origin", "origine", "Origin")]
)
def test_bars(run: Run, frame: pd.DataFrame, tab: str, field: str, column: str) -> None:
    page = run(tab, table=column.lower())
    found = {row[column]: row for row in page.dataframe[0].value.to_dict("records")}
    groups = dict(iter(frame.groupby(field)))
    assert set(found) == set(groups)
    for name, rows in groups.items():
        row = found[name]
        shown = [Decimal(str(row[label])) for label in ("Late", "Departure delay", "Arrival delay", "Cancelled")]
        means = (mean(rows, "retard_depart"), mean(rows, "retard_arrivee"))
        assert shown == [late(rows), *means, cancelled(rows)], name
        assert row["Flights"] == len(rows)
    (trace,) = chart(page)["data"]
    assert trace["x"] == pytest.approx(sorted((float(late(rows)) for rows in groups.values()), reverse=True))
    shares = sorted(map(late, groups.values()), reverse=True)
    assert [unescape(words) for words in trace["text"]] == [percent(share) for share in shares]


@pytest.mark.parametrize(
    ("show", "value"),
    [
        ("Late by 15 min or more", late),
        ("Mean departure delay, min", lambda rows: mean(rows, "retard_depart")),
        ("Mean arrival delay, min", lambda rows: mean(rows, "retard_arrivee")),
        ("Flights", len),
    ],
)
def test_hours_and_months(run: Run, frame: pd.DataFrame, show: str, value: Callable[[pd.DataFrame], Any]) -> None:
    hours, months = charts(run("By hour and month", delays=show))
    for drawn, part in ((hours, "hour"), (months, "month")):
        (trace,) = drawn["data"]
        wanted = [float(value(rows)) for _, rows in sorted(frame.groupby(part))]
        assert trace["x"] == pytest.approx(wanted), part


def test_destinations_are_ranked_by_what_the_viewer_chooses(run: Run, frame: pd.DataFrame) -> None:
    by_place = frame.groupby("destination")
    (trace,) = chart(run("Destinations"))["data"]
    assert trace["x"] == sorted(by_place.size(), reverse=True)[:15]
    (trace,) = chart(run("Destinations", rank="Late"))["data"]
    assert trace["x"] == pytest.approx(sorted((float(late(rows)) for _, rows in by_place), reverse=True)[:15])


def test_the_share_over_time(run: Run, frame: pd.DataFrame) -> None:
    (trace,) = chart(run("Over time", show="Late"))["data"]
    days = pd.to_datetime(frame["depart_prevu"], utc=True).dt.date
    assert trace["y"] == pytest.approx([float(late(rows)) for _, rows in sorted(frame.groupby(days))])


def test_the_examples_answer(run: Run) -> None:
    page = run("SQL")
    for example in page.selectbox(key="_example").options:
        page.selectbox(key="_example").select(example).run()
        assert not [one.value for one in page.error], example


def test_the_sample_shows_what_is_tested(frame: pd.DataFrame) -> None:
    """The sample has flights of every month and of most hours, some late, some cancelled."""
    assert frame["month"].nunique() == 12
    assert frame["hour"].nunique() > 15
    assert 0 < cancelled(frame) < late(frame) < 1


def charts(page: AppTest) -> list[dict[str, Any]]:
    """Plotly's figures on the open tab, in order."""

    def walk(block: Any) -> list[Any]:
        children = getattr(block, "children", None)
        return [block] if children is None else [found for child in children.values() for found in walk(child)]

    drawn = [one.proto for one in walk(page._tree) if getattr(one, "type", "") == "bidi_component"]
    return [json.loads(data["figure"]) for one in drawn if "figure" in (data := json.loads(one.json))]
