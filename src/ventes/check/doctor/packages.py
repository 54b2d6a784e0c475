"""Compares Python packages with their locks, and their files with the hashes that pip recorded (RECORD)."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]*[^\s\\]))?")
"""Name, version, and the marker that says for which Pythons and systems the line is."""
OURS = "find-spark-home"
"""The one file of a package that the installation replaces (install.spark)."""


def unlike(lock: str) -> Iterator[str]:
    """Packages whose installed version differs from what the lock's text has for this Python and system."""
    for line in lock.splitlines():
        match = _PIN.match(line)
        if not match:
            continue
        name, wanted, marker = match.groups()
        if marker and not Marker(marker).evaluate():
            continue
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if found != wanted:
            yield f"{name} is {found}, not {wanted}"


def edited(lock: str) -> Iterator[Path]:
    """Files of the lock's packages that are missing or changed since pip installed them. Reads every byte of them."""
    for line in lock.splitlines():
        match = _PIN.match(line)
        if match:
            try:
                package = metadata.distribution(match[1])
            except metadata.PackageNotFoundError:
                continue
            yield from changed_files(package)


def changed_files(package: metadata.Distribution) -> Iterator[Path]:
    """Files of one installed package that are gone, or not what its RECORD says.

    RECORD is read here: from Python 3.12 on `package.files` leaves out what is gone.
    """
    for name, digest, *_ in csv.reader((package.read_text("RECORD") or "").splitlines()):
        kind, _, value = digest.partition("=")
        path = Path(str(package.locate_file(name)))
        if kind != "sha256" or path.name == OURS or path.suffix == ".pyc":
            continue  # (some wheels contain .pyc files, which pip creates again)
        if not path.is_file() or _digest(path) != value:
            yield path


def _digest(path: Path) -> str:
    """In the format of RECORD."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
