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
    """Key → result; the least recently used ones are dropped. Threads may share it.

    At most `entries` results and, of those that say their size (`nbytes`: Arrow tables, answers of SQL), `megabytes`.
    """

    def __init__(self, entries: int = 256, megabytes: int = 64) -> None:
        self._entries = entries
        self._bytes = megabytes << 20
        self._results: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}
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
                self._drop()
            else:
                self._results.move_to_end(key)
        if mine:
            try:
                made = make()
            except BaseException as error:
                with self._guard:
                    if self._results.get(key) is result:
                        del self._results[key]
                result.set_exception(error)
            else:
                result.set_result(made)
                with self._guard:
                    self._keep(key, result, int(getattr(made, "nbytes", 0)))
        value: T = result.result()
        return value

    def _keep(self, key: Hashable, result: Future[Any], size: int) -> None:
        if self._results.get(key) is not result:
            return  # it was dropped meanwhile
        if size > self._bytes:
            del self._results[key]
        else:
            self._sizes[key] = size
            self._drop()

    def _drop(self) -> None:
        while len(self._results) > self._entries or sum(self._sizes.values()) > self._bytes:
            key, _ = self._results.popitem(last=False)
            self._sizes.pop(key, None)
