"""What the Silver job counts of its lots: rows, reasons from a closed list, freshness; for any stream."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest

from ventes.config import PROJECT
from ventes.engines.lot_measures import ARRIVAL, OTHER, LotColumns, LotMeasures, at_column, codes_of
from ventes.runtime.distribution import FRESHNESS_SECONDS, Distribution
from ventes.stream.declaration import Stream
from ventes.stream.loading import load

NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
STREAMS = ["ventes", "vols"]


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Stream:
    return load(PROJECT / "streams" / f"{request.param}.py")


def columns(stream: Stream, ages: list[tuple[float, float]], motifs: list[list[str]]) -> LotColumns:
    """`ages`: seconds since the event, and since its arrival."""
    event, arrival = zip(*ages, strict=True) if ages else ((), ())
    instants = pa.timestamp("us", "UTC")
    times = {
        name: pa.array([NOW - timedelta(seconds=age) for age in found], instants)
        for name, found in ((at_column(stream), event), (ARRIVAL, arrival))
    }
    return LotColumns.of_rows(stream, pa.table(times), pa.table({"motifs": pa.array(motifs, pa.list_(pa.string()))}))


def test_lots_are_added_up(stream: Stream) -> None:
    measures = LotMeasures(stream)
    first = stream.event.read[0].name
    measures.add(3, 2, columns(stream, [(2.0, 0.2), (0.6, 0.3), (-5.0, 0.04)], [["duplicate"], ["not_json"]]), _now())
    measures.add(0, 1, columns(stream, [], [["duplicate", f"missing:{first}"]]), _now())
    measures.add(1, 0, columns(stream, [(9999.0, 9999.0)], []), _now())
    record = measures.record()
    assert (record["clean"], record["rejected"]) == (4, 3)
    counted = {reason: count for reason, count in record["reasons"].items() if count}
    assert counted == {"duplicate": 2, "not_json": 1, f"missing:{first}": 1}
    event, kafka = (record["freshness"][since] for since in ("event", "kafka"))
    assert kafka == _distribution(0.2, 0.3, 0.04, 9999.0)
    assert event == _distribution(2.0, 0.6, 0.0, 9999.0)  # a time in the future has the age 0


def test_the_parts_of_a_lot_count_as_the_lot(stream: Stream) -> None:
    ages = [(2.0, 0.2), (0.6, 0.3), (-5.0, 0.04), (0.5, 0.5)]
    motifs = [["duplicate"], ["not_json", "duplicate"]]
    whole, parts = LotMeasures(stream), LotMeasures(stream)
    whole.add(4, 2, columns(stream, ages, motifs), _now())
    cut = [columns(stream, ages[:1], []), columns(stream, [], motifs[:1]), columns(stream, ages[1:], motifs[1:])]
    parts.add(4, 2, LotColumns.together(cut), _now())
    assert parts.record() == whole.record()


def _now() -> float:
    return NOW.timestamp()


def _distribution(*seconds: float) -> dict[str, object]:
    found = Distribution(FRESHNESS_SECONDS)
    for one in seconds:
        found.add(one)
    return found.record()


def test_the_reasons_are_a_closed_list(stream: Stream) -> None:
    measures = LotMeasures(stream)
    begins = measures.record()["reasons"]
    assert {"duplicate", "conflict", "not_json", OTHER} <= set(begins)
    assert set(begins.values()) == {0}
    measures.add(
        0, 3, columns(stream, [], [["from_a_later_release"], ["negative:no_such_field"], ["x" * 1000]]), _now()
    )
    assert measures.record()["reasons"] == begins | {OTHER: 3}
    assert OTHER not in codes_of(stream)
