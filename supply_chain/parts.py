"""The installed parts: each wheel of the locks and each jar of the list, with the accepted hashes.

Read from requirements/*.txt and src/ventes/install/jars.lock; nothing needs to be installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ventes.config import PROJECT
from ventes.install import jars

Use = Literal["required", "optional", "excluded"]
"""CycloneDX scopes: always installed; only if needed (Spark, Java); for tests and checks only."""

LOCKS: dict[str, Use] = {"base": "required", "spark": "optional", "java": "optional", "dev": "excluded"}
JAR_SETS: dict[str, Use] = {"kafka": "required", "spark": "optional"}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Part:
    """`group` is a jar's Maven group, empty for a wheel. Any one of `sha256` is right: a release has several wheels."""

    ecosystem: Literal["PyPI", "Maven"]
    group: str
    name: str
    version: str
    sha256: tuple[str, ...]
    use: Use

    @property
    def purl(self) -> str:
        """Its package URL: pkg:pypi/typer@0.29.1, pkg:maven/com.google.re2j/re2j@1.8."""
        if self.ecosystem == "PyPI":
            return f"pkg:pypi/{same_name(self.name)}@{self.version}"
        return f"pkg:maven/{self.group}/{self.name}@{self.version}"


def same_name(wheel: str) -> str:
    """The name of a wheel as every spelling of it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", wheel).lower()


def parts() -> list[Part]:
    """All parts, sorted; a wheel of two locks counts for the first, a jar of both sets once."""
    found: dict[str, Part] = {}
    for lock, use in LOCKS.items():
        for part in _wheels(lock, use):
            found.setdefault(part.purl, part)
    for part in _jars():
        found.setdefault(part.purl, part)
    return sorted(found.values(), key=lambda part: part.purl)


def _wheels(lock: str, use: Use) -> Iterator[Part]:
    text = (PROJECT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        if pin := _PIN.match(entry):
            yield Part("PyPI", "", pin[1], pin[2], tuple(sorted(_HASH.findall(entry))), use)


def _jars() -> Iterator[Part]:
    for jar in jars.pinned():
        group, name, version = jar.coordinates.split(":")
        yield Part("Maven", group, name, version, (jar.sha256,), JAR_SETS[jar.set])
