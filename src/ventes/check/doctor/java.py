"""Checks which Java runs the broker and Spark."""

from __future__ import annotations

from collections.abc import Iterator

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import Settings
from ventes.errors import InstallError
from ventes.install import java


def findings(settings: Settings) -> Iterator[Finding]:
    """One finding: version, folder and origin of the Java that is used."""
    try:
        found = java.find_java(settings)
    except InstallError as error:
        yield bad("Java", error.message, error.hint)
        return
    text = f"{found.version} in {found.home} (from {found.origin})"
    if found.supported:
        yield ok("Java", text)
    else:
        yield warn(
            "Java",
            f"{text} is newer than what is tested",
            f"install Java {java.OLDEST} or {java.NEWEST}, or name one with VENTES_JAVA_HOME",
        )
