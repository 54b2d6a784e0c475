"""`ventes status` as text: the same content as `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from ventes.runtime.counts import counted
from ventes.runtime.durations import in_words
from ventes.runtime.logs import printable
from ventes.runtime.pipeline_status import FiringAlert, JobOnCluster, ServiceStatus, SparkCluster, Status


def render(status: Status) -> str:
    """A few lines per service, without colours, so that it is the same in a file."""
    return "\n".join(_lines(status))


def _lines(status: Status) -> Iterator[str]:
    now = status.asked_at
    supervisor = (
        f"supervisor pid {status.supervisor_pid} since {clock(status.supervisor_since, now)}"
        if status.supervisor_pid is not None
        else "no supervisor"
    )
    yield f"ventes · engine {status.engine} · {supervisor} · asked {clock(now, now)} UTC"
    yield ""
    for service in status.services:
        yield _headline(service, now)
        for detail in _details(service, now):
            yield f"{'':10}{detail}"
    yield ""
    yield _tables(status)
    if status.cluster is not None:
        yield from _cluster(status.cluster)
    if "://" in status.lake:
        yield f"lake     {status.lake}"
    for job, holder in status.writers.items():
        yield f"         the {job} job's lease is held elsewhere: {printable(holder)}"
    if status.store_problem:
        yield f"         NOT REACHED: {printable(status.store_problem)}"
    yield f"page     {status.url}"
    if status.metrics_problem:
        yield f"metrics  NOT SERVED: {printable(status.metrics_problem)}"
    elif status.metrics:
        yield f"metrics  {status.metrics}"
    yield f"settings {status.config}"


def _headline(service: ServiceStatus, now: float) -> str:
    if service.running:
        since = f"pid {service.pid} since {clock(service.since, now)} ({in_words(now - (service.since or now))})"
        by_hand = ", started by hand" if service.by_hand else ""
        verdict = "ready" if service.ready else "NOT ready"
        head = f"{service.name:10}{service.state}, {verdict} · {since}{by_hand}"
    else:
        since = f" since {clock(service.since, now)}" if service.since else ""
        head = f"{service.name:10}{service.state.upper() if not service.ok else service.state}{since}"
    return " · ".join([head, *_firing(service), *([printable(service.reason)] if service.reason else [])])


def _firing(service: ServiceStatus) -> Iterator[str]:
    """'1 alert fires: no-sale (critical)', and those that are silenced."""
    heard = [one for one in service.firing if one.silenced_until is None]
    silenced = [one for one in service.firing if one.silenced_until is not None]
    if heard:
        yield f"{_fire(len(heard))}: {_named(heard)}"
    if silenced:
        yield f"{_fire(len(silenced))}, silenced: {_named(silenced)}"


def _fire(number: int) -> str:
    return f"{counted(number, 'alert')} {'fires' if number == 1 else 'fire'}"


def _named(alerts: list[FiringAlert]) -> str:
    return ", ".join(f"{one.name} ({one.severity})" for one in alerts)


def _details(service: ServiceStatus, now: float) -> Iterator[str]:
    parts = []
    if service.running and service.batch_at is not None:
        ago = f"{in_words(now - service.batch_at)} ago"
        if service.name == PRODUCER or service.batch_rows is None:
            parts.append(f"last message {ago}")
        else:
            took = f" in {service.batch_seconds:.2f} s" if service.batch_seconds is not None else ""
            number = f" {service.batch}" if service.batch is not None else ""
            parts.append(f"last batch{number}: {counted(service.batch_rows, 'row')}{took}, {ago}")
    if service.running and service.total:
        parts.append(f"{counted(service.total, _unit(service))} since its start")
    if service.running and service.unacknowledged:
        parts.append(f"{service.unacknowledged:,} kept until Kafka acknowledges them")
    if service.lag_messages is not None:
        parts.append(f"{lag_words(service)}")
    if parts:
        yield " · ".join(parts)
    yield from _rollups(service)
    if service.last_error and service.last_error != service.reason:
        when = f", {in_words(now - service.last_error_at)} ago" if service.last_error_at is not None else ""
        yield f"last error{when}: {printable(service.last_error)}"


ROLLUPS_SECONDS = 2.0
"""Age of a lot that the roll-ups lack from which it is shown; usually they have it after half a second."""


def _rollups(service: ServiceStatus) -> Iterator[str]:
    """How far the roll-ups are, where they lack a lot."""
    missing = service.rollups_missing_seconds
    if missing is not None and missing >= ROLLUPS_SECONDS:
        yield f"roll-ups up to lot {service.rollups_lot}; the next one is {in_words(missing)} old"
    for name, (done, events) in service.filling.items():
        yield f"{printable(name)} is being filled: {done:,} of {events:,} events"


def lag_words(service: ServiceStatus) -> str:
    """'caught up', or '30 messages to do, the oldest 2 s old'."""
    if not service.lag_messages:
        return "caught up"
    oldest = f", the oldest {in_words(service.lag_seconds)} old" if service.lag_seconds is not None else ""
    return f"{counted(service.lag_messages, 'message')} to do{oldest}"


PRODUCER = "producer"


def _unit(service: ServiceStatus) -> str:
    return "acknowledged message" if service.name == PRODUCER else "row"


def _tables(status: Status) -> str:
    bronze, clean, rejected = ("none yet" if count is None else f"{count:,}" for count in status.counts)
    return f"rows     bronze {bronze} · clean {clean} · rejected {rejected}"


def _cluster(cluster: SparkCluster) -> Iterator[str]:
    """'cluster  spark://h:7077 ALIVE · 2 workers · 1 of 4 cores free', and a line for each job that runs there."""
    parts = [f"cluster  {cluster.master}"]
    if cluster.problem:
        parts.append(f"NOT KNOWN: {printable(cluster.problem)}")
    else:
        parts[0] += f" {printable(cluster.status)}"
        lost = f", {cluster.workers_lost} lost" if cluster.workers_lost else ""
        parts.append(f"{counted(cluster.workers, 'worker')}{lost}")
        parts.append(f"{cluster.cores_free} of {cluster.cores} cores free")
    yield " · ".join(parts)
    for name, job in cluster.jobs.items():
        parts = [*_share(job, bool(cluster.status)), counted(job.executors, "executor")]
        if job.lost:
            parts.append(f"{job.lost:,} lost since its start")
        yield f"{'':9}{name} has {', '.join(parts)} · {printable(job.application)}"


def _share(job: JobOnCluster, answered: bool) -> Iterator[str]:
    """'1 of the 2 cores that it asks for'; nothing where the master was not asked."""
    if job.cores is not None:
        yield f"{job.cores} of the {counted(job.asked, 'core')} that it asks for" if job.asked else f"{job.cores} cores"
    elif answered:
        yield "no place in the master's list"


def clock(moment: float | None, now: float) -> str:
    """A Unix time as UTC, with the day if it is not today's."""
    if moment is None:
        return "?"
    there, here = (datetime.fromtimestamp(value, timezone.utc) for value in (moment, now))
    return f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M:%S}"
