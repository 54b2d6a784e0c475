"""The states of a supervised service, as service records and `ventes status` spell them."""

from __future__ import annotations

WAITING = "waiting"
RUNNING = "running"
RESTARTING = "restarting"
STOPPING = "stopping"
STOPPED = "stopped"
FAILED = "failed"
BY_HAND = "by hand"
