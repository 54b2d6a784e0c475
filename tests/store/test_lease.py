"""The lease: one writer of a lake, whatever machine it is on."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from harness.object_store import Proxy
from ventes.errors import LockLost, StoreUnavailable, WrittenElsewhere
from ventes.store.lease import Lease, held_elsewhere, read
from ventes.store.mirror import Limits, Mirror
from ventes.store.settings_of import Options

LIMITS = Limits(100_000_000, 1.0)


@pytest.fixture
def here(bucket: str, tmp_path: Path) -> Mirror:
    (tmp_path / "here").mkdir()
    return Mirror(tmp_path / "here", Options(bucket), LIMITS)


@pytest.fixture
def there(bucket: str, tmp_path: Path) -> Mirror:
    (tmp_path / "there").mkdir()
    return Mirror(tmp_path / "there", Options(bucket), LIMITS)


def never_renewed(mirror: Mirror) -> Lease:
    return Lease(mirror, "silver", renewed=3600.0, lasts=0.4)


def epoch(mirror: Mirror) -> int:
    found = read(mirror, "silver")
    assert found is not None
    return found[0].epoch


def test_while_it_is_renewed_nobody_else_gets_it(here: Mirror, there: Mirror) -> None:
    held = Lease(here, "silver", renewed=0.05, lasts=5.0).acquire()
    waits: list[str] = []
    with pytest.raises(WrittenElsewhere, match=f"already runs: pid {os.getpid()} on "):
        Lease(there, "silver", lasts=5.0).acquire(waits.append)
    assert "looking whether it renews it" in waits[0]
    assert str(held_elsewhere(there, "silver")).startswith(f"pid {os.getpid()} on ")
    assert held_elsewhere(here, "silver") is None
    held.require()
    held.release()
    assert held_elsewhere(there, "silver") is None
    Lease(there, "silver").acquire().release()  # at once
    assert epoch(here) == 2


def test_one_that_is_not_renewed_is_taken_over_and_its_holder_stops(here: Mirror, there: Mirror) -> None:
    paused = never_renewed(here).acquire()
    Lease(there, "silver", lasts=0.5).acquire()
    with pytest.raises(LockLost, match="the lease of the silver job was taken by pid"):
        paused.require()
    paused.release()
    assert epoch(here) == 2
    assert held_elsewhere(here, "silver") is not None  # what another holds is not released


def test_of_a_process_that_ended_here_it_is_taken_at_once(here: Mirror, there: Mirror) -> None:
    Lease(here, "silver").acquire()  # killed: nothing is released
    waits: list[str] = []
    Lease(here, "silver").acquire(waits.append).require()
    assert not waits
    assert epoch(here) == 2


def test_of_two_that_take_it_over_one_gets_it(here: Mirror, there: Mirror, tmp_path: Path) -> None:
    (tmp_path / "third").mkdir()
    third = Mirror(tmp_path / "third", there.options, LIMITS)
    never_renewed(here).acquire()
    got: list[str] = []

    def attempt(mirror: Mirror) -> None:
        try:
            Lease(mirror, "silver", lasts=0.5).acquire()
            got.append(mirror.root.name)
        except WrittenElsewhere:
            pass

    threads = [threading.Thread(target=attempt, args=(mirror,)) for mirror in (there, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_without_the_store_the_holder_must_not_commit_for_long(bucket: str, through: Proxy, here: Mirror) -> None:
    held = Lease(here, "silver", renewed=3600.0, lasts=0.0).acquire()
    held.require()
    through.weather.down = True
    with pytest.raises(StoreUnavailable):
        held.require()
    through.weather.down = False
    held.require()


def test_a_renewal_whose_answer_was_lost_is_its_own(bucket: str, through: Proxy, here: Mirror) -> None:
    held = Lease(here, "silver", renewed=3600.0, lasts=0.0).acquire()
    through.weather.swallows = lambda method, path: method == "PUT"
    with pytest.raises(StoreUnavailable):
        held.require()  # it was renewed, and is not told
    through.weather.swallows = lambda method, path: False
    held.require()
