"""Ordinary viewers beside hostile ones: `make hostile-viewers` is the same with 45 and 5."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from harness import hostile_viewers
from harness.page_site import Site, serve
from harness.pipeline import wait_for

VIEWERS, HOSTILE = 9, 3
SECONDS = 12.0
BOUND = 30.0
"""Seconds in which a viewer must see what is new: on two cores that others use too."""


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    with serve(hostile_viewers.lake(tmp_path, 3000)) as running:
        yield running


def test_others_keep_seeing_what_is_new_and_memory_is_bounded(own_site: Site) -> None:
    crowd = hostile_viewers.crowd(
        own_site.port, own_site.pid, VIEWERS, HOSTILE, SECONDS, hostile_viewers.more_sales(own_site)
    )
    with ThreadPoolExecutor(1) as pool:  # Playwright keeps an event loop in the tests' own thread
        outcome = pool.submit(asyncio.run, asyncio.wait_for(crowd, 200)).result()
    assert outcome.seen.lost == [], outcome.lines()
    assert outcome.hostile_rounds > 0
    assert len(outcome.seen.late_total) == VIEWERS
    assert max(outcome.seen.late_total) < BOUND, outcome.lines()
    assert max(outcome.seen.waited) < BOUND, outcome.lines()
    assert outcome.peak_mb - outcome.before_mb < 500, outcome.lines()
    server = psutil.Process(own_site.pid)
    wait_for(lambda: not server.children(recursive=True), "nothing of the hostile is left", 30)
