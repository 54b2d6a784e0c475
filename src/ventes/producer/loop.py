"""A run of the producer: wait for the broker, send what an earlier run left, then its source's events until stopped."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from ventes import kafka
from ventes.config import SUPERVISED_VARIABLE, Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.producer import sources, spool
from ventes.producer.message import Message
from ventes.producer.options import Options
from ventes.producer.sender import MAX_UNACKED, Sender
from ventes.producer.sources import Kind, Source
from ventes.producer.spool import Spool
from ventes.runtime import heartbeat
from ventes.runtime.exit_codes import NEEDS_A_PERSON
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

BATCH = 1000
"""Events that are made, spooled and sent together, at most."""
FLUSH_SECONDS = 7.0
"""Seconds to wait for acknowledgements at the end; messages without one stay in the spool."""
LOW_RATE = 2.0
"""Up to this rate (events per second) the first events have a log line each, and a summary is due less often."""
FIRST_LINES = 10
"""Such lines: they show what is sent. A line for every event was 0.7 MB in 80 minutes at 0.5 events per second."""
SUMMARY_SECONDS = 10.0
LOW_RATE_SUMMARY_SECONDS = 60.0
SILENT_SECONDS = 3.0
"""If messages are unacknowledged for longer than this, the broker counts as unavailable."""
IDLE_POLL_SECONDS = 0.5
QUANTUM_SECONDS = 0.01
"""Events due within this time are made together: one spool file per event would cost more than the event."""
LOST_SECONDS = 1.0
"""If the producer is late by more than this, the pace starts again from now."""

_log = logging.getLogger("ventes.producer")


def run(settings: Settings, options: Options, stopper: Stopper, report: Reporter | None) -> int:
    """Produce until `options.count` is reached or `stopper` is set; returns the exit code."""
    reports = Reports(report)
    try:
        kind = sources.kind_for(settings)
        if kind is None:
            return _leave_it_to_others(settings, stopper, reports)
        opened = _wait_for_kafka(settings, options, kind, stopper, reports)
        if opened is not None:
            _Run(settings, options, stopper, reports, *opened).send()
        reports.phase("stopped", stopper.signal or "all sent")
        return 0
    except VentesError as error:
        _log.error("%s", error)
        reports.phase("failed", str(error))
        return NEEDS_A_PERSON


def _leave_it_to_others(settings: Settings, stopper: Stopper, reports: Reports) -> int:
    """The service of a stream whose events only other programs send: it must not send any to their topic."""
    reports.phase("running", f"other programs send the events of {settings.stream.name} to {settings.topic}")
    while not stopper.wait(1.0):
        reports.beat()
    reports.phase("stopped", stopper.signal or "")
    return 0


def is_the_service(settings: Settings, options: Options) -> bool:
    """Whether this run is the producer service, with the service's heartbeat and log file.

    A run with `--count`, or one beside a running producer, is not: it writes to the terminal only.
    """
    if os.environ.get(SUPERVISED_VARIABLE):
        return True
    other = heartbeat.read(settings.state, "producer")
    return options.count is None and (other is None or other.pid == os.getpid() or not heartbeat.alive(other))


class Reports:
    """Reports changes to the log, and to the heartbeat if this run has one."""

    def __init__(self, report: Reporter | None) -> None:
        self._report = report
        self.of_a_service = report is not None
        self._phase = ("starting", "")

    def phase(self, phase: str, reason: str = "") -> None:
        if (phase, reason) == self._phase:
            return
        if phase == "waiting":
            _log.warning("waiting: %s", reason)
        elif self._phase[0] == "waiting":
            _log.info("%s again", phase)
        self._phase = (phase, reason)
        self.beat(phase=phase, reason=reason)
        if phase == "running" and reason:
            _log.info("%s", reason)
        if self._report is not None and phase in {"waiting", "failed"}:
            self._report.error(reason)

    def beat(self, **changes: object) -> None:
        if self._report is not None:
            self._report.update(**changes)


def _wait_for_kafka(
    settings: Settings, options: Options, kind: Kind, stopper: Stopper, reports: Reports
) -> tuple[Source, Path] | None:
    """Wait until broker and topic are available; returns source and spool of the run, or None if stopped first."""
    while not stopper.stopping:
        try:
            if kafka.wait_until_ready(settings, 5.0, stopper):
                topic_id = kafka.ensure_topic(settings)
                return kind.open(settings, options, topic_id), spool.folder(settings)
        except BrokerUnavailable as error:
            reports.phase("waiting", str(error))
            reports.beat()
    return None


class _Run:
    def __init__(
        self, settings: Settings, options: Options, stopper: Stopper, reports: Reports, source: Source, folder: Path
    ) -> None:
        self._address = settings.kafka.bootstrap
        self._no_answer = "no answer"
        if not settings.kafka.managed:  # librdkafka reports nothing while it repeats a message that is refused
            self._no_answer += ", or too few replicas are in sync (`ventes doctor` says which)"
        self._topic = settings.topic
        self._options = options
        self._stopper = stopper
        self._news = reports
        self._source = source
        self._spool = Spool(folder)
        self._sender = Sender(settings, self._spool)
        self._pace = Pace(options.rate)
        self._began = time.monotonic()
        self._progress = Progress(self._began)
        self._lines = Lines(options.rate, self._began)
        self._batches = 0
        self._last: dict[str, object] = {}

    def send(self) -> None:
        noun = self._source.noun
        rate = f"as many {noun} as it can" if math.isinf(self._pace.rate) else f"{self._pace.rate:g} {noun} per second"
        _log.info("the producer runs, pid %d: %s to %s at %s", os.getpid(), rate, self._topic, self._address)
        try:
            self._resume()
            while not self._stopper.stopping and not self._done():
                self._step()
            while not self._stopper.stopping and self._sender.unacked:
                self._poll(IDLE_POLL_SECONDS)
        finally:
            self._sender.close(FLUSH_SECONDS)
            self._source.close()
            self._summarise()

    def _resume(self) -> None:
        left = self._spool.adopt()
        count = 0
        for number in left:
            if self._stopper.stopping:
                break  # the rest stays in the spool
            count += self._sender.resume(number)
            while (self._sender.parked or self._sender.unacked > MAX_UNACKED) and not self._stopper.stopping:
                self._poll(IDLE_POLL_SECONDS)
        if count:
            _log.info("sending %d %s that an earlier run left unacknowledged", count, self._source.noun)

    def _done(self) -> bool:
        if self._options.count is not None and self._source.made >= self._options.count:
            return True
        return self._source.exhausted and not self._news.of_a_service  # a service would be started again

    def _step(self) -> None:
        room = 0 if self._sender.parked else MAX_UNACKED - self._sender.unacked
        if room <= 0:
            self._poll(IDLE_POLL_SECONDS)
            self._pace.restart()
            return
        due = min(self._pace.due(), BATCH, room)
        if self._options.count is not None:
            due = min(due, self._options.count - self._source.made)
        if due and not self._source.exhausted:
            self._make(due)
        self._poll(min(self._pace.idle(), IDLE_POLL_SECONDS))

    def _make(self, count: int) -> None:
        messages = self._source.batch(count, datetime.now(timezone.utc))
        if self._source.exhausted:
            _log.info("no more %s: all are on their way", self._source.noun)
        while not self._kept(messages):
            if self._stopper.stopping:
                _log.error("%d %s could not be kept and were not sent", len(messages), self._source.noun)
                return
        self._source.kept()
        self._pace.made(count)
        self._batches += 1
        self._last = {"batch": self._batches, "batch_at": time.time(), "rows": count}
        if self._lines.own_line_due():
            self._log_last()

    def _kept(self, messages: list[Message]) -> bool:
        try:
            self._sender.send(messages)
        except OSError as error:  # most likely a full disk: acknowledgements still free some space
            what = f"cannot keep messages in {error.filename or 'the spool'}: {error.strerror}"
            self._news.phase("waiting", f"{what} → free that disk; nothing is sent until then")
            self._sender.poll(IDLE_POLL_SECONDS)
            return False
        return True

    def _poll(self, seconds: float) -> None:
        self._sender.poll(seconds)
        now = time.monotonic()
        sender = self._sender
        if self._progress.silent(now, sender.acked, sender.unacked) > SILENT_SECONDS:
            why = sender.trouble or self._no_answer
            self._news.phase(
                "waiting",
                f"Kafka at {self._address} acknowledges nothing: {why}; {self._source.noun} are kept until then",
            )
        else:
            self._news.phase("running")
        if self._progress.beat_due(now):
            self._news.beat(**self._last, total=sender.acked, lag=sender.unacked)
        if self._lines.summary_due(now):
            self._summarise()

    # -- log lines -------------------------------------------------------------------------------

    def _log_last(self) -> None:
        if line := self._source.last_line():
            _log.info("%s; %s", line, self._counts())

    def _summarise(self) -> None:
        odd = self._source.irregular()
        seconds = time.monotonic() - self._began
        _log.info(
            "%s %s, %.1f/s; %s%s%s",
            f"{self._source.made:,}",
            self._source.noun,
            self._source.made / seconds if seconds else math.nan,
            self._counts(),
            "; of these " + ", ".join(odd) if odd else "",
            f"; last: {line}" if self._lines.low and (line := self._source.last_line()) else "",
        )

    def _counts(self) -> str:
        sender = self._sender
        return f"{sender.acked:,} acked, {sender.failed:,} failed, {sender.unacked:,} on their way"


class Pace:
    """How many events are due when. After a pause (broker down, machine suspended) there is no burst of late events."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Count from now: one event is due at once."""
        self._start = self._next = self._clock()
        self._made = 0

    def due(self) -> int:
        """How many events are due now."""
        if math.isinf(self.rate):
            return BATCH
        now = self._clock()
        if now < self._next:
            return 0
        if now - self._next > LOST_SECONDS:
            self.restart()
        return 1 + int((now - self._start) * self.rate) - self._made

    def made(self, count: int) -> None:
        self._made += count
        self._next = max(self._start + self._made / self.rate, self._clock() + QUANTUM_SECONDS)

    def idle(self) -> float:
        """Seconds until more are due."""
        return 0.0 if math.isinf(self.rate) else max(0.0, self._next - self._clock())


class Lines:
    """Which events have a log line of their own, and when a summary is due."""

    def __init__(self, rate: float, now: float) -> None:
        self.low = rate <= LOW_RATE
        self._own = FIRST_LINES if self.low else 0
        self._every = LOW_RATE_SUMMARY_SECONDS if self.low else SUMMARY_SECONDS
        self._told = now

    def own_line_due(self) -> bool:
        """Whether the events that were just made have a line."""
        self._own -= 1
        return self._own >= 0

    def summary_due(self, now: float) -> bool:
        if now - self._told < self._every:
            return False
        self._told = now
        return True


class Progress:
    """Detects missing acknowledgements, and when a heartbeat is due."""

    def __init__(self, now: float) -> None:
        self._acked = 0
        self._heard = self._beaten = now

    def silent(self, now: float, acked: int, unacked: int) -> float:
        """Seconds since the last acknowledgement while messages are unacknowledged."""
        if acked != self._acked or not unacked:
            self._acked, self._heard = acked, now
        return now - self._heard

    def beat_due(self, now: float) -> bool:
        if now - self._beaten < 1.0:
            return False
        self._beaten = now
        return True
