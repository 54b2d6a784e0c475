"""Who writes a lake on an object store: one object for each job, which its holder renews.

The lease keeps a second writer away, with a sentence that names the first one. It is a courtesy: what keeps the tables
right is that a commit is a conditional write (deltalog.log), whoever makes it.

No clock of another machine is trusted. Who finds a lease of somebody else watches it: if it is renewed the holder
lives; if it was not for LASTS seconds, the holder is gone. A holder that could not renew it for so long must renew it
before its next commit. The lease of a process that ended on this machine is taken over at once: the writer lock, which
is held then, says that it ended.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ventes.errors import LockLost, StoreUnavailable, VentesError, WrittenElsewhere
from ventes.store.base import Changed, Exists, Missing
from ventes.store.mirror import Mirror

RENEWED = 10.0
"""Seconds between two renewals: 0.26 million requests a month for each job, $1.30 at S3."""
LASTS = 35.0
"""Seconds without a renewal after which a lease counts for nothing: three renewals, and a request that times out."""
_LOOK = 1.0

_log = logging.getLogger("ventes.store")


@dataclass(frozen=True)
class Holder:
    """The content of a lease."""

    epoch: int
    """One more with each new holder."""
    machine: str
    pid: int
    here: str
    """The boot of the machine and the folder of its mirror: equal only where the writer lock is the same one."""
    renewal: str
    """Another text with each renewal."""
    released: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.machine}"


def read(mirror: Mirror, name: str) -> tuple[Holder, str] | None:
    """The lease of a job and its etag; None if there is none."""
    try:
        data, etag = mirror.store.read_with_etag(key_of(name))
    except Missing:
        return None
    try:
        return Holder(**json.loads(data)), etag
    except (ValueError, TypeError):
        return Holder(0, "an unknown machine", 0, "", ""), etag


def key_of(name: str) -> str:
    return f"locks/{name}.json"


def held_elsewhere(mirror: Mirror, name: str) -> Holder | None:
    """Who holds a lease on another machine or in another mirror, whether that process lives or not."""
    found = read(mirror, name)
    if found is None or found[0].released or _is_here(mirror, found[0]):
        return None
    return found[0]


class Lease:
    """The lease of one job, held by this process. Its writer lock is held all the time."""

    def __init__(self, mirror: Mirror, name: str, *, lasts: float = LASTS, renewed: float = RENEWED) -> None:
        self._mirror = mirror
        self._name = name
        self._lasts = lasts
        self._every = renewed
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._etag = ""
        self._lost = False
        self._known_until = 0.0
        self._mine = Holder(0, socket.gethostname(), os.getpid(), _here(mirror), "")

    def acquire(self, waits: Callable[[str], None] = lambda reason: None) -> Lease:
        """Take the lease. Raises WrittenElsewhere, with the holder's name, if somebody else renews it.

        `waits` is told what is waited for, up to LASTS seconds, while it is not clear whether the holder lives.
        """
        found = read(self._mirror, self._name)
        if found is not None and not (found[0].released or _is_here(self._mirror, found[0])):
            found = self._watched(*found, waits)
        self._mine = replace(self._mine, epoch=(found[0].epoch if found else 0) + 1, renewal=_new())
        try:
            if found is None:
                self._mirror.store.create(key_of(self._name), self._content())
                self._etag = self._mirror.store.read_with_etag(key_of(self._name))[1]
            else:
                self._etag = self._mirror.store.replace(key_of(self._name), self._content(), found[1])
        except (Exists, Changed):
            now = read(self._mirror, self._name)
            raise self._refused(now[0] if now else None) from None
        self._known_until = time.monotonic() + self._lasts
        self._mirror.note = {"writer": f"{self._mine.machine}:{self._mine.pid}", "epoch": self._mine.epoch}
        self._mirror.written.add(self._name)
        self._mirror.forget_asked()
        threading.Thread(target=self._keep, name=f"lease {self._name}", daemon=True).start()
        return self

    def _watched(self, holder: Holder, etag: str, waits: Callable[[str], None]) -> tuple[Holder, str] | None:
        """The lease, once nobody has renewed it for long enough."""
        until = time.monotonic() + self._lasts
        while time.monotonic() < until:
            waits(
                f"{holder} held the lease of the {self._name} job and may still hold it: looking whether it renews it"
            )
            self._ended.wait(min(_LOOK, self._lasts / 4))
            now = read(self._mirror, self._name)
            if now is None or now[0].released:
                return now
            if now[1] != etag:
                raise self._refused(now[0])
        _log.warning("%s has not renewed the lease of the %s job: it is taken over", holder, self._name)
        return holder, etag

    def require(self) -> None:
        """Raise LockLost if another process has taken the lease, StoreUnavailable if that cannot be asked now.

        Sends a request only if the last renewal failed.
        """
        if not self._lost and time.monotonic() >= self._known_until:
            self._renew()
        if self._lost:
            now = read(self._mirror, self._name)
            by = str(now[0]) if now else "nobody"
            raise LockLost(f"the lease of the {self._name} job was taken by {by}", "one job writes a lake: stop one")

    def release(self) -> None:
        """Say that nobody holds it, as far as the store can be asked now."""
        self._ended.set()
        self._mirror.written.discard(self._name)
        with self._guard, suppress(VentesError, Changed):
            if self._etag and not self._lost:
                self._mine = replace(self._mine, renewal=_new(), released=True)
                self._mirror.store.replace(key_of(self._name), self._content(), self._etag)
        self._etag = ""

    def _keep(self) -> None:
        while not self._ended.wait(self._every):
            with suppress(StoreUnavailable):
                try:
                    self._renew()
                except VentesError as error:
                    _log.warning("the lease of the %s job was not renewed: %s", self._name, error.message)

    def _renew(self) -> None:
        with self._guard:
            if self._ended.is_set() or self._lost:
                return
            began = time.monotonic()
            self._mine = replace(self._mine, renewal=_new())
            try:
                self._etag = self._mirror.store.replace(key_of(self._name), self._content(), self._etag)
            except Changed:
                if not self._own_renewal():
                    self._lost = True
                    return
            self._known_until = began + self._lasts

    def _own_renewal(self) -> bool:
        """Whether the lease is one that this process wrote: an earlier renewal, whose request had timed out."""
        now = read(self._mirror, self._name)
        if now is None or (now[0].epoch, now[0].pid, now[0].machine) != (
            self._mine.epoch,
            self._mine.pid,
            self._mine.machine,
        ):
            return False
        self._etag = now[1]
        return True

    def _content(self) -> bytes:
        return json.dumps(asdict(self._mine)).encode()

    def _refused(self, holder: Holder | None) -> WrittenElsewhere:
        return WrittenElsewhere(
            f"the {self._name} job of {self._mirror.url} already runs: {holder or 'another process'}",
            "one machine writes a lake; stop it there, or give this pipeline another paths.lake",
        )


def _is_here(mirror: Mirror, holder: Holder) -> bool:
    return holder.here == _here(mirror)


def _here(mirror: Mirror) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    try:
        folder = os.stat(mirror.root).st_ino
    except FileNotFoundError:
        folder = 0
    return f"{boot}:{folder}:{mirror.root}"


def _new() -> str:
    return str(uuid.uuid4())
