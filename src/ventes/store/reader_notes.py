"""Who reads one moment of a lake on an object store for long: one object for each reader, which it renews.

The name of the object says when its reader began, so a writer needs one request for all of them. A reader that was
killed leaves its object, which counts for nothing once it was not renewed for LASTS seconds.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ventes.errors import StoreRefused, StoreUnavailable
from ventes.store.base import Store

RENEWED = 120.0
"""Seconds between two renewals: $0.15 for a day of reading at S3."""
LASTS = 900.0
"""Seconds without a renewal after which a reader is gone: of these a clock may be wrong by twelve minutes."""
CLOCK_MARGIN = 600.0
"""Seconds before the beginning of a reader from which files are kept: it began by the clock of its own machine."""
FOLDER = "locks/readers/"
_NAME = re.compile(re.escape(FOLDER) + r"(\d+)-[0-9a-f]+")

_log = logging.getLogger("ventes.store")


@contextmanager
def noted(store: Store) -> Iterator[None]:
    """Within this block `oldest` knows of a reader that began now.

    A reader that may not write there, or whose store does not answer at the beginning, is not known.
    """
    key = f"{FOLDER}{int(time.time())}-{uuid.uuid4().hex}"
    try:
        store.write(key, b"")
    except (StoreUnavailable, StoreRefused) as error:
        _log.warning("the writers of the lake do not know of this reader: %s", error.message)
        yield
        return
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(store, key, ended), name="reader note", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()
        with suppress(StoreUnavailable, StoreRefused):
            store.delete([key])


def oldest(store: Store) -> float | None:
    """The Unix time from which a reader needs removed files; None without a reader. Deletes what is left of readers
    that are gone. Raises StoreUnavailable, StoreRefused."""
    now, began, gone = time.time(), [], []
    for one in store.list(FOLDER):
        if (match := _NAME.fullmatch(one.key)) is None:
            continue
        if now - one.modified > LASTS:
            gone.append(one.key)
        else:
            began.append(float(match[1]))
    if gone:
        store.delete(gone)
    return min(began) - CLOCK_MARGIN if began else None


def _renew(store: Store, key: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        with suppress(StoreUnavailable, StoreRefused):  # tried again: of LASTS there are several
            store.write(key, b"")
