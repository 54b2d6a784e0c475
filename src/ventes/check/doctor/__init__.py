"""Looks at everything the pipeline stands on and says, for each thing, what is wrong and what to do next.

    machine   Python, packages, Java, jars (every byte), ports, disks, paths, addresses
    access    who can reach which port, and who can read which file
    lake      each Delta table and its log, Spark's checkpoint; the only part that can also repair
    guide     the entries of the dashboard guide's Troubleshooting, answered for this moment

`diagnose` never raises for what it finds. It reads only, unless `repair` is asked for.
"""

from __future__ import annotations

from ventes.check.doctor import access, lake, machine, troubleshooting
from ventes.check.doctor.finding import Finding, Level
from ventes.check.status import status
from ventes.config import Settings

__all__ = ["Finding", "Level", "diagnose"]


def diagnose(settings: Settings, repair: bool = False) -> list[Finding]:
    """Every finding, good ones too, in the order in which the parts build on each other.

    With `repair`, a torn last commit of a table and a torn tail of Spark's checkpoint are moved to <state>/repairs,
    jars with a wrong hash are removed so that the installation fetches them, and the findings tell what was done.
    """
    now = status(settings)
    return [
        *machine.findings(settings, now, repair),
        *access.findings(settings, now),
        *lake.findings(settings, repair),
        *troubleshooting.findings(settings, now),
    ]
