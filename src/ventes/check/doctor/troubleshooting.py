"""The four entries of the dashboard guide's Troubleshooting, checked now.

Each is ok, or names the first cause in the data flow (broker → producer → Bronze → Silver → page) and the next step.
Pure: its input is the result of `status`, and load and memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import psutil

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import Settings
from ventes.runtime.counts import counted
from ventes.runtime.pipeline_status import DOWN, ELSEWHERE, OFF, ServiceStatus, Status
from ventes.supervise import states

START = "bash start_pipeline.sh"
BEHIND_SECONDS = 60.0
LITTLE_MEMORY_MB = 300


@dataclass(frozen=True)
class Load:
    """The machine now. `average` is that of the last minute."""

    average: float
    cores: int
    free_mb: int

    @classmethod
    def now(cls) -> Load:
        return cls(os.getloadavg()[0], os.cpu_count() or 1, psutil.virtual_memory().available // 1_000_000)


def findings(settings: Settings, now: Status, load: Load | None = None) -> Iterator[Finding]:
    """One finding for each entry, named after its heading."""
    found = (_not_loading(now), _no_data(now), _not_updating(settings, now), _slow(settings, now, load or Load.now()))
    yield from (replace(finding, symptom=True) for finding in found)


def _not_loading(now: Status) -> Finding:
    name = "Dashboard Not Loading"
    page = now.service("page")
    return ok(name, f"it answers at {now.url}") if page.ready else _trouble(name, page, now)


def _no_data(now: Status) -> Finding:
    name = "No Data Showing"
    broken = _first_broken(now, "broker", "producer", "bronze", "silver")
    if broken is not None:
        return _trouble(name, broken, now)
    rows, clean, rejected = now.counts
    if rows is None:
        return warn(name, "there is no Bronze table that can be read", f"see `table bronze` above, or {START}")
    if rows == 0:
        if now.service("producer").state == OFF:
            return warn(name, "Bronze is empty, and no producer is asked for", "send events, or set producer.enabled")
        return warn(name, "Bronze is empty: no message has arrived yet", f"look into {now.service('producer').log}")
    if not clean:
        if rejected:
            return warn(
                name, f"all {counted(rejected, 'message')} so far were rejected", "ventes rejects list says why"
            )
        return warn(
            name, f"Bronze has {counted(rows, 'row')}, Silver none yet", f"look into {now.service('silver').log}"
        )
    return ok(name, f"{counted(rows, 'message')} in Bronze, {clean:,} of them clean in Silver")


def _not_updating(settings: Settings, now: Status) -> Finding:
    name = "Charts Not Updating"
    broken = _first_broken(now, "broker", "silver", "bronze", "producer", "page")  # the jobs wait for the broker
    if broken is not None:
        return _trouble(name, broken, now)
    for job in (now.service("silver"), now.service("bronze")):
        if (job.lag_seconds or 0) > BEHIND_SECONDS:
            return warn(
                name,
                f"the {job.title} is {job.lag_seconds:.0f} s and {job.lag_messages or 0:,} messages behind",
                f"it works through them; if the number does not fall, look into {job.log}",
            )
    others = ""
    if now.service("producer").state == OFF:
        others = "; no producer is asked for (producer.enabled), so only what other programs send is new"
    return ok(name, f"both jobs keep up; an open page asks every {settings.page.refresh_seconds} s{others}")


def _slow(settings: Settings, now: Status, load: Load) -> Finding:
    name = "Performance Issues"
    if load.free_mb < LITTLE_MEMORY_MB:
        step = "close other programs"
        if now.engine == "spark":
            step += ", or use the lighter engine: ventes restart --engine embedded"
        return warn(name, f"{load.free_mb} MB of memory are available", step)
    if load.average > 2 * load.cores:
        return warn(
            name,
            f"{load.average:.1f} processes compete for {load.cores} cores (last minute)",
            "`top` shows which; a slower refresh (the page's sidebar) or the embedded engine takes less",
        )
    return ok(name, f"load {load.average:.1f} on {load.cores} cores, {load.free_mb:,} MB of memory available")


def _first_broken(now: Status, *names: str) -> ServiceStatus | None:
    return next((service for service in map(now.service, names) if not service.ok), None)


def _never_started(now: Status) -> bool:
    """Whether nothing was ever started: no service runs or has left a record, and there is no table."""
    idle = all(
        service.state in (states.STOPPED, OFF, ELSEWHERE) and service.since is None and service.reported is None
        for service in now.services
    )
    return idle and now.supervisor_pid is None and now.counts[0] is None


def _trouble(name: str, service: ServiceStatus, now: Status) -> Finding:
    """A service that is not ready, as the cause of an entry."""
    if service.state == states.STOPPED and _never_started(now):
        return ok(name, f"the pipeline has not been started yet; `{START}` does it")
    seen = f"the {service.title} is {service.state}" + (f": {service.reason}" if service.reason else "")
    if service.state in (states.STOPPED, DOWN):
        return warn(name, seen, START)
    if service.state == "starting":
        return warn(name, seen, f"wait a moment; {service.log} shows how far it is")
    if service.state == "waiting":
        return warn(name, seen, f"it goes on by itself once that is over; {service.log} shows since when it waits")
    return bad(name, seen, f"look into {service.log}, then {START}")
