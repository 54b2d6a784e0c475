"""Unacknowledged messages on disk: none is lost before Kafka has it.

A batch is written here before its first message is given to librdkafka and deleted when the last one is
acknowledged. After a crash in between, the next run sends it again with the same ids. (A message that Kafka had
already received then arrives twice, and Silver rejects the second one as a duplicate.)

    <state>/spool/<host>_<port>/<topic>/<run>/<number>     a batch: key TAB value NL, one line per message
                  cluster-<id>/…                           the same for a cluster of kafka.bootstrap
    …/<run>/lock                                           held as long as the run exists
    …/<topic>/replayed-<topic id>                          see replay.py

Writes are not synced: like the broker's own, they survive kill -9 but not a power cut.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ventes import kafka
from ventes.config import Settings
from ventes.producer.message import Message


def folder(settings: Settings) -> Path:
    """The spool of this broker and topic: messages for one are never sent to another.

    A cluster of `kafka.bootstrap` has the name of its own id: the list of servers may change, the cluster does not. So
    it is asked, and BrokerUnavailable is raised if it does not answer.
    """
    if settings.kafka.servers:
        with kafka.Admin(settings) as admin:
            name = f"cluster-{admin.cluster().cluster_id}"
    else:
        name = f"{settings.kafka.host}_{settings.kafka.port}"
    return settings.state / "spool" / name.replace(":", "-").replace("/", "-") / settings.topic


class Spool:
    """The batches of one run. Open it once per process."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        self._next = 0
        with _exclusive(root):
            self._folder = root / f"{time.time_ns()}-{os.getpid()}"
            self._folder.mkdir(mode=0o700)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def keep(self, messages: Sequence[Message]) -> int:
        """Write a batch; returns its number. After an error (disk full) nothing of it is left; it can be retried."""
        number = self._next
        path = self._path(number)
        data = b"".join([b"%b\t%b\n" % message for message in messages])
        try:
            with open(path, "xb", buffering=0, opener=_private) as file:
                written = 0
                while written < len(data):
                    written += file.write(data[written:] if written else data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._next += 1
        return number

    def read(self, number: int) -> list[Message]:
        """The messages of a batch. A last line without its line end was not written completely, and never sent."""
        *lines, _unfinished = self._path(number).read_bytes().split(b"\n")
        return [Message(*line.split(b"\t", 1)) for line in lines]

    def release(self, number: int) -> None:
        """Delete a batch: Kafka has all of it. A batch that is already deleted is not an error."""
        self._path(number).unlink(missing_ok=True)

    def adopt(self) -> list[int]:
        """Take over the batches of runs that have ended; returns their numbers, oldest first."""
        adopted = []
        with _exclusive(self._root):
            for left in sorted(path for path in self._root.iterdir() if path.is_dir() and path != self._folder):
                lock = os.open(left / "lock", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its run still exists and sends it
                finally:
                    os.close(lock)
                for batch in sorted(left.glob("[0-9]*")):
                    batch.rename(self._path(self._next))
                    adopted.append(self._next)
                    self._next += 1
                (left / "lock").unlink()
                left.rmdir()
        return adopted

    def close(self) -> None:
        """Keep batches that are not released for the next run; if there are none, remove the folder."""
        with _exclusive(self._root):
            if not any(self._folder.glob("[0-9]*")):
                (self._folder / "lock").unlink()
                self._folder.rmdir()
            os.close(self._lock)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}"


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """An exclusive lock: only one run at a time opens, adopts or closes."""
    lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
