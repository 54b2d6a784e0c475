"""Ids are unique: with clocks set back, several producers, kill -9, and combinations of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventes.config import PROJECT
from ventes.errors import VentesError
from ventes.producer.ids import EPOCH, LANES, Ids

NOW = EPOCH + 50_000_000.0

requests = st.lists(
    st.tuples(
        st.integers(0, 3),  # which producer
        st.integers(1, 5_000),  # how many ids
        st.floats(-3e8, 3e8, allow_nan=False),  # the time of its clock now
        st.booleans(),  # whether it was killed and started again before
    ),
    min_size=1,
    max_size=30,
)


@given(requests=requests, lanes=st.lists(st.integers(0, 10**9), min_size=4, max_size=4))
def test_no_id_twice_whatever_clocks_and_crashes_do(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, int, float, bool]], lanes: list[int]
) -> None:
    ledger = tmp_path_factory.mktemp("ids") / "ids"
    clock = [NOW]
    producers = [Ids(ledger, lane, lambda: clock[0]) for lane in lanes]
    given_out: list[range] = []
    try:
        for who, count, shift, killed in requests:
            if killed:  # kill -9 closes files and does nothing else
                producers[who].close()
                producers[who] = Ids(ledger, lanes[who], lambda: clock[0])
            clock[0] = NOW + shift
            given_out.append(producers[who].take(count))
    finally:
        for producer in producers:
            producer.close()
    assert [len(ids) for ids in given_out] == [count for _, count, _, _ in requests]
    flat = [number for ids in given_out for number in ids]
    assert flat == sorted(set(flat)), "unique, and growing in the order in which they were taken"
    assert flat[0] >= 1
    assert flat[-1] <= 2**53 - 1


def test_lanes_keep_machines_apart_even_at_the_same_moment(tmp_path: Path) -> None:
    ids = {number for lane in range(100) for number in Ids(tmp_path / str(lane), lane, lambda: NOW).take(500)}
    assert len(ids) == 50_000


def test_ids_follow_the_clock(tmp_path: Path) -> None:
    clock = [NOW]
    ids = Ids(tmp_path / "ids", 5, lambda: clock[0])
    [first] = ids.take(1)
    clock[0] += 60
    [later] = ids.take(1)
    assert later - first == 60 * 2048 * LANES
    assert first % LANES == 5


def test_several_processes_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ventes.producer.ids import Ids\n"
        "ids = Ids(Path(sys.argv[1]), 7, lambda: 2e9)\n"
        "print('ready', flush=True); input()\n"
        "print(*[number for _ in range(4_000) for number in ids.take(2)])"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "ids")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(PROJECT / "src")},
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:  # the race begins
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    taken = [int(number) for process in running for number in process.communicate(timeout=60)[0].split()]
    assert len(taken) == 3 * 8_000
    assert len(set(taken)) == len(taken)


def test_a_ledger_emptied_by_a_power_cut_leaves_clock_and_lane(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"\0" * 21)
    assert Ids(tmp_path / "ids", 1, lambda: NOW).take(1).start > 1


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("garbage")
    with pytest.raises(VentesError, match=r"ids holds b'garbage'.*delete it"):
        Ids(tmp_path / "ids", 1, lambda: NOW).take(1)


def test_a_clock_beyond_the_range_is_refused_and_not_remembered(tmp_path: Path) -> None:
    clock = [EPOCH + 40 * 365 * 86_400]
    ids = Ids(tmp_path / "ids", 1, lambda: clock[0])
    with pytest.raises(VentesError, match="correct the clock"):
        ids.take(1)
    clock[0] = NOW
    assert 0 < ids.take(1).start < 2**53


def test_a_clock_before_the_epoch_still_gives_ids(tmp_path: Path) -> None:
    ids = Ids(tmp_path / "ids", 0, lambda: 0.0)
    assert ids.take(2).start >= 1
