"""The real jobs, as processes, with a real broker, over S3: killed, cut off from the store, started twice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from harness.object_store import Proxy
from harness.pipeline import Pipeline, sales, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_jobs_survive_an_outage_and_a_kill_and_refuse_a_second_machine(
    bucket: str, through: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_PATHS__LAKE", f"{bucket}/lake")
    through.weather.latency = 0.03
    extra = "[store]\npace_seconds = 0.5\nrollup_seconds = 2.0"
    with Pipeline(tmp_path / "first", extra=extra) as pipeline:
        pipeline.start("bronze")
        pipeline.start("silver")
        pipeline.send(sales(300))
        pipeline.catch_up(240)

        through.weather.down = True
        pipeline.send(sales(100, first_id=301))
        for job in ("bronze", "silver"):
            wait_for(partial(_waits, pipeline, job), f"{job} waits for the store", 120)
            record = pipeline.heartbeat(job)
            assert record is not None
            assert "does not answer" in record.reason
        through.weather.down = False
        pipeline.catch_up(240)

        through.weather.errors = 0.05
        pipeline.kill("silver")
        pipeline.kill("bronze")
        pipeline.send([b"{", *sales(100, first_id=401)])
        pipeline.start("bronze")
        pipeline.start("silver")
        pipeline.catch_up(240)
        through.weather.errors = 0.0

        with Pipeline(tmp_path / "second", extra=extra, beside=pipeline) as second:
            second.start("silver")
            assert second.died("silver", 120) == 3
            record = second.heartbeat("silver")
            assert record is not None
            assert record.phase == "failed"
            assert f"already runs: pid {pipeline.jobs['silver'].pid} on" in record.reason
        pipeline.verify()
        assert "object store" in pipeline.ventes("doctor", code=None)
        assert "per lot" in pipeline.ventes("doctor", code=None)


def phase(pipeline: Pipeline, job: str) -> str:
    record = pipeline.heartbeat(job)
    return record.phase if record is not None else ""


def _waits(pipeline: Pipeline, job: str) -> bool:
    return phase(pipeline, job) == "waiting"
