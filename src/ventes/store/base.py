"""The seam between the lake and what keeps its objects.

An object is bytes under a key; keys are relative to the lake, with `/` between their parts. `create` and `replace` are
atomic for all processes on all machines: of several that create one key, or replace one etag, exactly one succeeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Missing(FileNotFoundError):
    """There is no object with this key."""


class Exists(FileExistsError):
    """There is an object with this key already, with other content."""


class Changed(Exception):
    """The object has another etag, or is gone."""


@dataclass(frozen=True)
class Stored:
    """An object without its content."""

    key: str
    size: int
    etag: str
    """Equal as long as nothing replaced the object."""
    modified: float
    """Unix seconds, by the clock of the store."""


class Store(Protocol):
    """All of it raises StoreUnavailable where it may help to wait, and StoreRefused where a person must act."""

    def read(self, key: str) -> bytes:
        """The content. Raises Missing."""

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        """The content and its etag. Raises Missing."""

    def head(self, key: str) -> Stored | None:
        """The object without its content; None if there is none."""

    def fetch(self, key: str, target: Path) -> None:
        """Write the content to the file `target`, which must not be in use. Raises Missing."""

    def create(self, key: str, data: bytes) -> None:
        """Make the object unless there is one: then raises Exists.

        If it is there with exactly this content, it is taken for the one made here: a request that timed out may have
        succeeded. So content that must have one author has an id of its author in it.
        """

    def write(self, key: str, source: bytes | Path) -> None:
        """Make or replace the object; `source`: its content, or a file with it."""

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Replace the object if it still has `etag`; returns the new one. Raises Changed."""

    def list(self, prefix: str, after: str = "") -> list[Stored]:
        """The objects whose keys begin with `prefix` (which ends with `/`) and come after `after`, in order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error."""
