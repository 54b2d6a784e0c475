"""Disks that fill up under the running pipeline: `status` names the disk, and all continues once there is space.

A disk is a tmpfs whose size the test sets. Where none can be mounted (no root), `make test-long` says why.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from harness.chaos.deployment import Disk, can_mount
from harness.pipeline import wait_for
from tests.e2e.test_supervised import Lived

SERVICES = ("broker", "producer", "bronze", "silver", "page")
FOLDERS = ("lake", "logs", "state")
"""Tables and Spark's checkpoint; logs; Kafka's data, the producer's unsent sales, and the records of services."""
NO_DISKS = can_mount()
pytestmark = [pytest.mark.skipif(bool(NO_DISKS), reason=NO_DISKS or "-"), *([pytest.mark.long] if NO_DISKS else [])]


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[dict[str, Disk]]:
    """FOLDERS of a pipeline at `tmp_path`, each on a disk of its own."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name in FOLDERS:
            made[name] = Disk(tmp_path / name, mounted=True)
            stack.callback(made[name].close)
        yield made


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.timeout(600)
def test_each_disk_of_a_pipeline_under_load(tmp_path: Path, disks: dict[str, Disk], engine: str) -> None:
    lived = Lived(tmp_path, engine)
    try:
        lived.ventes("start")
        for name in FOLDERS:
            before = rows(lived)
            disks[name].fill("to the last byte")
            if name == "logs":  # nothing needs its log
                wait_for(partial(more_rows_than, lived, before + 20), "sales come without logs", 60)
            else:
                wait_for(partial(says, lived, tmp_path / name), f"status names the disk of {name}", 90)
                assert lived.status()["supervisor"] is not None
                assert lived.ventes("status", code=1)
            disks[name].free()
            wait_for(lambda: all_ready(lived), f"all continues after {name} has space again", 90)
            wait_for(partial(more_rows_than, lived, rows(lived)), "new sales come", 60)
        lived.ventes("stop")
        verified = json.loads(lived.ventes("verify", "--json", "--no-topic"))
        assert verified["ok"], verified
        assert lived.processes() == []
    finally:
        lived.close()


def says(lived: Lived, folder: Path) -> bool:
    """Whether `status` blames the disk of `folder`, and nothing has been given up."""
    status = lived.status()
    assert "failed" not in {status[name]["state"] for name in SERVICES}
    reasons = " ".join(status[name]["reason"] for name in SERVICES)
    return f"the disk of {folder} " in reasons and "free some space, it continues by itself" in reasons


def all_ready(lived: Lived) -> bool:
    status = lived.status()
    return all(status[name]["ready"] and not status[name]["reason"] for name in SERVICES)


def more_rows_than(lived: Lived, count: int) -> bool:
    return rows(lived) > count


def rows(lived: Lived) -> int:
    """Rows of Bronze and Silver together."""
    whole = json.loads(lived.ventes("status", "--json", code=None))
    return sum(count or 0 for count in whole["rows"].values())
