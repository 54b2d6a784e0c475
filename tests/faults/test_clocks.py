"""Clocks that are wrong: the machine's, set forward and back under the running jobs, and the producer's, years off.

The machine's clock is that of harness/wrong_clock.c, for the jobs alone, and follows a file that the test writes.
Durations are measured with the monotonic clock, which no one sets.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness.pipeline import Pipeline, sales, wait_for
from harness.shipped import BRONZE, CLEAN, REJETS
from ventes.config import PROJECT
from ventes.lake import tables

DAY = 86_400


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: apt-get install gcc libc6-dev")
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.timeout(600)
def test_the_clock_is_set_forward_and_back_while_jobs_run(tmp_path: Path, engine: str) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0", encoding="utf-8")
    library = tmp_path / "wrong_clock.so"
    source = PROJECT / "harness" / "wrong_clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True, timeout=60)
    with Pipeline(tmp_path / "pipeline", engine, extra="[maintenance]\ncompact_every = 5\n") as pipeline:
        pipeline.environment |= {
            "LD_PRELOAD": str(library),
            "WRONG_CLOCK": str(clock),
        }
        for job in ("bronze", "silver"):
            pipeline.start(job)
        pipeline.send(sales(50))
        pipeline.catch_up()
        for number, shift in enumerate((1, -3, 400, -400, 0)):
            clock.write_text(str(shift * DAY), encoding="utf-8")
            for part in range(4):  # enough commits for a compaction
                pipeline.send([*sales(10, 1001 + 1000 * number + 100 * part), b"not json"])
                pipeline.catch_up()
            for job in ("bronze", "silver"):
                assert pipeline.jobs[job].poll() is None
        assert_ready(pipeline)
        for job in ("bronze", "silver"):  # started while the clock is wrong
            clock.write_text(str(-30 * DAY), encoding="utf-8")
            pipeline.kill(job)
            pipeline.start(job)
        pipeline.send(sales(10, 10**6))
        pipeline.catch_up()
        clock.write_text("0", encoding="utf-8")
        pipeline.send(sales(10, 2 * 10**6))
        pipeline.catch_up()
        pipeline.verify()
        assert pipeline.rows(CLEAN) == 50 + 5 * 40 + 20  # a sale's arrival is the broker's word
        assert_ready(pipeline)


def assert_ready(pipeline: Pipeline) -> None:
    """`status` says so, with no age below zero."""

    def ready() -> bool:
        whole = json.loads(pipeline.ventes("status", "--json", code=None))
        return all(one["ready"] for one in whole["services"] if one["name"] in ("bronze", "silver"))

    wait_for(ready, "status shows both jobs as ready", 30)
    assert " -" not in pipeline.ventes("status", code=None)


def test_a_producers_clock_years_off(tmp_path: Path) -> None:
    """Rejected with the reason, whatever the year; the next sale with a right clock is clean."""
    now = datetime.now(timezone.utc)
    years = [-100, -30, -2, -1, 1, 2, 30, 100, 1000, 5000]
    with Pipeline(tmp_path / "pipeline", "embedded") as pipeline:
        for job in ("bronze", "silver"):
            pipeline.start(job)
        (plain,) = sales(1)
        values = [
            json.dumps({**json.loads(plain), "vente_id": 100 + n, "timestamp": when.isoformat()}).encode()
            for n, when in enumerate(now + timedelta(days=365 * year) for year in years)
        ]
        pipeline.send([*values, plain])
        pipeline.catch_up()
        pipeline.verify()
        rejected = tables.snapshot(pipeline.settings, REJETS).arrow().to_pylist()
        wrong = {row["vente_id"]: row["motifs"] for row in rejected}
        far = [100 + n for n, year in enumerate(years) if year > 0 or year < -20]
        assert set(far) <= set(wrong)
        assert {motif for number in far for motif in wrong[number]} == {"time_out_of_range"}
        days = tables.snapshot(pipeline.settings, BRONZE).arrow()["jour"].to_pylist()
        assert all(abs((day - now.date()).days) < 4000 for day in days), "no folder of a far day"
