"""Whether the settings or the declaration changed since the running services started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ventes.config import Settings
from ventes.runtime import heartbeat
from ventes.supervise.services import ALERTS, BRONZE, PAGE, PRODUCER, SILVER, Service

DATA = (PRODUCER, BRONZE, SILVER)
REPORTING = (*DATA, PAGE, ALERTS)
"""Services whose heartbeat says with which settings they were started, in the order of the data flow."""
RESTART = "`ventes restart`"
BY_HAND = "`ventes stop --all`, then `ventes start`,"
"""What applies a change; a restart leaves a service alone that was started by hand."""


@dataclass(frozen=True)
class Changed:
    """`files`: what changed. `titles`: the services that run with what was there before.

    `declaration`: whether it is one of them. `by_hand`: whether one of the services was started by hand.
    """

    files: tuple[str, ...]
    titles: tuple[str, ...]
    declaration: bool = False
    by_hand: bool = False

    def sentence(self) -> str:
        """'streams/orders.py changed since the Bronze job and the Silver job started'."""
        return f"{' and '.join(self.files)} changed since the {' and the '.join(self.titles)} started"

    @property
    def remedy(self) -> str:
        """'`ventes restart` applies it'."""
        return f"{BY_HAND if self.by_hand else RESTART} applies it"


def changed(settings: Settings, among: Iterable[Service] = REPORTING) -> Changed | None:
    """What changed since the running services started; None if nothing did, or none runs.

    The engine is left out: a start asks about it. A service of an earlier release does not say what it runs with.
    """
    names = {"settings": f"{settings.config_file.name} or a VENTES_ variable", "declaration": settings.declaration.name}
    found: dict[str, None] = {}
    titles = []
    by_hand = False
    for service in among:
        record = heartbeat.read(settings.state, service.name)
        if record is None or not heartbeat.alive(record):
            continue
        now = settings.fingerprints(service.name)
        if differ := [what for what in names if getattr(record, what) not in ("", now[what])]:
            found.update(dict.fromkeys(differ))
            titles.append(service.title)
            by_hand |= not record.supervised
    files = tuple(names[what] for what in found)
    return Changed(files, tuple(titles), "declaration" in found, by_hand) if found else None
