"""Both embedded jobs over S3 in bad weather: slow requests, errors, lost answers, outages, a mirror that disappears."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import store_load
from harness.object_store import Proxy
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_run import rows_of, settings_of
from tests.unit.test_embedded_silver import assert_exact
from ventes.config import Settings
from ventes.lake import tables


def _none(method: str, path: str) -> bool:
    return False


def _some_writes(rng: random.Random) -> Callable[[str, str], bool]:
    return lambda method, path: method == "PUT" and rng.random() < 0.2


def storm(seed: int, way: Proxy, settings: Settings, over: threading.Event) -> None:
    """Changes the weather until it is over: mostly 5 % of errors, for moments worse."""
    rng = random.Random(seed)
    while not over.is_set():
        way.weather.errors = rng.choice([0.05, 0.05, 0.3])
        way.weather.down = rng.random() < 0.15
        way.weather.swallows = _some_writes(rng) if rng.random() < 0.3 else _none
        for file in list(settings.lake.rglob("part-*.parquet")):
            if rng.random() < 0.1:
                file.unlink(missing_ok=True)
        over.wait(rng.uniform(0.5, 2.0))
    way.weather.errors, way.weather.down, way.weather.swallows = 0.0, False, _none


@pytest.mark.parametrize(
    ("seed", "seconds"),
    [(1, 8.0), *(pytest.param(seed, 45.0, marks=[pytest.mark.long, pytest.mark.timeout(900)]) for seed in range(2, 6))],
)
def test_whatever_the_weather_each_sale_counts_once(
    bucket: str, through: Proxy, tmp_path: Path, seed: int, seconds: float
) -> None:
    store = {"pace_seconds": 0.5, "rollup_seconds": 1.0, "poll_seconds": 0.5}
    settings = settings_of(tmp_path, f"{bucket}/lake", store=store, maintenance={"compact_every": 10})
    through.weather.latency = 0.03
    over = threading.Event()
    weather = threading.Thread(target=storm, args=(seed, through, settings, over))
    weather.start()
    timer = threading.Timer(seconds, over.set)
    timer.start()
    try:
        done = store_load.run(settings, 40.0, seconds, patience=seconds + 240)
    finally:
        timer.cancel()
        over.set()
        weather.join()
    assert not done["timed_out"]
    far = settings_of(tmp_path / "elsewhere", f"{bucket}/lake")
    offsets = [row["offset"] for row in rows_of(far, BRONZE)]
    assert sorted(offsets) == list(range(done["sales"]))
    assert len(rows_of(far, CLEAN)) + len(rows_of(far, REJETS)) == tables.snapshot(far, BRONZE).rows
    assert_exact(far)
