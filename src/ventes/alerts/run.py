"""`python -m ventes.alerts.run`: the alerts service."""

from __future__ import annotations

import sys
import time
from functools import partial

from ventes import config
from ventes.alerts import channels, select
from ventes.alerts.channels import Answer
from ventes.alerts.history import History
from ventes.alerts.measures import Measures
from ventes.alerts.outbox import Outbox, Store
from ventes.alerts.reading import Reading
from ventes.alerts.service import AlertService
from ventes.alerts.tables import FollowedTables
from ventes.check.status import status
from ventes.config import Settings
from ventes.engines import job
from ventes.engines.job import Job
from ventes.errors import VentesError
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.alert_records import Waiting
from ventes.runtime.exit_codes import NEEDS_A_PERSON
from ventes.runtime.umask import keep_private
from ventes.settings.alerts import Alert
from ventes.supervise import service_records, services

STEP_SECONDS = 1.0


class Reader:
    """The value of an alert, now: of its measure, or of its SELECT."""

    def __init__(self, settings: Settings) -> None:
        self._tables = FollowedTables(settings)
        self._measures = Measures(settings, self._tables, partial(status, settings), _started(settings))

    def begin_round(self) -> None:
        self._measures.begin_round()

    def read(self, alert: Alert) -> Reading:
        """Raises VentesError and OSError where it cannot be read."""
        return select.read(alert, self._tables) if alert.sql else self._measures.read(alert)


def _started(settings: Settings) -> float:
    """When the pipeline began: its supervisor, so that a restart of this process alone is no new beginning."""
    supervisor = service_records.read(settings.state).supervisor()
    return time.time() if supervisor is None else supervisor.create_time()


def send(urls: dict[str, str], message: Waiting) -> Answer:
    """Send a message to its channel; `urls` in clear text."""
    return channels.send(urls[message.channel], message.title, message.body, message.severity, message.kind)


def body(running: Job) -> None:
    """The service until it is told to stop."""
    settings = running.settings
    named = {name for alert in settings.alerts for name in alert.channels}
    urls = {name: url for name, url in settings.channel_urls().items() if name in named}
    reader, store = Reader(settings), Store(settings.state)
    with WriterLock(lock_path(settings, "alerts")) as lock:
        outbox = Outbox(store, partial(send, urls))
        service = AlertService(
            tuple(settings.alerts),
            {name: channels.refused(url) for name, url in urls.items()},
            store,
            outbox,
            History(settings, lock.require),
            reader.read,
            services.page_url(settings),
            settings.stream.shown,
        )
        service.start()
        running.log.info("%d alerts are checked, %d channels", len(settings.alerts), len(urls))
        said = ""
        while not running.stopper.stopping:
            problem = service.problem()
            if running.beat_due() or problem != said:
                running.go_on(problem=problem)
                said = problem
            service.step(reader.begin_round, running.go_on)
            running.stopper.wait(STEP_SECONDS)
        outbox.end()
        store.save()


def main() -> int:
    """The program."""
    keep_private()
    try:
        settings = config.load()
        return job.run(settings, services.ALERTS.name, settings.engine, body)
    except VentesError as error:
        print(error, file=sys.stderr)
        return NEEDS_A_PERSON


if __name__ == "__main__":
    sys.exit(main())
