"""Checks the environment and the data of the pipeline; each finding has the cause and the next step.

    installation     Python, packages, jars (every byte)
    java             which Java is used
    machine          ports, disks, paths, addresses
    spark_cluster    the Spark cluster that the jobs run on
    access           who can reach which port, and who can read which file
    cluster          a Kafka that is not managed here: servers, login, the topic's replicas
    login            the page's login and its provider (used by `access`)
    alerts           how many alerts and channels are declared
    store            the object store of the lake, if it is on one
    lake             each Delta table and its log, Spark's checkpoint
    troubleshooting  the entries of the dashboard guide's Troubleshooting, checked now
    packages         Python packages compared with their locks (used by `installation`)
    finding          the result of one check

`diagnose` never raises for a problem that it finds. It only reads, unless `repair` is set (`installation`, `lake`).
"""

from __future__ import annotations

from ventes.check.doctor import (
    access,
    alerts,
    cluster,
    installation,
    java,
    lake,
    machine,
    spark_cluster,
    store,
    troubleshooting,
)
from ventes.check.doctor.finding import Finding, Level
from ventes.check.status import status
from ventes.config import Settings

__all__ = ["Finding", "Level", "diagnose"]


def diagnose(settings: Settings, repair: bool = False) -> list[Finding]:
    """All findings, including good ones, in the order of dependency.

    With `repair`, a truncated last commit of a table and a truncated last batch of Spark's checkpoint are moved to
    <state>/repairs, jars with a wrong hash are removed so that the installation fetches them; the findings report it.
    """
    now = status(settings)
    return [
        *installation.findings(settings, repair),
        *java.findings(settings),
        *machine.findings(settings, now),
        *spark_cluster.findings(settings, now),
        *access.findings(settings, now),
        *alerts.findings(settings),
        *cluster.findings(settings),
        *(found := list(store.findings(settings))),
        *(lake.findings(settings, repair) if all(one.level != "bad" for one in found) else ()),
        *troubleshooting.findings(settings, now),
    ]
