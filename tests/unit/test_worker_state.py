"""What a Python worker of Spark keeps between two tasks."""

from __future__ import annotations

import duckdb
import pytest

from ventes.deltalog.database import RecycledDatabase
from ventes.engines.spark import worker_state


@pytest.fixture(autouse=True)
def _none_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_state, "_kept", {})


def test_the_next_task_gets_the_same_database() -> None:
    with worker_state.database(256) as first:
        pass
    with worker_state.database(256) as again:
        assert again is first
    with worker_state.database(128) as other:
        assert other is not first


def test_two_at_the_same_time_have_one_each() -> None:
    with worker_state.database(256) as one, worker_state.database(256) as other:
        assert one is not other


def test_after_an_error_it_is_replaced() -> None:
    with pytest.raises(ZeroDivisionError), worker_state.database(256) as failed:
        raise ZeroDivisionError
    with pytest.raises(duckdb.ConnectionException):
        failed.execute("SELECT 1")
    with worker_state.database(256) as con:
        assert con is not failed


def test_it_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecycledDatabase, "USES", 2)
    seen = []
    for _ in range(3):
        with worker_state.database(256) as con:
            seen.append(con)
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
