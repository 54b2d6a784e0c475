"""Which paths of this machine stand for a lake on an object store.

Who knows the settings registers a lake; then whatever is given a path below its mirror finds the store by it. Without a
registered lake the question costs nothing.
"""

from __future__ import annotations

from pathlib import Path

from ventes.store.mirror import Limits, Mirror
from ventes.store.settings_of import Options

_mirrors: dict[Path, Mirror] = {}


def register(root: Path, options: Options, limits: Limits) -> Mirror:
    """The mirror of a lake at `root`: the same object for the same arguments. Sends no request."""
    known = _mirrors.get(root)
    if known is None or (known.url, known.options.file, known.limits) != (
        options.url.rstrip("/"),
        options.file,
        limits,
    ):
        known = _mirrors[root] = Mirror(root, options, limits)
    return known


def of(path: Path) -> Mirror | None:
    """The mirror that `path` is in; None for a path that is only itself."""
    for root, mirror in _mirrors.items():
        if path == root or root in path.parents:
            return mirror
    return None


def shown(path: Path) -> str:
    """Where `path` really is, for people: the address on the store, or the path."""
    mirror = of(path)
    if mirror is None:
        return str(path)
    inside = path.relative_to(mirror.root).as_posix()
    return mirror.url if inside == "." else f"{mirror.url}/{inside}"
