"""Checks the object store of the lake: reachable, allowed, its clock; who writes; requests per lot. None for a folder.

One small object is made, replaced, read, listed and deleted under the lake's address, as the jobs do.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import Settings
from ventes.errors import VentesError
from ventes.runtime import heartbeat
from ventes.store import lease, places
from ventes.store.base import Changed, Exists
from ventes.store.mirror import Mirror
from ventes.supervise import services

NAME = "object store"
FOLDER = ".ventes-doctor"
SKEW_SECONDS = 60.0
"""S3 refuses requests from 15 minutes on; times of versions are wrong before that."""
DOLLARS = {"PUT": 5e-6, "LIST": 5e-6, "GET": 0.4e-6, "DELETE": 0.0}
"""Of a request: Amazon's public price list for S3 Standard, us-east-1, November 2026. Data and transfer come on top."""


def findings(settings: Settings) -> Iterator[Finding]:
    mirror = places.of(settings.lake)
    if mirror is None:
        return
    try:
        yield from _reached(mirror)
    except (VentesError, Exists, Changed) as error:
        yield bad(NAME, getattr(error, "message", str(error)), getattr(error, "hint", "") or "correct paths.lake")
        return
    yield from _writers(mirror)
    yield from _requests(settings)


def _reached(mirror: Mirror) -> Iterator[Finding]:
    store, key = mirror.store, f"{FOLDER}/{uuid.uuid4()}"
    began = time.monotonic()
    store.create(key, b"1")
    took = time.monotonic() - began
    made = store.head(key)
    now = time.time()
    try:
        if refusal := _not_conditional(lambda: store.create(key, b"2"), Exists, "If-None-Match"):
            yield refusal
        store.replace(key, b"3", store.read_with_etag(key)[1])
        if refusal := _not_conditional(lambda: store.replace(key, b"4", '"another"'), Changed, "If-Match"):
            yield refusal
        store.list(f"{FOLDER}/")
    finally:
        store.delete([key])
    yield ok(NAME, f"{mirror.url} can be read, written, listed and deleted; a small write took {took * 1000:.0f} ms")
    if made is not None and abs(skew := now - made.modified) > SKEW_SECONDS:
        ahead = "ahead of" if skew > 0 else "behind"
        yield warn(
            "clock",
            f"this machine's clock is {abs(skew):.0f} s {ahead} that of the object store",
            "set it (NTP): S3 refuses requests from 15 minutes on",
        )


def _not_conditional(request: Callable[[], object], refused: type[Exception], header: str) -> Finding | None:
    """A finding unless the store refuses a conditional write whose condition is false."""
    try:
        request()
    except refused:
        return None
    return bad(NAME, f"the store ignores {header}: two writers could overwrite each other", "use another store")


def _writers(mirror: Mirror) -> Iterator[Finding]:
    for job in services.JOBS:
        if (holder := lease.held_elsewhere(mirror, job)) is not None:
            yield warn(
                f"writer of {job}",
                f"{holder} holds the lease",
                f"`ventes start` takes it over if it is not renewed for {lease.LASTS:.0f} s, and is refused if it is",
            )


def _requests(settings: Settings) -> Iterator[Finding]:
    for job in services.JOBS:
        record = heartbeat.read(settings.state, job)
        if record is None or not record.batch or not record.requests or not heartbeat.alive(record):
            continue
        seconds = max(1.0, time.clock_gettime(time.CLOCK_BOOTTIME) - record.process_started)  # both since the boot
        lots = max(1, sum(record.batch_times.get("counts", [])))
        each = ", ".join(f"{number / lots:.1f} {kind}" for kind, number in sorted(record.requests.items()))
        dollars = sum(DOLLARS.get(kind, 0.0) * number for kind, number in record.requests.items())
        each += ", without those of Spark's tasks," if record.engine == "spark" else ""
        month = dollars / seconds * 30 * 86_400
        yield ok(
            f"requests of {job}",
            f"{each} per {'batch' if job == 'bronze' else 'lot'} in {lots:,}; at this rate ${month:,.2f} a month "
            "at Amazon's list prices. store.pace_seconds and store.rollup_seconds make them fewer",
        )
