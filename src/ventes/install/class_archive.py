"""Class-data archives: a JVM that maps its classes instead of loading them starts in half the time.

The installation runs a program once and lets the JVM write down which classes it used; later starts map that file.
An archive fits one Java and one set of jars, so both are in its name; a JVM that finds it does not fit after all
goes on without it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ventes.config import Settings
from ventes.install import jars
from ventes.install.java import Java


def path(settings: Settings, java: Java, name: str) -> Path:
    """Where the archive for `name` is or would be."""
    key = f"{java.home}\n{java.version}\n{settings.jars}\n{jars.LOCK.read_text(encoding='ascii')}"
    return settings.jars.parent / "archive" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.jsa"


def use(settings: Settings, java: Java, name: str) -> list[str]:
    """The JVM's options for a start with the archive; [] if there is none yet."""
    archive = path(settings, java, name)
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=error:stderr"] if archive.is_file() else []
