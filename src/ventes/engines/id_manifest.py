"""The manifest of an index of ids: which files it consists of, and of which table up to which lot."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from ventes.engines.id_runs import RunFile, Unusable
from ventes.runtime.files import write_atomically

NAME = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """The content of the file."""

    table: str
    """The id in the table's metadata: a table that was created again has another."""
    accepted: int
    """The version at which other content of the table was accepted last; -1 if never."""
    scheme: str
    """How ids become keys."""
    lot: int
    """The files hold the ids of all lots up to this one."""
    stamped_lot: int
    """The last of these lots that has rows, and `stamp`, the time in µs at which it was processed: a lot that was taken
    again under the same number, after the table was set back, has another."""
    stamp: int | None
    files: tuple[RunFile, ...]

    def write(self, folder: Path) -> None:
        """Replace the manifest in `folder`. It is not synced: a damaged one is noticed by its checksum."""
        text = json.dumps(asdict(self) | {"format": _FORMAT})
        write_atomically(folder / NAME, f"{text}\n{zlib.crc32(text.encode())}\n")


def read(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None if there is none. Raises Unusable."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) != 2 or str(zlib.crc32(lines[0])).encode() != lines[1]:
        raise Unusable(f"{folder / NAME} is damaged")
    content = json.loads(lines[0])
    if content.pop("format") != _FORMAT:
        raise Unusable(f"{folder / NAME} is of another release")
    return Manifest(**content | {"files": tuple(RunFile(**file) for file in content["files"])})
