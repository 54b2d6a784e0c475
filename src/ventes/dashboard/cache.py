"""Results shared by all sessions: computed once for a key, by whoever asks first.

Keys hold table versions, so a result never goes stale: a new commit is a new key.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """A bounded table key → result; least recently used leaves first. Threads asking for one key share the work."""

    def __init__(self, entries: int = 256) -> None:
        self._entries = entries
        self._results: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make()` for `key`. An exception goes to all who wait for it and is not kept."""
        with self._guard:
            result = self._results.get(key)
            mine = result is None
            if result is None:
                result = self._results[key] = Future()
                while len(self._results) > self._entries:
                    self._results.popitem(last=False)
            else:
                self._results.move_to_end(key)
        if mine:
            try:
                result.set_result(make())
            except BaseException as error:
                with self._guard:
                    if self._results.get(key) is result:
                        del self._results[key]
                result.set_exception(error)
        value: T = result.result()
        return value
