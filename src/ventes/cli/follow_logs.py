"""Following log files that are rotated, truncated, or do not exist yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from ventes.runtime.log_files import BLOCK

POLL_SECONDS = 0.25
LINE_LIMIT = 64_000
"""A longer line is returned in parts."""


class Tail:
    """One file, from its present end. A rotated file is read to its end before the new one is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open(at_end=True)

    def lines(self) -> Iterator[str]:
        """The complete lines since the last call."""
        while True:
            yield from self._read()
            if not self._replaced():
                return
            self.close()
            self._open(at_end=False)
            if self._file is None:
                return

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, at_end: bool) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _read(self) -> Iterator[str]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # truncated in place
            self._file.seek(0)
            self._rest = b""
        while block := self._file.read(BLOCK):
            *whole, self._rest = (self._rest + block).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
            if len(self._rest) > LINE_LIMIT:
                yield self._rest.decode("utf-8", "replace")
                self._rest = b""

    def _replaced(self) -> bool:
        """Whether the path is another file now, or exists now."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False  # between the two steps of a rotation; the next call sees the new one
        if self._file is None:
            return True
        here = os.fstat(self._file.fileno())
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def follow(files: Mapping[str, Path], wait: Callable[[float], object]) -> Iterator[tuple[str, str]]:
    """Yields (name, line) as they are written, without end. `wait` sleeps; an exception of it ends the generator."""
    tails = {name: Tail(path) for name, path in files.items()}
    try:
        while True:
            quiet = True
            for name, tail in tails.items():
                for line in tail.lines():
                    quiet = False
                    yield name, line
            if quiet:
                wait(POLL_SECONDS)
    finally:
        for tail in tails.values():
            tail.close()
