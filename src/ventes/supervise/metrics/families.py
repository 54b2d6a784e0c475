"""The metrics of the pipeline, from service records, heartbeats and a measurement. Pure, but for `read`.

A value that is not known has no sample. Counters of a service begin at 0 with its process, which Prometheus takes as a
reset; after it has ended they keep their last value until the next one starts. docs/monitoring lists all metrics.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from ventes import __version__
from ventes.config import Settings
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import VIEWER_SECONDS, Heartbeat
from ventes.runtime.measured import Measured
from ventes.supervise import service_records, services, states
from ventes.supervise.service_records import Entry, ServiceRecords

STATES = (
    states.WAITING,
    states.RUNNING,
    states.RESTARTING,
    states.STOPPING,
    states.STOPPED,
    states.FAILED,
    states.BY_HAND,
)
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Known:
    """The input: what the supervisor and the services have written, and the last measurement, if there is one."""

    records: ServiceRecords
    heartbeats: Mapping[str, Heartbeat]
    """Service → its heartbeat; without services that have none."""
    measured: Measured | None
    stream: str
    now: float
    """Unix seconds."""
    page_alive: bool = False
    """Whether the process that wrote the page's heartbeat runs."""


def read(settings: Settings, measured: Measured | None) -> Known:
    """Read what is on disk now."""
    found = ((service.name, heartbeat.read(settings.state, service.name)) for service in services.ALL)
    heartbeats = {name: record for name, record in found if record is not None}
    page = heartbeats.get("page")
    return Known(
        service_records.read(settings.state),
        heartbeats,
        measured,
        settings.stream_file.stem,
        time.time(),
        page is not None and heartbeat.alive(page),
    )


class Families:
    """What prometheus_client's encoders take: an object whose `collect` gives the families."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def collect(self) -> Iterable[Metric]:
        known = self._known
        return [
            *_of_the_whole(known),
            *_of_services(known),
            *_of_jobs(known),
            *_of_producer(known),
            *_of_page(known),
            *_measured(known),
        ]


def _of_the_whole(known: Known) -> Iterator[Metric]:
    info = InfoMetricFamily("ventes_build", "Release, engine and stream of the pipeline.")
    info.add_metric([], {"version": __version__, "engine": known.records.engine, "stream": known.stream})
    yield info


# -- services ---------------------------------------------------------------------------------


def _of_services(known: Known) -> Iterator[Metric]:
    entries = known.records.entries
    yield _gauges(
        "ventes_service_state",
        "1 for the state that the supervisor has for a service, 0 for the others.",
        (
            ({"service": name, "state": state.replace(" ", "_")}, entry.state == state)
            for name, entry in entries.items()
            for state in STATES
        ),
    )
    restarts = (({"service": name}, entry.restarts) for name, entry in entries.items())
    yield _counters("ventes_service_restarts", "Starts of a service after it ended unexpectedly.", restarts)
    errors = (
        ({"service": service.name}, _last_error(entries.get(service.name), known.heartbeats.get(service.name)))
        for service in services.ALL
    )
    yield _gauges("ventes_service_last_error_timestamp_seconds", "When a service last had an error.", errors)


def _last_error(entry: Entry | None, record: Heartbeat | None) -> float | None:
    """The later one of the last error in the heartbeat and the last unexpected end."""
    times = [entry.failed_at if entry is not None else None, record.last_error_at if record is not None else None]
    return max((moment for moment in times if moment is not None), default=None)


# -- jobs -------------------------------------------------------------------------------------


def _of_jobs(known: Known) -> Iterator[Metric]:
    bronze, silver = known.heartbeats.get("bronze"), known.heartbeats.get("silver")
    jobs = {name: record for name, record in (("bronze", bronze), ("silver", silver)) if record is not None}
    yield _counter("ventes_messages_read", "Messages written to Bronze.", bronze.total if bronze else None)
    yield _counter("ventes_messages_clean", "Messages that became clean events.", silver.clean if silver else None)
    yield _counter("ventes_messages_rejected", "Messages that were rejected.", silver.rejected if silver else None)
    yield _counters(
        "ventes_messages_rejected_by_reason",
        "Messages that were rejected for a reason; one message may have several.",
        (({"reason": reason}, count) for reason, count in sorted(silver.reasons.items())) if silver else (),
    )
    yield _histograms(
        "ventes_batch_duration_seconds",
        "Time of a batch of the Bronze job, or a lot of the Silver job.",
        "service",
        {name: record.batch_times for name, record in jobs.items()},
    )
    yield _gauges(
        "ventes_last_batch_timestamp_seconds",
        "When a job last committed a batch or lot.",
        (({"service": name}, record.batch_at) for name, record in jobs.items()),
    )
    yield _histograms(
        "ventes_freshness_seconds",
        "Time from the event, or from its arrival in Kafka, to the commit of the clean event.",
        "since",
        silver.freshness if silver else {},
    )


def _of_producer(known: Known) -> Iterator[Metric]:
    record = known.heartbeats.get("producer")
    total, pending = (record.total, record.lag) if record else (None, None)
    yield _counter("ventes_producer_messages", "Messages that Kafka acknowledged to the producer.", total)
    yield _gauge("ventes_producer_unacknowledged_messages", "Messages that the producer keeps until then.", pending)


def _of_page(known: Known) -> Iterator[Metric]:
    record = known.heartbeats.get("page")
    viewers = 0
    if record is not None and known.page_alive and known.now - record.beat < VIEWER_SECONDS:
        viewers = record.viewers
    yield _gauge("ventes_page_viewers", "Browsers that show the page.", viewers)
    yield _histograms(
        "ventes_page_refresh_duration_seconds",
        "Time of drawing a part of the page for a viewer.",
        "part",
        record.refresh_times if record else {},
    )


# -- measured ---------------------------------------------------------------------------------


def _measured(known: Known) -> Iterator[Metric]:
    found = known.measured
    yield _gauge("ventes_measurement_success", "1 if what is measured for the metrics is there.", found is not None)
    if found is None:
        return
    yield _gauge("ventes_measurement_duration_seconds", "Time of the measurement.", found.seconds)
    yield _gauge("ventes_broker_up", "1 if the broker answers a Kafka client.", found.broker_up)
    yield _gauges(
        "ventes_service_ready",
        "1 if a service that the settings ask for runs and is ready.",
        (({"service": name}, ready) for name, ready in found.ready.items()),
    )
    lags = found.lag.items()
    yield _gauges(
        "ventes_lag_messages",
        "Messages that a job has still to process.",
        (({"service": name}, lag.messages) for name, lag in lags),
    )
    yield _gauges(
        "ventes_lag_seconds",
        "Age of the oldest message that a job has still to process; 0 if there is none.",
        (({"service": name}, lag.seconds) for name, lag in lags),
    )
    yield _gauge("ventes_rollups_lag_seconds", "Age of the oldest lot that the roll-ups lack.", found.rollups_seconds)
    tables = found.tables.items()
    for name, what, sizes in (
        ("ventes_table_version", "Newest version of a table.", ((table, size.version) for table, size in tables)),
        ("ventes_table_files", "Live data files of a table.", ((table, size.files) for table, size in tables)),
        ("ventes_table_bytes", "Bytes of the live data files.", ((table, size.size) for table, size in tables)),
        ("ventes_table_rows", "Rows of a table.", ((table, size.rows) for table, size in tables)),
    ):
        yield _gauges(name, what, (({"table": table}, value) for table, value in sizes))
    disks = found.disks.items()
    yield _gauges(
        "ventes_disk_free_bytes",
        "Free bytes of the disk of a folder of [paths].",
        (({"folder": key}, disk.free) for key, disk in disks),
    )
    yield _gauges("ventes_disk_size_bytes", "Its size.", (({"folder": key}, disk.size) for key, disk in disks))


# -- families ---------------------------------------------------------------------------------


def _gauges(name: str, what: str, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    return _filled(GaugeMetricFamily(name, what), name, samples)


def _gauge(name: str, what: str, value: float | None) -> Metric:
    return _gauges(name, what, [({}, value)])


def _counters(name: str, what: str, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    return _filled(CounterMetricFamily(name, what), f"{name}_total", samples)


def _counter(name: str, what: str, value: float | None) -> Metric:
    return _counters(name, what, [({}, value)])


def _filled(family: Metric, name: str, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    for labels, value in samples:
        if value is not None:
            family.add_sample(name, dict(labels), float(value))
    return family


def _histograms(name: str, what: str, label: str, found: Mapping[str, Mapping[str, Any]]) -> Metric:
    """`found`: value of the label → Distribution.record; an empty one has no sample."""
    family = HistogramMetricFamily(name, what, labels=[label])
    for value, record in found.items():
        if record:
            bounds = [*(str(float(bound)) for bound in record["bounds"]), "+Inf"]
            buckets = list(zip(bounds, accumulate(record["counts"]), strict=True))
            family.add_metric([value], buckets, record["sum"])
    return family
