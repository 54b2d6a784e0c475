"""The partial rows of lots whose roll-ups are not published yet, and when they are due. In memory only.

After a crash the lots that are missing in the roll-ups are completed from the clean events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

AFTER = 0.5
"""Seconds from a lot to the publication of its roll-ups. At 1,000 events per second it holds two to five lots: a
publication costs 30 ms of CPU, whatever the number of lots, and ten files. The page refreshes every 5 s."""
REST = 1.0
"""Seconds from a publication to the next, for each second that it took: with a million active keys publications take
half of the job's time at most, and the lots have the rest."""
MOST_ROWS = 100_000
"""Partial rows from which a publication is due at once, and lots wait for it."""
MOST_BYTES = 32 << 20
"""The same in bytes of Arrow memory."""


@dataclass
class Unpublished:
    """Collects lots. Times are those of a monotonic clock in seconds; the caller passes `now`."""

    lot: int = 0
    """The last lot that was added, or taken before."""
    since: float | None = None
    """When the first of the lots was added; None: there is none."""
    rows: int = 0
    size: int = 0
    """Bytes."""
    after: float | None = None
    """Seconds from a lot to the publication; None: AFTER."""
    _parts: list[Mapping[str, pa.Table]] = field(default_factory=list)
    _rested: float = 0.0
    """Until then no publication is due by time."""

    def add(self, partials: Mapping[str, pa.Table], lot: int, now: float) -> None:
        """Add what partials_of_lot made; a lot without rows counts too, because the roll-ups have it then."""
        self.lot = lot
        self.since = now if self.since is None else self.since
        if any(table.num_rows for table in partials.values()) or not self._parts:
            self._parts.append(partials)
            self.rows += sum(table.num_rows for table in partials.values())
            self.size += sum(table.nbytes for table in partials.values())

    @property
    def full(self) -> bool:
        """Whether the bound in rows or bytes is reached."""
        return self.rows >= MOST_ROWS or self.size >= MOST_BYTES

    def due_at(self) -> float | None:
        """When a publication is due; None while there is nothing to publish."""
        if self.since is None:
            return None
        after = AFTER if self.after is None else self.after
        return self.since if self.full else max(self.since + after, self._rested)

    def take(self) -> tuple[list[Mapping[str, pa.Table]], int]:
        """What was added of each lot, for Publisher.together, and the last lot; nothing is left."""
        parts, self._parts = self._parts, []
        self.since, self.rows, self.size = None, 0, 0
        return parts, self.lot

    def published(self, took: float, now: float) -> None:
        """Note the end of a publication that took so many seconds of work."""
        self._rested = now + REST * took
