"""When the roll-ups of some lots are due."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ventes.lake import unpublished
from ventes.lake.unpublished import AFTER, REST, Unpublished


def rows(count: int) -> dict[str, pa.Table]:
    return {"one": pa.table({"n": list(range(count))}), "other": pa.table({"n": list(range(count // 2))})}


def test_nothing_is_due_without_a_lot() -> None:
    assert Unpublished(7).due_at() is None


def test_due_some_time_after_the_first_lot_whatever_follows() -> None:
    waiting = Unpublished(7)
    for place in range(4):
        waiting.add(rows(10), 8 + place, 100.0 + 0.1 * place)
    assert waiting.due_at() == 100.0 + AFTER
    lots, lot = waiting.take()
    assert (len(lots), lot, waiting.due_at(), waiting.rows, waiting.size) == (4, 11, None, 0, 0)


def test_not_due_before_an_expensive_publication_has_rested() -> None:
    waiting = Unpublished(7)
    waiting.published(took=3.0, now=100.0)
    waiting.add(rows(10), 8, 100.1)
    assert waiting.due_at() == 100.0 + 3.0 * REST


@pytest.mark.parametrize("bound", ["MOST_ROWS", "MOST_BYTES"])
def test_due_at_once_where_too_much_is_held(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpublished, bound, 100)
    waiting = Unpublished(7)
    waiting.published(took=60.0, now=100.0)
    waiting.add(rows(4), 8, 100.1)
    assert not waiting.full
    waiting.add(rows(100), 9, 100.2)
    assert waiting.full
    assert waiting.due_at() == 100.1


def test_lots_without_rows_are_published_too_and_not_kept() -> None:
    waiting = Unpublished(7)
    for lot in range(8, 1000):
        waiting.add(rows(0), lot, 100.0)
    lots, lot = waiting.take()
    assert (len(lots), lot) == (1, 999)
