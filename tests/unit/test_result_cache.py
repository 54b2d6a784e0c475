"""Results are computed once, shared, and bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa
import pytest

from ventes.dashboard.result_cache import ResultCache


def counting(value: object) -> tuple[list[int], Callable[[], object]]:
    """What was made so far, and a function that makes it."""
    made: list[int] = []

    def make() -> object:
        made.append(1)
        return value

    return made, make


def table(megabytes: int) -> pa.Table:
    return pa.table({"x": pa.array([0] * (megabytes << 17), pa.int64())})


def test_a_result_is_computed_once() -> None:
    cache = ResultCache()
    made, make = counting("x")
    assert [cache.get("k", make) for _ in range(3)] == ["x"] * 3
    assert len(made) == 1


def test_the_least_recently_used_is_dropped() -> None:
    cache = ResultCache(entries=2)
    made, make = counting("x")
    for key in ("a", "b", "a", "c", "a"):
        cache.get(key, make)
    assert len(made) == 3
    cache.get("b", make)
    assert len(made) == 4


def test_large_results_are_bounded_in_bytes() -> None:
    cache = ResultCache(megabytes=10)
    made, make = counting(table(4))
    for key in ("a", "b", "c"):  # the third is one too many
        cache.get(key, make)
    cache.get("c", make)
    cache.get("b", make)
    assert len(made) == 3
    cache.get("a", make)
    assert len(made) == 4


def test_a_result_larger_than_all_is_given_and_not_kept() -> None:
    cache = ResultCache(megabytes=2)
    made, make = counting(table(4))
    small, make_small = counting("x")
    cache.get("small", make_small)
    assert cache.get("large", make) is cache.get("large", make) is not None
    assert len(made) == 2
    cache.get("small", make_small)
    assert len(small) == 1


def test_an_error_is_raised_in_all_and_not_kept() -> None:
    cache = ResultCache()

    def fail() -> object:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cache.get("k", fail)
    assert cache.get("k", lambda: 1) == 1


def test_threads_share_the_work() -> None:
    cache = ResultCache()
    begun, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    def slow() -> object:
        begun.set()
        go_on.wait(10)
        return "slow"

    first = threading.Thread(target=lambda: found.append(cache.get("k", slow)))
    first.start()
    begun.wait(10)
    second = threading.Thread(target=lambda: found.append(cache.get("k", lambda: "other")))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert found == ["slow", "slow"]
