"""Results shared by all sessions: each is computed once, by the session that asks first.

A key holds the versions of the tables that the result was computed from: after a commit the key is another one, so no
result is ever out of date.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class ResultCache:
    """Key → result, for at most `entries` results; the least recently used one is dropped. Threads may share it."""

    def __init__(self, entries: int = 256) -> None:
        self._entries = entries
        self._results: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for `key`, from `make()` if there is none yet. Threads that ask meanwhile wait for it.

        An exception of `make` is raised in every thread that waits, and is not kept.
        """
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
