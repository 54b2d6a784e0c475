"""Says which alerts and channels are declared. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator

from ventes.check.doctor.finding import Finding, ok
from ventes.config import Settings
from ventes.runtime.counts import counted

NAME = "alerts"


def findings(settings: Settings) -> Iterator[Finding]:
    if not settings.alerts:
        channels = f", and {_channels(settings)}" if settings.alert_channels else ""
        yield ok(NAME, f"none is declared{channels}", "[[alerts]] in ventes.toml; docs/alerts.md shows the first one")
        return
    names = ", ".join(alert.name for alert in settings.alerts)
    yield ok(NAME, f"{counted(len(settings.alerts), 'alert')} ({names}), {_channels(settings)}")


def _channels(settings: Settings) -> str:
    """'2 channels (hook, ops); no alert uses hook'. No address is said."""
    names = sorted(settings.alert_channels)
    used = {name for alert in settings.alerts for name in alert.channels}
    unused = [name for name in names if name not in used]
    idle = f"; no alert uses {', '.join(unused)}" if unused else ""
    listed = f" ({', '.join(names)})" if names else ""
    return f"{counted(len(names), 'channel')}{listed}{idle}"
