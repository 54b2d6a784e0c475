"""The value of a measure, now. All alerts of one round share what was asked: the services are asked once.

No measure is known while there is no data: before a table is there, before a first event, before the services were
given time to start. `seconds_since_last_event` and what is counted within a time are known again when the pipeline has
run for as long: the time in which it was stopped is no silence of the shops.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ventes.alerts.reading import Reading
from ventes.alerts.tables import FollowedTables, arrived_since, newest_arrival
from ventes.config import Settings
from ventes.errors import VentesError
from ventes.runtime import disk
from ventes.runtime.durations import in_words
from ventes.runtime.pipeline_status import DOWN, OFF, ServiceStatus, Status
from ventes.settings.alerts import MEASURES, Alert

START_SECONDS = 60.0
"""After the start of the pipeline its services may take so long to be ready, before an alert says that they are not."""
OF_SERVICES = ("lag_seconds", "lag_messages", "failed_services", "services_not_ready")
_FAILED = ("failed", "restarting", DOWN)
_NOT_MEANT = (OFF, "stopped", "stopping")
"""A service that was stopped on purpose is not one that failed."""


class Measures:
    """Reads measures. `ask`: the status of all services; `started`: when the pipeline began (Unix seconds)."""

    def __init__(
        self,
        settings: Settings,
        tables: FollowedTables,
        ask: Callable[[], Status],
        started: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._ask = ask
        self._started = started
        self._clock = clock
        self._status: Status | None = None

    def begin_round(self) -> None:
        """Forget what was asked: the next reading asks again."""
        self._status = None

    def read(self, alert: Alert) -> Reading:
        """The value of the alert's measure. Raises VentesError and OSError where it cannot be read."""
        if alert.measure == "disk_free_mb":
            return self._disk(alert.of)
        if alert.measure in OF_SERVICES:
            return self._of_services(alert)
        return self._of_tables(alert)

    def _disk(self, of: str) -> Reading:
        folders = {name: path for name, path in self._settings.folders.items() if of in ("", name) and path.exists()}
        free = {name: disk.free_mb(path) for name, path in folders.items()}
        if not free:
            return Reading(None, "the folder is not there yet")
        least = min(free, key=lambda name: free[name])
        return Reading(free[least], f"paths.{least}")  # viewers of the page see it, who are not told the folder

    # -- services -----------------------------------------------------------------------------

    def _of_services(self, alert: Alert) -> Reading:
        age = self._clock() - self._started
        if age < START_SECONDS:
            return Reading(None, f"the pipeline was started {in_words(age)} ago")
        if self._status is None:
            self._status = self._ask()
        found = [s for s in self._status.services if s.name in MEASURES[alert.measure].of and alert.of in ("", s.name)]
        if alert.measure == "failed_services":
            return _counted([service for service in found if service.state in _FAILED])
        if alert.measure == "services_not_ready":
            return _counted([s for s in found if not s.ready and s.state not in _NOT_MEANT])
        values = [_tenths(s.lag_seconds) if alert.measure == "lag_seconds" else s.lag_messages for s in found]
        known = [(value, s.title) for value, s in zip(values, found, strict=True) if value is not None]
        if not known:
            return Reading(
                None, "; ".join(service.reason for service in found if service.reason) or "the lag is unknown"
            )
        return Reading(*max(known))

    # -- tables -------------------------------------------------------------------------------

    def _of_tables(self, alert: Alert) -> Reading:
        declared = self._tables.declared
        now = self._clock()
        try:
            clean = self._tables.snapshot(declared.clean)
            if alert.measure == "seconds_since_last_event":
                return self._quiet(alert, newest_arrival(clean), now)
            if alert.measure == "events" and now - self._started < alert.within:
                return Reading(None, f"the pipeline has not run for {in_words(alert.within)} yet")
            since = now - alert.within
            events = 0 if alert.measure == "rejected" else arrived_since(clean, since)
            if alert.measure == "events":
                return Reading(events)
            rejected = arrived_since(self._tables.snapshot(declared.rejets), since)
        except VentesError as error:
            return Reading(None, error.message)
        if alert.measure == "rejected":
            return Reading(rejected)
        if not events + rejected:
            return Reading(None, f"no message arrived within {in_words(alert.within)}")
        return Reading(100 * rejected / (events + rejected), f"{rejected:,} of {events + rejected:,} messages")

    def _quiet(self, alert: Alert, newest: float | None, now: float) -> Reading:
        if newest is None:
            return Reading(None, "no event yet")
        runs = now - self._started
        if newest < self._started and alert.above is not None and runs <= alert.above:
            return Reading(None, f"no event since the pipeline was started {in_words(runs)} ago")
        return Reading(max(0, round(now - newest)))


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _counted(services: list[ServiceStatus]) -> Reading:
    return Reading(
        len(services), "; ".join(f"{service.title}: {service.reason or service.state}" for service in services)
    )
