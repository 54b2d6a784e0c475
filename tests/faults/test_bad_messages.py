"""Nothing but bad messages, for a while: they are kept with their reasons, nothing stops or piles up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness import corpus
from harness.pipeline import Pipeline
from harness.shipped import BRONZE, CLEAN, REJETS
from ventes.deltalog.log import Log
from ventes.lake.tables import path_of


@pytest.mark.parametrize(
    ("engine", "seconds"),
    [
        ("embedded", 8.0),
        pytest.param("embedded", 180.0, marks=pytest.mark.long),
        pytest.param("spark", 180.0, marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(600)
def test_all_messages_are_bad(tmp_path: Path, engine: str, seconds: float) -> None:
    extra = "[maintenance]\ncompact_every = 20\n"
    with Pipeline(tmp_path / "pipeline", engine, extra=extra) as pipeline:
        for job in ("bronze", "silver"):
            pipeline.start(job)
        # what is wrong with a time may be right at the time of the test
        bad = [event.value for event in corpus.load() if any("time" not in motif for motif in event.motifs)]
        assert len(bad) > 100
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pipeline.send(bad)
        pipeline.catch_up(60)
        assert pipeline.rows(REJETS) == pipeline.rows(BRONZE) == pipeline.sent > 250
        assert pipeline.rows(CLEAN) == 0
        for table in (BRONZE, REJETS):
            log = Log.open(path_of(pipeline.settings, table))
            assert len(log.files) < 100, f"{table.name}: {len(log.files)} files after {log.version} commits"
        said = " ".join(pipeline.ventes("status", code=None).split())
        assert f"bronze {pipeline.sent:,} · clean 0 · rejected {pipeline.sent:,}" in said
        pipeline.verify()
