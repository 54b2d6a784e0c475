"""What `ventes status` and `ventes doctor` say of a Spark cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.master_page import APPLICATION, Master, app, cluster, settings_of, state, worker
from harness.pipeline import free_ports
from ventes.check import spark_cluster
from ventes.check.doctor import spark_cluster as doctor
from ventes.cli.status_text import render
from ventes.config import Settings
from ventes.runtime.heartbeat import Heartbeat
from ventes.runtime.pipeline_status import Status


def record(**cluster: object) -> Heartbeat:
    use = {"application": APPLICATION, "cores": 1, "asked": 2, "executors": 1, "lost": 0, "waits": "", **cluster}
    return Heartbeat("bronze", cluster=use)


def test_status_shows_what_the_master_says_now_not_what_the_job_wrote() -> None:
    answer = cluster(worker(used=3), worker("h2", "DEAD"), apps=[app("ventes-bronze", 2)])
    found = spark_cluster.judge("spark://h:7077", answer, {"bronze": record(lost=3)})
    assert (found.status, found.workers, found.workers_lost, found.cores, found.cores_free) == ("ALIVE", 1, 1, 4, 1)
    lines = text_of(found)
    assert "cluster  spark://h:7077 ALIVE · 1 worker, 1 lost · 1 of 4 cores free" in lines
    assert (
        f"         bronze has 2 of the 2 cores that it asks for, 1 executor, 3 lost since its start · {APPLICATION}"
        in lines
    )


def test_status_says_that_the_master_does_not_answer_or_does_not_know_the_job() -> None:
    silent = text_of(spark_cluster.judge("spark://h:7077", "http://h:8080: Connection refused", {"bronze": record()}))
    assert "cluster  spark://h:7077 · NOT KNOWN: http://h:8080: Connection refused" in silent
    assert f"         bronze has 1 executor · {APPLICATION}" in silent
    forgotten = text_of(spark_cluster.judge("spark://h:7077", cluster(worker()), {"bronze": record()}))
    assert f"         bronze has no place in the master's list, 1 executor · {APPLICATION}" in forgotten


def text_of(found: Any) -> list[str]:
    rows = {"bronze": 1, "clean": 1, "rejected": 0}
    status = Status(100.0, "spark", "/x/ventes.toml", "http://localhost:8501", None, None, (), rows, cluster=found)
    assert json.dumps(status.as_dict()), "ventes status --json"
    return render(status).splitlines()


def test_without_a_cluster_nobody_is_asked(tmp_path: Path, page: str, master: Master) -> None:
    assert spark_cluster.of(settings_of(tmp_path, master_page=page), "embedded") is None
    assert spark_cluster.of(Settings(spark={"master_page": page}), "spark") is None
    assert master.asked == 0


def said_by_doctor(settings: Settings) -> list[tuple[str, str]]:
    rows: dict[str, int | None] = {}
    now = Status(0.0, "spark", "", "", None, None, (), rows, cluster=spark_cluster.of(settings, "spark"))
    return [(one.level, f"{one.sentence()} → {one.next_step}") for one in doctor.findings(settings, now)]


@pytest.mark.parametrize(
    ("workers", "level", "said"),
    [
        ([worker("h1"), worker("h2")], "ok", "2 workers, 8 cores, 8 free"),
        ([], "bad", "has no worker"),
        ([worker("h1", "DEAD")], "bad", "has no worker"),
        ([worker("h1"), worker("h2", "DEAD")], "warn", "lost: h2"),
        ([worker("h1", cores=1)], "bad", "the jobs ask for 1 for bronze and 1 for silver: the second one may get none"),
        ([worker("h1", memory=512)], "bad", "no worker has 1,024 MB"),
    ],
)
def test_doctor_says_whether_the_cluster_has_room_for_both_jobs(
    tmp_path: Path, master: Master, page: str, workers: list[dict[str, Any]], level: str, said: str
) -> None:
    master.state = state(workers)
    settings = settings_of(tmp_path, master_page=page, master=page.replace("http", "spark"))
    assert any(found[0] == level and said in found[1] for found in said_by_doctor(settings)), said_by_doctor(settings)


def test_doctor_says_that_no_master_answers(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (first, *_) = said_by_doctor(settings_of(tmp_path, master=f"spark://127.0.0.1:{port}", bronze_cores=1))
    assert first[0] == "bad"
    assert f"spark://127.0.0.1:{port} does not answer: Connection refused" in first[1]


def test_doctor_warns_of_a_driver_that_others_reach_without_a_secret(tmp_path: Path, page: str) -> None:
    master = page.replace("http", "spark")
    options = {"master": master, "master_page": page, "driver_host": "h", "driver_bind": "0.0.0.0"}
    open_ = [found for found in said_by_doctor(settings_of(tmp_path, **options)) if "spark.authenticate" in found[1]]
    assert [level for level, _ in open_] == ["warn"]
    secret = {**options, "conf": {"spark.authenticate": "true", "spark.authenticate.secret": "canary"}}
    said = said_by_doctor(settings_of(tmp_path, **secret))
    assert ("ok", "spark.driver_host: the workers reach the jobs at h; Spark asks for its secret → ") in said
    assert "canary" not in str(said)
