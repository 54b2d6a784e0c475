"""Continuing with a topic that has changed: the differences, and the record that accepts them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from ventes import kafka
from ventes.config import Settings
from ventes.engines import source
from ventes.engines.spark import checkpoint
from ventes.errors import UsageError
from ventes.lake import accepted_gaps, positions, writer_lock


@dataclass(frozen=True)
class Recovery:
    """The differences that `ventes recover` found, and the gaps that it would record."""

    differences: tuple[source.Difference, ...]
    gaps: tuple[accepted_gaps.Gap, ...]

    @property
    def lost(self) -> int:
        """Messages that will never be read."""
        kinds = {difference.kind for difference in self.differences}
        return 0 if "shrunk" in kinds else sum(gap.messages for gap in self.gaps)

    def lines(self) -> list[str]:
        """The consequences of recording it, a sentence each."""
        found = []
        for gap in self.gaps:
            where = (
                f"partition {gap.partition}: reading continues at offset {gap.last + 1} under topic_id {gap.topic_id}"
            )
            missing = f"; {gap.messages} offsets before it are recorded as missing ({gap.why})" if gap.messages else ""
            found.append(where + missing)
        return found


def compare(settings: Settings, now: datetime) -> Recovery:
    """Compare topic, Bronze and checkpoint. Raises BrokerUnavailable, or UsageError while the Bronze job runs."""
    running = writer_lock.holder(writer_lock.lock_path(settings, "bronze"))
    if running is not None:
        raise UsageError(
            f"the bronze job runs (pid {running}), so it reads the topic without trouble",
            "`ventes status` shows how it does",
        )
    table = positions.bronze(settings)
    accepted = accepted_gaps.read(settings.lake)
    seen = checkpoint.seen(checkpoint.newest(settings.checkpoints / "bronze", settings.topic))
    with kafka.Admin(settings) as admin:
        topic = source.confirmed(settings, admin, table, accepted, seen)
    return Recovery(
        tuple(source.differences(topic, table, accepted, seen)),
        tuple(source.gaps_to_accept(topic, table, accepted, now, seen)),
    )


def record(settings: Settings, decided: Recovery) -> None:
    """Record the gaps; both engines continue after them at their next start."""
    with ExitStack() as alone:
        if settings.on_a_store:  # a Bronze job on another machine reads the topic without trouble
            alone.enter_context(writer_lock.WriterLock(writer_lock.lock_path(settings, "bronze")))
        accepted_gaps.record(settings.lake, decided.gaps)
