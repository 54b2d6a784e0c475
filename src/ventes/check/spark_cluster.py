"""The Spark cluster that the jobs run on: its master is asked now, and the jobs' executors are in their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping

from ventes.config import Settings
from ventes.engines.spark import master_page
from ventes.engines.spark.master_page import Cluster
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Heartbeat
from ventes.runtime.pipeline_status import JobOnCluster, SparkCluster
from ventes.supervise import services

NOT_STANDALONE = "its state is not asked for: only Spark's own master has a page for it"


def of(settings: Settings, engine: str) -> SparkCluster | None:
    """The cluster now; None if the jobs do not run on one. Takes up to 2 s for each master that does not answer."""
    if engine != "spark" or not settings.spark.on_cluster:
        return None
    records = {name: heartbeat.read(settings.state, name) for name in services.JOBS}
    running = {name: record for name, record in records.items() if record is not None and heartbeat.alive(record)}
    if not settings.spark.standalone:
        return judge(settings.spark.master, NOT_STANDALONE, running)
    try:
        return judge(settings.spark.master, master_page.read(settings), running)
    except master_page.Unanswered as error:
        return judge(settings.spark.master, str(error), running)


def judge(master: str, answer: Cluster | str, running: Mapping[str, Heartbeat]) -> SparkCluster:
    """The status from the answer of the master, or why there is none, and the running jobs' heartbeats. Pure."""
    cluster = answer if isinstance(answer, Cluster) else None
    jobs = {name: _job(record.cluster, cluster) for name, record in running.items() if record.cluster}
    if cluster is None:
        return SparkCluster(master, "", str(answer), jobs=jobs)
    alive = cluster.alive
    lost = len(cluster.workers) - len(alive)
    return SparkCluster(master, cluster.status, "", len(alive), lost, cluster.cores, cluster.cores_free, jobs)


def _job(use: Mapping[str, object], cluster: Cluster | None) -> JobOnCluster:
    known = cluster.application(str(use["application"])) if cluster is not None else None
    numbers = {name: int(str(use[name])) for name in ("asked", "executors", "lost")}
    return JobOnCluster(
        str(use["application"]),
        known.cores if known is not None else None,
        waits=str(use.get("waits", "")),
        **numbers,
    )
