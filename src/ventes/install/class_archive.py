"""Class-data archives (CDS): a JVM that maps its classes from a file starts in half the time.

The installation runs a program once and the JVM writes the classes it used to an archive (class_archive_training);
later starts map that file. An archive is valid for one Java and one list of jars, so both are in its name; a JVM
ignores an archive that does not match. Figures: docs/decisions/0006-class-data-archives.md.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ventes.install import jars
from ventes.install.java import Java


def path(folder: Path, java: Java, name: str) -> Path:
    """Where the archive for `name` ("kafka", "spark") is or would be. `folder` is that of the jars."""
    key = f"{java.home}\n{java.version}\n{folder}\n{jars.LOCK.read_text(encoding='ascii')}"
    return folder.parent / "archive" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.jsa"


def use(folder: Path, java: Java, name: str) -> list[str]:
    """The JVM options that use the archive; [] if there is none yet."""
    archive = path(folder, java, name)
    if not archive.is_file():
        return []
    # At the address it was made for. At one of chance, Java's default, a JVM rewrites its pages: 70 MB less are shared.
    at_its_address = ("-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0")
    return [f"-XX:SharedArchiveFile={archive}", *at_its_address, "-Xlog:disable", "-Xlog:all=error:stderr"]
