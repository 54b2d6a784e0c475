"""A copy of OSV's advisories, for machines that cannot reach the service: `make advisories` fetches it.

The copy is the two archives that OSV publishes, one for each ecosystem, with a JSON file for each advisory
(https://google.github.io/osv.dev/data/, https://ossf.github.io/osv-schema/). They may be fetched on another machine and
be copied into the folder. How old a copy is follows from its newest advisory, not from a file's time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from supply_chain.parts import Part, same_name
from ventes.config import PROJECT

ECOSYSTEMS = ("PyPI", "Maven")
URL = "https://osv-vulnerabilities.storage.googleapis.com"
FOLDER = PROJECT / ".ventes" / "advisories"
SECONDS = 60.0
MOST_AGE = timedelta(days=14)
"""OSV publishes an advisory within hours, and some every day: a copy whose newest one is older was not kept up."""


class NoCopy(Exception):
    """There is no copy that can be used; the message has the reason."""


def fetch(folder: Path = FOLDER, url: str = URL) -> None:
    """Fetch both archives into `folder`, each whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for ecosystem in ECOSYSTEMS:
        target = folder / f"{ecosystem}.zip"
        part = target.with_suffix(".part")
        with contextlib.ExitStack() as stack:
            stack.callback(part.unlink, missing_ok=True)
            answer = stack.enter_context(urllib.request.urlopen(f"{url}/{ecosystem}/all.zip", timeout=SECONDS))
            with part.open("wb") as file:
                while some := answer.read(1 << 20):
                    file.write(some)
                    print(f"\r{ecosystem}: {file.tell() >> 20} MB", end="", file=sys.stderr)
            print(file=sys.stderr)
            os.replace(part, target)


class Copy:
    """The advisories of a folder, for some parts.

    `newest`: when the newest advisory was written or changed, of the older of the two archives.
    """

    def __init__(self, folder: Path, asked: Sequence[Part], now: datetime | None = None) -> None:
        """Read the archives. Raises NoCopy if one is missing, damaged or too old."""
        self._found: dict[Part, set[str]] = defaultdict(set)
        self.newest = min(self._read(folder / f"{name}.zip", name, asked) for name in ECOSYSTEMS)
        age = (now or datetime.now(timezone.utc)) - self.newest
        if age > MOST_AGE:
            raise NoCopy(f"the copy in {folder} ends {self.newest:%Y-%m-%d}, {age.days} days ago")

    def of(self, part: Part) -> list[str]:
        """The ids of the advisories that a part is affected by."""
        return sorted(self._found[part])

    def _read(self, archive: Path, ecosystem: str, asked: Sequence[Part]) -> datetime:
        wanted = defaultdict(list)
        for part in asked:
            if part.ecosystem == ecosystem:
                wanted[_name(part)].append(part)
        newest = datetime.min.replace(tzinfo=timezone.utc)
        try:
            for advisory in _advisories(archive):
                newest = max(newest, datetime.fromisoformat(advisory["modified"][:19]).replace(tzinfo=timezone.utc))
                if "withdrawn" in advisory:
                    continue
                for affected in advisory.get("affected", ()):
                    package = affected.get("package", {})
                    if package.get("ecosystem") == ecosystem:
                        for part in wanted.get(_normal(ecosystem, package["name"]), ()):
                            if _is_affected(part, affected):
                                self._found[part].add(str(advisory["id"]))
        except FileNotFoundError:
            raise NoCopy(f"there is no {archive}") from None
        except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoCopy(f"{archive} cannot be read: {type(error).__name__}: {error}") from None
        return newest


def _advisories(archive: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith(".json"):
                yield json.loads(files.read(name))


def _name(part: Part) -> str:
    return _normal(part.ecosystem, f"{part.group}:{part.name}" if part.group else part.name)


def _normal(ecosystem: str, name: str) -> str:
    return same_name(name) if ecosystem == "PyPI" else name


def _is_affected(part: Part, affected: Mapping[str, Any]) -> bool:
    """Whether one entry of an advisory names the version of a part.

    OSV lists the versions of both ecosystems. Ranges are read for wheels only: where a jar's entry lists no version, it
    counts as affected, because nothing here can put Maven's versions in order.
    """
    versions = affected.get("versions") or []
    if part.version in versions:
        return True
    ranges = [one for one in affected.get("ranges") or [] if one.get("type") == "ECOSYSTEM"]
    if part.ecosystem != "PyPI":
        return not versions
    return any(_is_within(part.version, one["events"]) for one in ranges)


def _is_within(text: str, events: Sequence[Mapping[str, str]]) -> bool:
    """Whether a wheel's version is within a range: the events in order, the last one up to it decides."""
    try:
        version = Version(text)
        found = [(Version(place), kind) for event in events for kind, place in event.items() if kind != "limit"]
    except InvalidVersion:
        return True  # cannot be compared: somebody must look
    inside = False
    for place, kind in sorted(found, key=lambda one: one[0]):
        if place < version or (place == version and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


if __name__ == "__main__":
    try:
        fetch()
    except OSError as error:
        sys.exit(
            f"advisories: {URL} gives no answer: {getattr(error, 'reason', error)} → fetch PyPI/all.zip and "
            f"Maven/all.zip of it on another machine, as PyPI.zip and Maven.zip in {FOLDER}"
        )
