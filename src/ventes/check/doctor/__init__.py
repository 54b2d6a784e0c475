"""Checks the environment and the data of the pipeline; each finding has the cause and the next step.

    installation     Python, packages, jars (every byte)
    java             which Java is used
    machine          ports, disks, paths, addresses
    access           who can reach which port, and who can read which file
    lake             each Delta table and its log, Spark's checkpoint
    troubleshooting  the entries of the dashboard guide's Troubleshooting, checked now
    packages         Python packages compared with their locks (used by `installation`)
    finding          the result of one check

`diagnose` never raises for a problem that it finds. It only reads, unless `repair` is set (`installation`, `lake`).
"""

from __future__ import annotations

from ventes.check.doctor import access, installation, java, lake, machine, troubleshooting
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
        *access.findings(settings, now),
        *lake.findings(settings, repair),
        *troubleshooting.findings(settings, now),
    ]
