"""`ventes metrics`."""

from __future__ import annotations

import sys

from ventes import config


def metrics() -> None:
    """Print the metrics once, in Prometheus' text format.

    They are measured now, as the supervisor serves them at metrics.port; the command needs neither.
    """
    from prometheus_client import generate_latest

    from ventes.check.measure import measure
    from ventes.lake.open_tables import OpenTables
    from ventes.supervise.metrics import families

    settings = config.load()
    measured = measure(settings, OpenTables(settings))
    sys.stdout.write(generate_latest(families.Families(families.read(settings, measured))).decode())
