"""Reading the end of a log file, and cutting one that has grown too large."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ventes.runtime import java_errors

BLOCK = 65_536
LARGEST = 4_000_000
KEPT = 200_000
"""Bytes: a service's raw output that is larger than LARGEST is cut to its newest KEPT."""


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a file, reading only its end; [] if there is no file."""
    if count <= 0:
        return []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            data = b""
            while position > 0 and data.count(b"\n") <= count:
                step = min(BLOCK, position)
                position -= step
                file.seek(position)
                data = file.read(step) + data
    except FileNotFoundError:
        return []
    return data.decode("utf-8", "replace").splitlines()[-count:]


def last_message(path: Path) -> str:
    """Why the writer of a file ended: the first line of a Java stack trace among its last lines, else its last line
    that is not blank. At most 300 characters; '' if there is none or it cannot be read."""
    try:
        lines = last_lines(path, 200)
    except OSError:
        return ""
    if any(map(java_errors.is_frame, lines)):
        return java_errors.cause("\n".join(lines))
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def trim(path: Path) -> None:
    """Cut a file that its writer appends to down to its newest whole lines, once it is larger than LARGEST bytes."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size > LARGEST:
            file.seek(size - KEPT)
            kept = file.read()
            file.truncate(0)  # the writer opened the file with O_APPEND: its next line is written at the new end
            file.seek(0)
            file.write(kept.partition(b"\n")[2])
