"""The mirror of a lake on an object store: a folder of this machine with the same structure.

Data files never change, so the copies here are a cache: what is missing is fetched, what is written is uploaded and
stays. So whoever reads a table has real paths. The mirror may be deleted at any time; what it holds never decides
anything that the store does not say too. All processes of a machine share one: each file appears in it whole.

Silver's tables are in a generation: `silver/` at first, `silver-<n>/` after a rebuild; the object `silver.json` says
which one counts. The folder here says in `.generation` which one it is a copy of. `.rebuild/` is the lake of a rebuild:
its Silver is the next generation, everything else is the lake's own.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ventes.errors import StoreRefused, VentesError
from ventes.store import eviction
from ventes.store.base import Missing, Store, Stored
from ventes.store.local import temporary_beside
from ventes.store.objects import ObjectStore
from ventes.store.settings_of import Options

THREADS = 16
"""Requests at a time, for data files and commits: with 30 ms each that is 500 per second, and a process has no more."""
STAGED = ".rebuild"
SILVER = "silver"
GENERATION = ".generation"
POINTER = "silver.json"


@dataclass(frozen=True)
class Limits:
    """The settings of a mirror."""

    cache_bytes: int
    """Of data files, beside those in use."""
    poll_seconds: float
    """Between two requests for commits that another machine may have made."""


class Mirror:
    """One lake. Threads may share one."""

    def __init__(self, root: Path, options: Options, limits: Limits, store: Store | None = None) -> None:
        """Sends no request and makes no folder."""
        self.root = root
        self.url = options.url.rstrip("/")
        self.options = options
        self.limits = limits
        self.note: dict[str, object] = {}
        """What this process adds to the information in its commits: who it is (lease)."""
        self.written: set[str] = set()
        """The first folders of the tables that this process alone may write (lease)."""
        self.listings: dict[Path, Mapping[str, Stored]] = {}
        """Table → name → object of its log, as it was listed last."""
        self._given = store
        self._guard = threading.Lock()
        self._asked: dict[str, float] = {}
        self.pulled: set[Path] = set()
        """Tables whose log this process has compared with the store."""
        self._uploads: dict[Path, Future[None]] = {}
        """Files that are being uploaded, or could not be."""
        self._grown = 0

    @cached_property
    def store(self) -> Store:
        return self._given or ObjectStore(self.options)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS, "store")

    def requests(self) -> dict[str, int]:
        """Requests of this process, by kind."""
        return self.store.requests() if "store" in vars(self) and isinstance(self.store, ObjectStore) else {}

    # -- keys ---------------------------------------------------------------------------------

    def is_staged(self, path: Path) -> bool:
        """Whether a path belongs to the lake of a rebuild."""
        return path.relative_to(self.root).parts[:1] == (STAGED,)

    def key(self, path: Path) -> str:
        """The key of a file or folder of the mirror."""
        parts = path.relative_to(self.root).parts
        base = self.root
        if parts[:1] == (STAGED,):
            parts, base = parts[1:], self.root / STAGED
        if parts[:1] == (SILVER,):
            parts = (prefix_of(self.generation_of(base / SILVER)), *parts[1:])
        return "/".join(parts)

    def is_written(self, path: Path) -> bool:
        """Whether this process holds the lease of a table."""
        parts = path.relative_to(self.root).parts
        return parts[1 if parts[0] == STAGED else 0] in self.written

    def place(self, path: Path) -> str:
        """The address of a file or folder, for people and other programs."""
        return f"{self.url}/{self.key(path)}"

    # -- the generation of Silver ---------------------------------------------------------------

    def generation(self) -> tuple[int, str]:
        """The generation that counts, and the etag of the object that says so; (0, "") without one."""
        try:
            data, etag = self.store.read_with_etag(POINTER)
        except Missing:
            return 0, ""
        try:
            return int(json.loads(data)["generation"]), etag
        except (ValueError, KeyError, TypeError):
            raise StoreRefused(
                f"{self.url}/{POINTER} cannot be read",
                'it must be {"generation": <number>}: which silver-<number> counts',
            ) from None

    def generation_of(self, folder: Path) -> int:
        """That of a Silver folder in the mirror; a folder that is not there is made for the one that counts."""
        file = folder / GENERATION
        with suppress(OSError, ValueError):
            return int(file.read_text(encoding="ascii"))
        number = self.generation()[0] + (1 if folder.parent.name == STAGED else 0)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        install(file, f"{number}".encode())
        return number

    def follow_generation(self, *, now: bool = False) -> bool:
        """Drop the mirror's Silver if another machine has rebuilt it; that is asked for every fifth poll, or `now`.

        True if it was dropped.
        """
        folder = self.root / SILVER
        if not self.due("generation", 0.0 if now else 5 * self.limits.poll_seconds) or not folder.is_dir():
            return False
        there = self.generation()[0]
        if self.generation_of(folder) == there:
            return False
        stale = self.root / f".stale-{uuid.uuid4()}"
        with suppress(FileNotFoundError):  # another process does the same
            os.rename(folder, stale)
            shutil.rmtree(stale, ignore_errors=True)
        return True

    # -- how often the store is asked ------------------------------------------------------------

    def due(self, what: str, seconds: float | None = None) -> bool:
        """Whether `what` was not asked for by this process within so long (default: the poll); notes that it is now."""
        now = time.monotonic()
        with self._guard:
            last = self._asked.get(what)
            if last is not None and now - last < (self.limits.poll_seconds if seconds is None else seconds):
                return False
            self._asked[what] = now
            return True

    def forget(self, what: str) -> None:
        """`what` is due again."""
        with self._guard:
            self._asked.pop(what, None)

    def forget_asked(self) -> None:
        """Whatever is opened next is asked for anew: before a writer looks at its tables."""
        with self._guard:
            self._asked.clear()

    # -- data files ---------------------------------------------------------------------------

    def present(self, files: Sequence[tuple[Path, int]]) -> None:
        """Fetch those of these files (path in the mirror, size) that are missing or of another size.

        They stay for some minutes at least. Raises StoreRefused where they are larger than the cache together,
        StoreUnavailable. A file that the store does not have is left out: who opens it finds that it is gone.
        """
        missing = []
        for path, size in files:
            if not eviction.use(path, size):
                missing.append((path, size))
        if not missing:
            return
        wanted = sum(size for _, size in missing)
        if wanted > self.limits.cache_bytes:
            raise StoreRefused(
                f"{wanted // 1_000_000:,} MB of data files would have to be fetched at once, "
                f"store.cache_mb is {self.limits.cache_bytes // 1_000_000:,}",
                "read fewer days or columns of fewer files, or set store.cache_mb larger",
            )
        self.in_parallel(self._fetch, missing)
        self._grow(wanted)

    def _fetch(self, wanted: tuple[Path, int]) -> None:
        path, _ = wanted
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = temporary_beside(path)
        try:
            self.store.fetch(self.key(path), temporary)
            os.replace(temporary, path)
        except Missing:
            path.unlink(missing_ok=True)
        finally:
            temporary.unlink(missing_ok=True)

    def upload(self, paths: Iterable[Path]) -> None:
        """Begin to upload files; `uploaded` waits for it."""
        for path in paths:
            self._grow(path.stat().st_size)
            future = self.pool.submit(self.store.write, self.key(path), path)
            with self._guard:
                self._uploads[path] = future

    def uploaded(self, paths: Iterable[Path]) -> None:
        """Wait until files are on the store. Raises what an upload raised, and again each time it is asked."""
        for path in paths:
            with self._guard:
                future = self._uploads.get(path)
            if future is not None:
                future.result()
                with self._guard:
                    self._uploads.pop(path, None)

    def discard(self, paths: Iterable[Path]) -> None:
        """Delete files that no commit names, here and on the store, as far as that is possible now."""
        wanted = list(paths)
        for path in wanted:
            with self._guard:
                future = self._uploads.pop(path, None)
            if future is not None and not future.cancel():
                future.exception()
            path.unlink(missing_ok=True)
        if wanted:
            with suppress(VentesError):  # the vacuum deletes the rest
                self.store.delete([self.key(path) for path in wanted])

    def in_parallel(self, work: Callable[[tuple[Path, int]], None], items: Sequence[tuple[Path, int]]) -> None:
        if len(items) == 1:
            work(items[0])
        else:
            list(self.pool.map(work, items))

    def _grow(self, size: int) -> None:
        with self._guard:
            self._grown += size
            due = self._grown > max(self.limits.cache_bytes // 20, eviction.STEP)
            if due:
                self._grown = 0
        if due or self.due("eviction", eviction.EVERY):
            eviction.run(self.root, self.limits.cache_bytes)


def prefix_of(generation: int) -> str:
    """The prefix of Silver's tables on the store."""
    return SILVER if generation == 0 else f"{SILVER}-{generation}"


def pointer(generation: int) -> bytes:
    """The content of POINTER."""
    return json.dumps({"generation": generation, "prefix": prefix_of(generation)}).encode()


def install(path: Path, data: bytes, modified: float | None = None) -> None:
    """Make or replace a file of the mirror, whole; `modified`: its time, Unix seconds."""
    temporary = temporary_beside(path)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        if modified is not None:
            os.utime(temporary, (modified, modified))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
