"""Kafka's retention passes the pipeline while it is down: what is lost is said, decided on, and recorded exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from harness.pipeline import Pipeline, sales
from harness.shipped import BRONZE
from ventes import kafka
from ventes.lake import accepted_gaps


def expire(pipeline: Pipeline, before: int) -> None:
    """As retention does it: the log begins at offset `before`."""
    admin = AdminClient(kafka.client_config(pipeline.settings))
    for answer in admin.delete_records([TopicPartition(pipeline.settings.topic, 0, before)]).values():
        answer.result(20)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.timeout(280)
def test_retention_passes_while_it_is_down(tmp_path: Path, engine: str) -> None:
    with Pipeline(tmp_path / "pipeline", engine) as pipeline:
        for job in ("bronze", "silver"):
            pipeline.start(job)
        pipeline.send(sales(50))
        pipeline.catch_up()
        assert pipeline.stop("bronze") == 0

        expire(pipeline, 50)  # all of it is in Bronze: nothing is lost, nothing is recorded
        pipeline.start("bronze")
        pipeline.send(sales(10, 1001))
        pipeline.catch_up()
        assert accepted_gaps.read(pipeline.settings.lake).gaps == ()
        assert pipeline.stop("bronze") == 0

        pipeline.send(sales(40, 2001))
        expire(pipeline, 85)
        pipeline.start("bronze")
        assert pipeline.died("bronze") == 3
        said = " ".join(pipeline.ventes("status", code=1).split())
        assert "bronze FAILED" in said
        assert "offsets 60..84 expired before they were read" in said
        assert "`ventes recover` says what it would do" in said
        assert pipeline.rows(BRONZE) == 60

        said = pipeline.ventes("recover", code=None)
        assert "25 offsets before it are recorded as missing (expired before it was read)" in said
        assert accepted_gaps.read(pipeline.settings.lake).gaps == ()
        pipeline.ventes("recover", "--yes")
        (gap,) = accepted_gaps.read(pipeline.settings.lake).gaps
        assert (gap.partition, gap.first, gap.last) == (0, 60, 84)
        pipeline.start("bronze")
        pipeline.catch_up()
        pipeline.verify()
        assert pipeline.rows(BRONZE) == 60 + 15
