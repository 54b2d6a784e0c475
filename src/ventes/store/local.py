"""A folder as a store. What is written is on the disk, with its name, when an operation returns."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ventes.store.base import Changed, Exists, Missing, Stored


class LocalStore:
    """See Store. Keys are paths below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes:
        return self.read_with_etag(key)[0]

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        try:
            with open(self.root / key, "rb") as file:
                return file.read(), _etag(os.fstat(file.fileno()))
        except FileNotFoundError:
            raise Missing(str(self.root / key)) from None

    def head(self, key: str) -> Stored | None:
        try:
            return _stored(key, os.stat(self.root / key))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def fetch(self, key: str, target: Path) -> None:
        try:
            shutil.copyfile(self.root / key, target)
        except FileNotFoundError:
            raise Missing(str(self.root / key)) from None

    def create(self, key: str, data: bytes) -> None:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            create_durably(target, data)
        except FileExistsError:
            if target.read_bytes() != data:
                raise Exists(str(target)) from None

    def write(self, key: str, source: bytes | Path) -> None:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(target, source) as temporary:
            os.replace(temporary, target)
        sync(target.parent)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        with self._alone():
            there = self.head(key)
            if there is None or there.etag != etag:
                raise Changed(str(self.root / key))
            self.write(key, data)
            return self.read_with_etag(key)[1]

    def list(self, prefix: str, after: str = "") -> list[Stored]:
        found = []
        for folder, _, names in os.walk(self.root / prefix):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if key > after and not name.endswith(".tmp"):
                    with suppress(FileNotFoundError):  # deleted while the folder is walked
                        found.append(_stored(key, path.stat()))
        return sorted(found, key=lambda one: one.key)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.root / key).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While this is held no other process replaces an object."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def create_durably(target: Path, data: bytes) -> None:
    """Make the file `target` with this content, whole and on the disk; its folder exists. Raises FileExistsError.

    A temporary file, fsync, then link(2), which fails if the name exists: two processes can never both succeed. Then
    fsync of the folder.
    """
    with _temporary(target, data) as temporary:
        os.link(temporary, target)
    sync(target.parent)


@contextmanager
def _temporary(target: Path, source: bytes | Path) -> Iterator[Path]:
    """A file beside `target` with the content, on the disk; removed at the end if it is still there."""
    temporary = temporary_beside(target)
    try:
        with open(temporary, "wb") as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                with open(source, "rb") as content:
                    shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(target: Path) -> Path:
    """The name under which this thread writes what becomes `target`: nobody else uses it, and no reader looks at it."""
    return target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stored(key: str, status: os.stat_result) -> Stored:
    return Stored(key, status.st_size, _etag(status), status.st_mtime)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}"
