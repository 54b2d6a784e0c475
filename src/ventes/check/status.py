"""The status of all services, checked when `status()` is called.

A process counts as running only if pid, start time and command match. The broker is asked for its metadata, the page
for its health; the lag is computed from the tables and the topic. A job's heartbeat (batches, errors) is shown with its
age, and is not used to decide whether the job runs.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

import psutil

from ventes import kafka
from ventes.broker import managed
from ventes.check import lag, spark_cluster
from ventes.check.lag import Lag
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog.table import Table
from ventes.errors import VentesError
from ventes.lake import tables
from ventes.runtime import alert_records, disk, heartbeat
from ventes.runtime.alert_records import FIRING
from ventes.runtime.alert_sentence import sentence
from ventes.runtime.durations import in_words
from ventes.runtime.heartbeat import Heartbeat
from ventes.runtime.pipeline_status import DOWN, ELSEWHERE, OFF, FiringAlert, ServiceStatus, Status
from ventes.store import lease, places
from ventes.supervise import service_records, services, states
from ventes.supervise.metrics.endpoint import greeting
from ventes.supervise.service_records import Entry, ServiceRecords
from ventes.supervise.services import ALERTS, BROKER, Service

SILENT_SECONDS = 60.0
"""A job without a new heartbeat for this long is not ready, whatever its phase. Jobs report every few seconds."""
BATCH_SECONDS = 5.0
"""A job that works on one batch for longer than this says so: otherwise it looks like one that stands still."""


def status(settings: Settings) -> Status:
    """Ask all services in parallel; takes as long as the slowest answer (a hung broker: two seconds)."""
    now = time.time()
    records = service_records.read(settings.state)
    supervisor = records.supervisor()
    enabled = services.enabled(settings)
    # who declared no alert is not told of a service for them
    asked_about = [service for service in services.ALL if service != ALERTS or service in enabled]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="status") as pool:
        asked = {
            service.name: pool.submit(
                ask_and_look,
                # with a Kafka client: the broker may accept connections and not answer
                partial(_broker_ready if service == BROKER else service.ready, settings),
                partial(look, settings, service, records, supervisor is not None),
            )
            for service in asked_about
        }
        lags = {
            "bronze": pool.submit(_lag_of_bronze, settings, now, asked["broker"]),
            "silver": pool.submit(lag.of_silver, settings, now),
        }
        declared = contract.of(settings)
        engine = records.engine if supervisor and records.engine else settings.engine
        cluster = pool.submit(spark_cluster.of, settings, engine)
        others = pool.submit(_writers, settings)
        rows = {table.name: pool.submit(_rows, settings, table) for table in (declared.bronze, *declared.outcomes)}
        full_disk = disk.full(settings)
        found = tuple(
            judge(
                service,
                *asked[service.name].result(),
                lags[service.name].result() if service.name in lags else Lag(None),
                now,
                asked_for=service in enabled,
                log=str(settings.log(service.name)),
                full_disk=full_disk,
            )
            for service in asked_about
        )
        found = tuple(
            replace(one, firing=_firing(settings, now)) if one.name == ALERTS.name and one.running else one
            for one in found
        )
        counted = {name: answer.result() for name, answer in rows.items()}
        writers, store_problem = others.result()
        served = supervisor is not None and settings.metrics.enabled
        problem = (records.metrics_problem or _metrics_problem(settings, records.supervisor_pid)) if served else ""
    return Status(
        asked_at=now,
        engine=engine,
        config=str(settings.config_file),
        url=services.page_url(settings),
        supervisor_pid=supervisor.pid if supervisor else None,
        supervisor_since=supervisor.create_time() if supervisor else None,
        services=tuple(sorted(found, key=lambda service: SHOWN.index(service.name))),
        rows=counted,
        metrics=services.metrics_url(settings) if served else "",
        metrics_problem=problem,
        cluster=cluster.result(),
        lake=places.shown(settings.lake),
        writers=writers,
        store_problem=store_problem,
    )


def _broker_ready(settings: Settings) -> services.Answer:
    return managed.ready(settings) if settings.kafka.managed else kafka.cluster_ready(settings)


SHOWN = ("broker", "producer", "bronze", "silver", "page", "alerts")
"""The order of the data flow."""


@dataclass(frozen=True)
class Seen:
    """Observations of a service, the input of `judge`."""

    entry: Entry | None
    """The running supervisor's record of it."""
    record: Heartbeat | None
    """Its last heartbeat."""
    pid: int | None = None
    started: float | None = None
    by_hand: bool = False
    frozen: bool = False
    """Its process is suspended (SIGSTOP)."""

    @property
    def own_record(self) -> Heartbeat | None:
        """The heartbeat, if the observed process wrote it."""
        return self.record if self.record is not None and self.record.pid == self.pid else None


def ask_and_look(ask: Callable[[], services.Answer], look: Callable[[], Seen]) -> tuple[Seen, services.Answer]:
    """A service's answer and the observations of it, made as close together as possible.

    An answer without a process means that the process has ended in between: then it is asked again.
    """
    answer, seen = ask(), look()
    return seen, ask() if answer[0] and seen.pid is None else answer


def look(settings: Settings, service: Service, records: ServiceRecords, supervised: bool) -> Seen:
    """Find the service's process: the supervisor's, or the one that wrote the record, or one started by hand."""
    entry = records.entries.get(service.name)
    record = heartbeat.read(settings.state, service.name)
    process = entry.process() if entry is not None else None
    by_hand = None
    if process is None and record is not None:
        process = heartbeat.process_of(record)
    if process is None or (record is not None and record.pid == process.pid and not record.supervised):
        by_hand = services.started_by_hand(settings, service)
    kept = entry if supervised else None
    try:
        if process is None and by_hand is not None:
            process = by_hand.process()
        if process is None:
            return Seen(kept, record)
        frozen = process.status() == psutil.STATUS_STOPPED
        return Seen(kept, record, process.pid, process.create_time(), by_hand is not None, frozen)
    except psutil.NoSuchProcess:
        return Seen(kept, record)


def judge(
    service: Service,
    seen: Seen,
    answer: services.Answer,
    behind: Lag,
    now: float,
    *,
    asked_for: bool = True,
    log: str = "",
    full_disk: str = "",
) -> ServiceStatus:
    """Compute the status of a service from answer and observations. Pure."""
    running = seen.pid is not None
    if running:
        state, ready, reason = _alive(seen, answer, now)
    elif not asked_for and service.name == BROKER.name:
        state, ready, reason = ELSEWHERE, answer[0], answer[1]
    elif not asked_for:
        state, ready, reason = OFF, False, states.NOT_ASKED_FOR
    else:
        state, ready, reason = _dead(seen, answer, now)
    if behind.problem and running and service.name != BROKER.name:
        reason = reason or behind.problem
    if full_disk and not ready and state not in {OFF, states.STOPPED} and full_disk not in reason:
        reason = f"{full_disk} ({reason})" if reason else full_disk
    if running and seen.own_record is not None:
        reason = reason or seen.own_record.problem
    record = seen.own_record or (seen.record if not running else None)
    ended = seen.entry.since if seen.entry is not None else None
    if ended is None and record is not None and record.service in REPORTING:  # the page has written for its last viewer
        ended = record.beat
    return ServiceStatus(
        name=service.name,
        title=service.title,
        state=state,
        running=running,
        ready=ready,
        reason=reason,
        pid=seen.pid,
        since=seen.started if running else ended,
        by_hand=seen.by_hand,
        engine=record.engine if record else "",
        reported=record.beat if record else None,
        batch=record.batch if record else None,
        batch_at=record.batch_at if record else None,
        batch_rows=record.rows if record else None,
        batch_seconds=record.duration if record else None,
        total=record.total if record else None,
        last_error=record.last_error if record else "",
        last_error_at=record.last_error_at if record else None,
        lag_messages=behind.messages,
        lag_seconds=behind.seconds,
        log=log,
        unacknowledged=record.lag if record is not None and service.name == "producer" else None,
        rollups_lot=record.rollups_lot if record else None,
        rollups_missing_seconds=_missing_seconds(record, now) if record else None,
        filling={name: (done, events) for name, (done, events) in record.filling.items()} if record and running else {},
    )


def _missing_seconds(record: Heartbeat, now: float) -> float | None:
    if record.rollups_lot is None:
        return None
    return 0.0 if record.rollups_missing_since is None else max(0.0, now - record.rollups_missing_since)


def _alive(seen: Seen, answer: services.Answer, now: float) -> tuple[str, bool, str]:
    ready, why = answer
    record = seen.own_record
    if seen.frozen:
        return states.RUNNING, False, f"is suspended; kill -CONT {seen.pid} resumes it"
    if seen.entry is not None and seen.entry.state == states.STOPPING:
        return states.STOPPING, False, seen.entry.reason
    silent = now - record.beat if record is not None and record.service in REPORTING else 0.0
    works = now - record.working_since if record is not None and record.working_since is not None else 0.0
    busy = f"has been working on one batch for {in_words(works)}"
    if silent > SILENT_SECONDS and works:
        return states.RUNNING, ready, busy
    if silent > SILENT_SECONDS:
        return states.RUNNING, False, f"has not reported for {silent:.0f} s"
    if ready:
        if seen.entry is None and not seen.by_hand:
            return states.RUNNING, True, "has no supervisor; `ventes start` takes over"
        return states.RUNNING, True, busy if works > BATCH_SECONDS else ""
    if record is not None and record.phase in {"waiting", "failed", "stopping"}:
        return record.phase, False, record.reason or why  # the heartbeat is newer than the answer
    return "starting", False, why


REPORTING = ("producer", "bronze", "silver", "alerts")
"""Services that renew their heartbeat while idle. The page renews it only while it is open in a browser."""

SAID_GOODBYE = ("stopping", "stopped")
"""Last phases of a heartbeat after an orderly end."""


def _dead(seen: Seen, answer: services.Answer, now: float) -> tuple[str, bool, str]:
    if answer[0]:
        return DOWN, False, "something else answers at its address"
    if seen.entry is not None:
        state = DOWN if seen.entry.state in {states.RUNNING, states.BY_HAND} else seen.entry.state
        reason = seen.entry.reason or "has just ended"
        if seen.entry.state == states.STOPPED and reason == states.NOT_ASKED_FOR:
            reason = "the settings ask for it since the last start: `ventes start` starts it"
        if seen.entry.again_at is not None:
            reason += f"; again in {max(0.0, seen.entry.again_at - now):.0f} s"
        return state, False, reason
    if seen.record is not None and seen.record.phase == "failed":
        return states.FAILED, False, seen.record.reason
    if seen.record is not None and seen.record.service in REPORTING and seen.record.phase not in SAID_GOODBYE:
        how = "its process ended without an error message (killed, or out of memory)"
        return DOWN, False, f"{how}; `ventes start` starts it"
    return states.STOPPED, False, "`ventes start` starts it"


_MOST_SEVERE_FIRST = ("critical", "warning", "info")


def _firing(settings: Settings, now: float) -> tuple[FiringAlert, ...]:
    """The declared alerts that fire, as the alerts service last wrote."""
    known = alert_records.read(settings.state).alerts
    fire = [alert for alert in settings.alerts if alert.name in known and known[alert.name].state == FIRING]
    silences = alert_records.silences(settings.state, [alert.name for alert in fire], now)
    found = [
        FiringAlert(
            alert.name,
            alert.severity,
            sentence(alert, known[alert.name].value, known[alert.name].detail, settings.stream.shown),
            silences[alert.name].until if alert.name in silences else None,
        )
        for alert in fire
    ]
    return tuple(sorted(found, key=lambda one: _MOST_SEVERE_FIRST.index(one.severity)))


METRICS_SECONDS = 1.0


def _metrics_problem(settings: Settings, supervisor: int) -> str:
    """Ask the supervisor's endpoint who it is; '' if it is this supervisor."""
    url = services.metrics_url(settings)
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=METRICS_SECONDS)
    try:
        connection.request("GET", "/")
        said = connection.getresponse().read(200).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        return f"{url} does not answer: {why}; after a change of [metrics], `ventes start` applies it"
    finally:
        connection.close()
    return "" if said == greeting(supervisor) else f"something else answers at {url}"


def _writers(settings: Settings) -> tuple[dict[str, str], str]:
    """Job → who else writes the lake; and why the store could not be asked."""
    mirror = places.of(settings.lake)
    if mirror is None:
        return {}, ""
    try:
        found = {job: lease.held_elsewhere(mirror, job) for job in services.JOBS}
    except VentesError as error:
        return {}, str(error)
    return {job: str(holder) for job, holder in found.items() if holder is not None}, ""


def _lag_of_bronze(settings: Settings, now: float, broker: Future[tuple[Seen, services.Answer]]) -> Lag:
    there, why = broker.result()[1]
    return lag.of_bronze(settings, now) if there else Lag(None, None, why)


def _rows(settings: Settings, table: Table) -> int | None:
    try:
        return tables.snapshot(settings, table).rows
    except VentesError:
        return None
