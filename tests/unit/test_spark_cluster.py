"""What the Spark jobs ask of a cluster, what they say without an executor, and what a worker is checked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.master_page import Master, app, cluster, serving, settings_of, state, worker
from harness.pipeline import free_ports
from ventes.config import Settings
from ventes.engines.spark import cluster_plan, cluster_start, master_page, worker_probe
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.engines.spark.task_lake import TaskLake
from ventes.errors import ConfigError


@pytest.mark.parametrize(
    ("apps", "cores"),
    [
        ([], 4),
        ([app("ventes-bronze", 4), app("ventes-silver", 4)], 4),
        ([app("reports", 3)], 2),
        ([app("reports", 8)], 1),
    ],
    ids=["nobody else", "both jobs", "three cores are somebody else's", "all are"],
)
def test_each_job_asks_for_half_of_what_no_other_application_has(
    on_cluster: Settings, master: Master, apps: list[dict[str, Any]], cores: int
) -> None:
    master.state = state([worker("h1"), worker("h2"), worker("h3", "DEAD")], apps)
    for job in ("bronze", "silver"):
        plan = cluster_plan.plan(on_cluster, job)
        assert plan.cores == cores
        assert "half of the cluster's 8" in plan.why
        assert plan.conf()["spark.cores.max"] == str(cores)


def test_a_chosen_number_of_cores_is_asked_for_and_the_master_is_not(tmp_path: Path, page: str, master: Master) -> None:
    settings = settings_of(tmp_path, master_page=page, bronze_cores=6, executor_memory="3g")
    plan = cluster_plan.plan(settings, "bronze")
    assert (plan.cores, plan.why, master.asked) == (6, "spark.bronze_cores", 0)
    assert plan.conf()["spark.executor.memory"] == "3072m"
    assert cluster_plan.plan(settings, "silver").cores == 2


def test_without_the_masters_page_a_small_number_is_asked_for_and_said(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    plan = cluster_plan.plan(settings_of(tmp_path, master_page=f"http://127.0.0.1:{port}"), "silver")
    assert plan.cores == cluster_plan.GUESSED_CORES
    assert f"http://127.0.0.1:{port}: Connection refused" in plan.why
    assert "spark.silver_cores" in plan.why


def test_the_pages_are_those_of_the_masters_or_the_setting() -> None:
    two = Settings(spark={"master": "spark://h1:7077,h2:7078"})
    assert master_page.pages(two) == ["http://h1:8080", "http://h2:8080"]
    named = Settings(spark={"master": "spark://h1:7077", "master_page": "https://h1:8443/, http://h2:8080"})
    assert master_page.pages(named) == ["https://h1:8443", "http://h2:8080"]


def test_the_leading_master_of_two_answers(tmp_path: Path, master: Master, page: str) -> None:
    standby = Master()
    standby.state = state([], status="STANDBY")
    with serving(standby) as other:
        settings = settings_of(tmp_path, master_page=f"{other},{page}")
        assert master_page.read(settings).cores == 4
        master.state = None
        with pytest.raises(master_page.Unanswered, match=r"standby; http://127.*: it answers 500"):
            master_page.read(settings)
        master.state = {"something": "else"}
        with pytest.raises(master_page.Unanswered, match="is not the page of a Spark master"):
            master_page.read(settings)


def test_the_driver_is_reached_by_the_address_on_the_way_to_the_master(tmp_path: Path, page: str) -> None:
    plan = cluster_plan.plan(settings_of(tmp_path, master_page=page), "bronze")
    assert (plan.driver_host, plan.driver_bind) == ("127.0.0.1", "127.0.0.1")


def test_an_address_of_another_machine_needs_the_one_to_listen_at(tmp_path: Path, page: str) -> None:
    settings = settings_of(tmp_path, master_page=page, driver_host="192.0.2.1")  # a documentation address
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 is not an address of this machine.*spark\.driver_bind"):
        cluster_plan.plan(settings, "bronze")
    behind = settings_of(tmp_path, master_page=page, driver_host="192.0.2.1", driver_bind="127.0.0.1")
    conf = cluster_plan.plan(behind, "bronze").conf()
    assert (conf["spark.driver.host"], conf["spark.driver.bindAddress"]) == ("192.0.2.1", "127.0.0.1")


def test_a_shipped_environment_is_sent_and_is_the_workers_python(tmp_path: Path, page: str) -> None:
    file = tmp_path / "workers.pex"
    settings = settings_of(tmp_path, master_page=page, environment=str(file))
    with pytest.raises(ConfigError, match="export spark-environment"):
        cluster_plan.plan(settings, "bronze")
    file.touch()
    plan = cluster_plan.plan(settings, "bronze")
    assert plan.python == "./workers.pex"
    assert plan.conf()["spark.files"] == str(file)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (cluster(worker("h1", "DEAD")), "waits for 2 cores: the cluster spark://h:7077 has no worker"),
        (
            cluster(worker(used=4), apps=[app("ventes-silver", 3), app("reports", 1), app("ventes-bronze", 0)]),
            "waits for 2 cores: the cluster has 0 free of 4 (ventes-silver has 3, reports has 1)",
        ),
        (
            cluster(worker(memory=512), worker("h2", used=4, memory=4096)),
            "waits for an executor of 1,024 MB: no worker with a free core has more than 512 MB free; "
            "spark.executor_memory sets it",
        ),
        (cluster(worker(), status="RECOVERING"), "waits for Spark's master spark://h:7077: it is RECOVERING"),
    ],
    ids=["no worker", "no core", "no memory", "a master that starts"],
)
def test_the_sentence_of_a_job_that_waits(found: master_page.Cluster, said: str) -> None:
    assert master_page.shortage(found, 2, 1024) == said


# -- what a worker needs ------------------------------------------------------------------------------------------

HERE = ("1.5.6", "23.0.1", "2.14.3", "30.30.0", "0.12.1")


def test_a_worker_with_other_packages_is_refused_by_name() -> None:
    found = worker_probe.Found("h1", "spark", "/opt/python", (None, "22.0.0", *HERE[2:]), "")
    with pytest.raises(ConfigError) as refused:
        worker_probe.require_usable(found, HERE)
    assert "the worker h1 (user spark, /opt/python)" in str(refused.value)
    assert "duckdb is missing; pyarrow 22.0.0, here 23.0.1" in str(refused.value)
    assert "export spark-environment" in str(refused.value)
    worker_probe.require_usable(replace(found, packages=HERE), HERE)


@pytest.mark.parametrize(
    ("mark", "said"),
    [(None, "does not see the lake of this machine"), ("another", "has another"), ("same", "")],
    ids=["no such folder", "another machine's file", "the same folder"],
)
def test_a_worker_must_have_the_same_lake(tmp_path: Path, mark: str | None, said: str) -> None:
    file = tmp_path / "lake" / ".probe-1"
    if mark is not None:
        file.parent.mkdir()
        file.write_text(file.name if mark == "same" else mark, encoding="ascii")
    (found,) = worker_probe.look(file, ("duckdb", "no-such-package"), (), [3], lake=TaskLake(tmp_path))
    assert said in found[4]
    assert bool(found[4]) == bool(said)
    assert found[3][0] is not None
    assert found[3][1] is None


def test_a_worker_must_reach_one_of_kafkas_servers(tmp_path: Path, page: str) -> None:
    file = tmp_path / ".probe-1"
    file.write_text(file.name, encoding="ascii")
    (closed,) = free_ports(1)
    up = ("127.0.0.1", int(page.rpartition(":")[2]))
    (found,) = worker_probe.look(file, (), (("127.0.0.1", closed), up), [0], lake=TaskLake(tmp_path))
    assert found[4] == ""
    (found,) = worker_probe.look(file, (), (("127.0.0.1", closed),), [0], lake=TaskLake(tmp_path))
    assert found[4] == f"does not reach Kafka at 127.0.0.1:{closed}: Connection refused"


PLAN = ClusterPlan("spark://h:7077", 1, "", 1024, "10.0.0.1", "10.0.0.1", "/opt/python", None)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            "An error occurred while calling o1.collect.\n: org.apache.spark.SparkException: Job aborted: java.io."
            'IOException: Cannot run program "/opt/python": error=2, No such file or directory\n\tat java.lang',
            "ConfigError",
            "cannot run Python as /opt/python: No such file or directory",
        ),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9", "ConfigError", "spark.python"),
        ("ModuleNotFoundError: No module named 'duckdb'\n", "ConfigError", "lacks the package duckdb"),
        (
            "An error occurred while calling o1.collect.\n: the disk is full\n\tat x",
            "Crashed",
            "failed: : the disk is full",
        ),
    ],
)
def test_the_first_error_of_a_worker_names_the_setting(text: str, kind: str, said: str) -> None:
    error = cluster_start.translated(text, PLAN)
    assert type(error).__name__ == kind
    assert said in str(error)
