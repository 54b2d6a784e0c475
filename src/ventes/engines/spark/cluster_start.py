"""The start of a job on a cluster: wait for the master, for an executor, and check the workers."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from ventes.engines.job import Crashed, Job
from ventes.engines.spark import cluster_plan, worker_probe
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.engines.spark.cluster_watch import LOOK_SECONDS, ClusterWatch, DriverExecutors
from ventes.engines.spark.worker_probe import SHIP
from ventes.errors import ConfigError, VentesError

if TYPE_CHECKING:
    from ventes.engines.spark.session import Session

ASK_SECONDS = 1.0
"""Seconds between two connections to a master that does not answer."""


def wait_for_master(job: Job) -> None:
    """Return when a master accepts connections: without one Spark gives up after a minute. Raises Crashed on a stop."""
    while why := cluster_plan.master_answers(job.settings):
        job.wait_for(why)
        if job.stopper.wait(ASK_SECONDS):
            raise Crashed(why)
    if job.reporter.record.phase == "waiting":
        job.reporter.update(phase="starting", reason="")


def prepare(session: Session, job: Job, plan: ClusterPlan) -> None:
    """Wait for an executor, start the watch, and check the workers. Sets `session.watch`.

    Raises Crashed on a stop or where the cluster removed the application, ConfigError for unusable workers.
    """
    cores = f"{plan.cores} cores ({plan.why})" if plan.cores else plan.why
    job.log.info(
        "asks %s for %s, executors of %d MB; the driver is at %s, Python on the workers is %s",
        *(plan.master, cores, plan.memory_mb, plan.driver_host, plan.python),
    )
    job.reporter.update(children=[session.jvm_pid])
    context = session.spark.sparkContext
    watch = session.watch = ClusterWatch(job, job.settings, plan, DriverExecutors(context))
    while not watch.look():
        if watch.gave_up or not session.usable:
            raise Crashed(session.exit_reason)
        job.reporter.update()
        job.stopper.wait(LOOK_SECONDS / 4)
    watch.start()
    job.reporter.begin_work()
    servers = job.settings.kafka.addresses if job.reporter.record.service == "bronze" else ()
    try:
        found = worker_probe.probe(context, job.settings, max(1, plan.cores), servers)
    except VentesError:
        raise
    except Exception as error:  # of py4j, Spark or a socket
        if not session.usable:
            raise Crashed(session.exit_reason) from None
        raise translated(str(error), plan) from None
    for one in found:
        job.log.info("worker %s: user %s, Python %s", one.host, one.user, one.python)


def translated(said: str, plan: ClusterPlan) -> Exception:
    """The error of a job whose tasks cannot run, from Spark's text."""
    if match := re.search(r'Cannot run program "([^"]*)"[^:]*: (?:error=\d+, )?([^\n]*)', said):
        return ConfigError(
            f"a worker of the cluster cannot run Python as {match[1]}: {match[2]}",
            f"spark.python is its path on the workers; or {SHIP}",
        )
    if "PYTHON_VERSION_MISMATCH" in said:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        return ConfigError(
            f"Python of a worker ({plan.python}) has another version than this one, {here}",
            "set spark.python to one with the same version",
        )
    if match := re.search(r"ModuleNotFoundError: No module named '([^']+)'", said):
        return ConfigError(f"Python of a worker ({plan.python}) lacks the package {match[1]}", SHIP)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith("An error occurred while calling")]
    return Crashed(f"a first task on the cluster failed: {causes[0][:300] if causes else 'without a message'}")
