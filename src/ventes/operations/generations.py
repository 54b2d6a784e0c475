"""The generations of Silver on an object store: the next one is made beside the one that counts, then counts.

The object `silver.json` says which one counts; it is replaced by its etag, so nobody can go back behind a rebuild.
"""

from __future__ import annotations

import re
from pathlib import Path

from ventes.errors import VentesError
from ventes.store import places
from ventes.store.base import Changed, Exists
from ventes.store.mirror import GENERATION, POINTER, SILVER, Mirror, install, pointer, prefix_of

_OF_SILVER = re.compile(rf"{SILVER}(?:-([0-9]+))?/")


def prepare(mirror: Mirror, staged: Path) -> None:
    """Make the staged folder that of the next generation, of which the store has nothing."""
    number = mirror.generation()[0] + 1
    mirror.store.delete([one.key for one in mirror.store.list(f"{prefix_of(number)}/")])
    install(staged / GENERATION, f"{number}".encode())


def is_next(staged: Path) -> bool:
    """Whether a staged folder is of the generation after the one that counts."""
    mirror = places.of(staged)
    if mirror is None or not (staged / GENERATION).is_file():
        return False
    return mirror.generation_of(staged) == mirror.generation()[0] + 1


def make_current(mirror: Mirror, staged: Path) -> None:
    """Make the generation of the staged folder count, for all machines at once."""
    number = mirror.generation_of(staged)
    current, etag = mirror.generation()
    if current == number:
        return
    try:
        if etag:
            mirror.store.replace(POINTER, pointer(number), etag)
        else:
            mirror.store.create(POINTER, pointer(number))
    except (Changed, Exists):
        raise VentesError(
            f"{mirror.url} was rebuilt by another machine meanwhile", "`ventes rebuild silver` starts again from there"
        ) from None


def is_silver(key: str) -> bool:
    """Whether an object belongs to a generation of Silver."""
    return _OF_SILVER.match(key) is not None


def remove_others(mirror: Mirror) -> None:
    """Delete the tables of all other generations."""
    current = mirror.generation()[0]
    waste = []
    for one in mirror.store.list(""):
        if (match := _OF_SILVER.match(one.key)) and int(match[1] or 0) != current:
            waste.append(one.key)
    mirror.store.delete(waste)
