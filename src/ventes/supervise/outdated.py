"""Whether the settings or the declaration changed since the running services started."""

from __future__ import annotations

from dataclasses import dataclass

from ventes.config import Settings
from ventes.runtime import heartbeat
from ventes.supervise.services import ALERTS, BRONZE, PRODUCER, SILVER

REPORTING = (PRODUCER, BRONZE, SILVER, ALERTS)
"""Services whose heartbeat says with which settings they were started, in the order of the data flow."""


@dataclass(frozen=True)
class Changed:
    """`files`: what changed. `titles`: the services that run with what was there before."""

    files: tuple[str, ...]
    titles: tuple[str, ...]

    def sentence(self) -> str:
        """'streams/orders.py changed since the Bronze job and the Silver job started'."""
        return f"{' and '.join(self.files)} changed since the {' and the '.join(self.titles)} started"


def changed(settings: Settings) -> Changed | None:
    """What changed since the running services started; None if nothing did, or none runs.

    The engine is left out: a start asks about it. A service of an earlier release does not say what it runs with.
    """
    now = settings.fingerprints()
    names = {"settings": f"{settings.config_file.name} or a VENTES_ variable", "declaration": settings.declaration.name}
    files: dict[str, None] = {}
    titles = []
    for service in REPORTING:
        record = heartbeat.read(settings.state, service.name)
        if record is None or not heartbeat.alive(record):
            continue
        differ = [what for what in names if getattr(record, what) not in ("", now[what])]
        files.update(dict.fromkeys(names[what] for what in differ))
        titles += [service.title] if differ else []
    return Changed(tuple(files), tuple(titles)) if files else None
