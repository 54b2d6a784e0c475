"""Both Spark jobs once through, in one JVM, over a broker that has messages: what the class-data archive is made from.

Each job takes a large batch and a small one, so that every class that either ever needs is loaded once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ventes import kafka
from ventes.config import Settings
from ventes.engines.job import Job
from ventes.engines.silver_loop import SilverLoop
from ventes.engines.spark.bronze import Bronze
from ventes.engines.spark.frames import FEW
from ventes.engines.spark.session import Session, open_session
from ventes.engines.spark.silver import SparkSilver
from ventes.errors import VentesError
from ventes.lake.open_tables import OpenTables
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

LARGE = FEW + 5_000
"""Messages that the topic must hold at the start."""
DUMP_SECONDS = 90.0
"""How long the JVM may take to write its archive when it ends."""


class UntilDone(Stopper):
    """Stops a job as soon as its heartbeat counts `rows`; before that, at each step, lets `between` act."""

    def __init__(self, reporter: Reporter, rows: int, between: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._reporter = reporter
        self._rows = rows
        self._between = between

    def wait(self, seconds: float) -> bool:
        done = self._reporter.record.total
        if self._between is not None:
            self._between(done)
        if done >= self._rows:
            self.stop()
        return super().wait(seconds)


def rehearse(settings: Settings, send: Callable[[int], object]) -> None:
    """Run Bronze, then Silver, over LARGE messages that are there and ten that `send` adds."""
    session = open_session(settings, "rehearsal")
    try:
        _bronze(settings, session, send)
        _silver(settings, session)
    finally:
        session.close(DUMP_SECONDS)


def _bronze(settings: Settings, session: Session, send: Callable[[int], object]) -> None:
    sent: list[object] = []

    def few_more(done: int) -> None:
        if done >= LARGE and not sent:
            sent.append(send(10))

    reporter = Reporter(settings.state, "bronze", "spark")
    stopper = UntilDone(reporter, LARGE + 10, few_more)
    with kafka.Admin(settings) as admin:
        Bronze(Job(settings, logging.getLogger("ventes.bronze"), reporter, stopper), session, admin, lambda: None).run()


def _silver(settings: Settings, session: Session) -> None:
    reporter = Reporter(settings.state, "silver", "spark")
    stopper = UntilDone(reporter, LARGE + 10)
    tables = OpenTables(settings)
    job = Job(settings, logging.getLogger("ventes.silver"), reporter, stopper)
    code = SilverLoop(job, SparkSilver(settings, tables, session), tables, max_rows=LARGE).run()
    if code:
        raise VentesError(f"Silver did not run through: {reporter.record.reason}", "ventes doctor")
