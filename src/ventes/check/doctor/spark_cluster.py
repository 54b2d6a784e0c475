"""Checks the Spark cluster that the settings name: its master and workers, what the jobs ask for, who reaches them."""

from __future__ import annotations

from collections.abc import Iterator

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.check.doctor.machine import only_this_machine
from ventes.config import Settings
from ventes.engines.spark import cluster_plan, master_page
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.engines.spark.master_page import Cluster
from ventes.errors import ConfigError
from ventes.runtime.pipeline_status import SparkCluster, Status

NAME = "Spark's cluster"


def findings(settings: Settings, now: Status) -> Iterator[Finding]:
    """All findings about the cluster; none if the engine does not use one."""
    if now.engine != "spark" or not settings.spark.on_cluster:
        return
    try:
        plans = {job: cluster_plan.plan(settings, job) for job in ("bronze", "silver")}
    except ConfigError as error:
        yield bad(NAME, error.message, error.hint)
        return
    if settings.spark.standalone:
        yield from _master(settings, now.cluster, plans)
    else:
        yield warn(NAME, f"{settings.spark.master} is not asked: untried", "docs/spark-cluster.md says what differs")
    yield from _secret(settings, plans["bronze"])
    yield from _shared(settings)


def _master(settings: Settings, status: SparkCluster | None, plans: dict[str, ClusterPlan]) -> Iterator[Finding]:
    if why := cluster_plan.master_answers(settings):
        yield bad(NAME, why, "start it, or correct spark.master; the jobs wait for it")
        return
    try:
        cluster = master_page.read(settings)
    except master_page.Unanswered as error:
        yield warn(
            NAME,
            f"{settings.spark.master} accepts connections, but its state is not known: {error}",
            "set spark.master_page to the address of its page, and spark.bronze_cores and spark.silver_cores",
        )
        return
    yield from _room(cluster, plans)
    for job, use in status.jobs.items() if status is not None else ():
        if use.lost:
            yield warn(
                f"executors of {job}",
                f"{use.lost} lost since it started; {use.executors} there now",
                "the master's page names the reason of each; out of memory: raise spark.executor_memory",
            )


def _room(cluster: Cluster, plans: dict[str, ClusterPlan]) -> Iterator[Finding]:
    alive = cluster.alive
    gone = [worker.host for worker in cluster.workers if not worker.alive]
    text = f"{cluster.url}: {len(alive)} workers, {cluster.cores} cores, {cluster.cores_free} free"
    asked = sum(plan.cores for plan in plans.values())
    memory = plans["bronze"].memory_mb
    largest = max((worker.memory for worker in alive), default=0)
    if not alive:
        yield bad(NAME, f"{cluster.url} has no worker", "start workers: the jobs wait for them")
    elif asked > cluster.cores:
        numbers = " and ".join(f"{plan.cores} for {job}" for job, plan in plans.items())
        yield bad(
            NAME,
            f"{text}; the jobs ask for {numbers}: the second one may get none",
            "add workers, or set spark.bronze_cores and spark.silver_cores",
        )
    elif largest < memory:
        yield bad(
            NAME,
            f"{text}; no worker has {memory:,} MB, which each executor asks for: the largest has {largest:,}",
            "lower spark.executor_memory, or give the workers more",
        )
    elif gone:
        yield warn(NAME, f"{text}; lost: {', '.join(gone)}", "the work goes on on the others; start them again")
    else:
        yield ok(NAME, text)


def _secret(settings: Settings, plan: ClusterPlan) -> Iterator[Finding]:
    """Who may give the driver commands."""
    if only_this_machine(plan.driver_bind):
        yield ok("spark.driver_host", f"{plan.driver_bind}: only this machine can reach the jobs")
    elif settings.spark.further_conf().get("spark.authenticate", "").lower() == "true":
        yield ok("spark.driver_host", f"the workers reach the jobs at {plan.driver_host}; Spark asks for its secret")
    else:
        yield warn(
            "spark.driver_host",
            f"the jobs listen at {plan.driver_bind} without a secret: who reaches it can run programs here",
            "set spark.authenticate and spark.authenticate.secret, in [spark.conf] and for master and workers",
        )


def _shared(settings: Settings) -> Iterator[Finding]:
    """What other machines cannot see."""
    if not all(only_this_machine(host) for host, _ in master_page.masters(settings.spark.master)):
        if settings.kafka.managed and only_this_machine(settings.kafka.host):
            yield bad(
                "kafka.host",
                f"{settings.kafka.host}: workers on other machines cannot read the topic there",
                "set kafka.host to an address that they reach, or kafka.bootstrap of a broker that is not managed here",
            )
        yield ok("the workers", "each job checks their packages, the lake and the broker when it starts")
