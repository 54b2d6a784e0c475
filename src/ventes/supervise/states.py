"""The states of a supervised service, as service records and `ventes status` spell them."""

from __future__ import annotations

WAITING = "waiting"
RUNNING = "running"
RESTARTING = "restarting"
STOPPING = "stopping"
STOPPED = "stopped"
FAILED = "failed"
BY_HAND = "by hand"

ON_PURPOSE = "stopped on purpose"
NOT_ASKED_FOR = "not asked for by the settings"
"""The reason of a stopped service that the settings did not ask for at the last start."""
