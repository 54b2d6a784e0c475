"""The real jobs of both engines over a lake on Azure Blob Storage, served by Azurite."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.azure_server import KEY
from harness.pipeline import Pipeline, sales

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
STORE = "[store]\npace_seconds = 0.5\nrollup_seconds = 2.0"


def test_both_engines_in_turn_and_a_kill(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_PATHS__LAKE", f"{container}/lake")
    with Pipeline(tmp_path / "pipeline", extra=STORE) as pipeline:
        for turn, engine in enumerate(("embedded", "spark", "embedded")):
            for job in ("bronze", "silver"):
                pipeline.start(job, engine=engine)
            pipeline.send([b"{", *sales(100, first_id=1 + 1000 * turn)])
            pipeline.catch_up(240)
            for job in ("bronze", "silver"):
                pipeline.kill(job)
            pipeline.send(sales(50, first_id=501 + 1000 * turn))
        for job in ("bronze", "silver"):
            pipeline.start(job)
        pipeline.catch_up(240)
        pipeline.verify()
        pipeline.stop("silver")
        pipeline.ventes("rebuild", "silver", "--yes")
        pipeline.verify()
        told = pipeline.ventes("doctor", code=None) + pipeline.ventes("status", code=None)
        assert "object store" in told
        logs = "".join(path.read_text("utf-8") for path in pipeline.settings.folders["logs"].glob("*.log"))
        assert KEY not in told + logs
