"""`ventes recover`: a person decides that reading goes on although the topic is not the one that was read.

What cannot be read any more is recorded as a gap (lake/gaps.jsonl) before anything is read, so that no message is
skipped silently: `verify` and both engines know it. Bronze's rows stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ventes.config import Settings
from ventes.engines import source
from ventes.engines.spark import checkpoint
from ventes.lake import gaps
from ventes.lake.gaps import Gap
from ventes.lake.locks import WriterLock, lock_path
from ventes.lake.positions import positions


@dataclass(frozen=True)
class Plan:
    """What differs, and the gaps whose recording lets reading go on. Both empty: there is nothing to decide."""

    differences: tuple[str, ...]
    gaps: tuple[Gap, ...]

    @property
    def lost(self) -> int:
        """Messages that Bronze will never hold."""
        return sum(gap.messages for gap in self.gaps)


def plan(settings: Settings, now: datetime) -> Plan:
    """Compare the topic with Bronze. Changes nothing. Raises BrokerUnavailable."""
    topic = source.look(settings)
    table, recorded = positions(settings.bronze), gaps.read(settings.lake)
    reached = checkpoint.seen(checkpoint.newest(settings.checkpoints / "bronze", settings.kafka.topic))
    found = source.differences(topic, table, recorded, reached)
    mended = source.mend(topic, table, recorded, now, reached)
    return Plan(tuple(difference.text for difference in found), tuple(mended) if found else ())


def carry_out(settings: Settings, now: datetime) -> Plan:
    """Record the gaps, as they are now. Raises AlreadyRunning while a Bronze job runs."""
    with WriterLock(lock_path(settings, "bronze")):
        wanted = plan(settings, now)
        gaps.record(settings.lake, wanted.gaps)
    return wanted
