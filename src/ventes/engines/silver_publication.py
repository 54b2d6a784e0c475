"""When the Silver job publishes the roll-ups: some time after a lot, in steps between the lots.

The lots' partial rows are added up in memory (lake/unpublished.py) and published together under the newest lot. After
a crash the missing lots are completed from the clean events (`Publisher.complete`). So the clean events have a lot a
little earlier than the roll-ups do; each roll-up's transaction says which lots it has.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterator, Mapping

import pyarrow as pa

from ventes.deltalog.log import Log
from ventes.lake.rollups import Publisher
from ventes.lake.unpublished import Unpublished
from ventes.runtime.failpoints import failpoint

FILL_REST = 1.0
"""Seconds between two parts of a table that is being filled, for each second that a part took: lots have the rest."""


class Publication:
    """The roll-ups of a running Silver job. Its owner takes lots; between two of them it calls `go_on`."""

    def __init__(
        self, log: logging.Logger, publisher: Publisher, clean: Log, lot: int, after: float | None = None
    ) -> None:
        """`lot`: the one that the roll-ups have, but for those that are being filled. `after`: seconds from a lot to
        its publication."""
        self.publisher = publisher
        self._log = log
        self._clean = clean
        self._published = lot
        self._waiting = Unpublished(lot, after=after)
        self._steps: Iterator[None] | None = None
        """The publication in progress."""
        self._lot = lot
        """The lot under which it publishes."""
        self._took = 0.0
        self._fill_at = 0.0
        self._missing_since: float | None = None
        self._waiting_since: float | None = None

    def add(self, partials: Mapping[str, pa.Table], lot: int) -> None:
        """Take over what a committed lot has for the roll-ups. It publishes here only if too much is held in memory."""
        self._waiting.add(partials, lot, time.monotonic())
        self._waiting_since = self._waiting_since or time.time()
        while self._waiting.full:
            self._step()

    def go_on(self) -> None:
        """Make the step that is due: a tenth of a second of a publication, or a part of a table to fill."""
        if self._due_in() <= 0:
            self._step()
        else:
            self._fill()

    def pause(self, longest: float) -> float:
        """Seconds until a step is due, at most `longest`; 0 if one is."""
        return max(0.0, min(longest, self._due_in(), self._fill_in()))

    def finish(self) -> None:
        """Publish all lots that were added: before the job stops. What is being filled is left as it is."""
        while self._steps is not None or self._waiting.since is not None:
            self._step()

    def drop(self) -> None:
        """Leave it all, and delete the files that no commit names: the state in memory may be ahead of the tables."""
        if isinstance(self._steps, Generator):
            self._steps.close()
        self.publisher.abandon()

    def record(self) -> dict[str, object]:
        """The heartbeat's fields about the roll-ups."""
        filling = {name: [filling.done, filling.events] for name, filling in self.publisher.fillings.items()}
        since = self._missing_since if self._steps is not None else self._waiting_since
        return {"rollups_lot": self._published, "rollups_missing_since": since, "filling": filling}

    # -- publications -------------------------------------------------------------------------

    def _due_in(self) -> float:
        """Seconds until the next step of a publication; none passes while one is in progress."""
        if self._steps is not None:
            return 0.0
        due = self._waiting.due_at()
        return math.inf if due is None else due - time.monotonic()

    def _step(self) -> None:
        began = time.monotonic()
        if self._steps is None:
            self._took = 0.0
            lots, self._lot = self._waiting.take()
            self._missing_since, self._waiting_since = self._waiting_since, None
            self._steps = self.publisher.publication(self.publisher.together(lots), self._lot)
        ended = next(self._steps, self) is self
        self._took += time.monotonic() - began
        if ended:
            self._end()

    def _end(self) -> None:
        first = self._published + 1
        lots = f"lot {self._lot}" if self._lot <= first else f"lots {first}-{self._lot}"
        self._log.info("roll-ups: %s published in %.3f s", lots, self._took)
        self._steps = None
        self._published = self._lot
        self._waiting.published(self._took, time.monotonic())
        failpoint("silver.after_publication")

    # -- tables that are being filled ---------------------------------------------------------

    def _fill_in(self) -> float:
        return self._fill_at - time.monotonic() if self.publisher.fillings else math.inf

    def _fill(self) -> None:
        name, filling = next(iter(self.publisher.fillings.items()))
        began = time.monotonic()
        ended = self.publisher.fill(self._clean, self._published, name)
        now = time.monotonic()
        self._fill_at = now + FILL_REST * (now - began)
        self._log.info("%s: %d of %d events are added up", name, filling.done, max(filling.events, filling.done))
        if ended:
            self._log.info("%s is filled, up to lot %d", name, self._published)
        failpoint("silver.after_filling")
