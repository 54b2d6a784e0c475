"""Bronze over a lake on S3: each message once, wherever its writer is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import bronze_run
from harness.shipped import BRONZE
from harness.silver_run import settings_of
from ventes.config import PROJECT
from ventes.lake import tables

IN_CI = ["store.uploaded", "store.published"]
POINTS = ["bronze.before_commit", "bronze.after_commit"]


@pytest.mark.parametrize("point", [*IN_CI, *(pytest.param(point, marks=pytest.mark.long) for point in POINTS)])
def test_killed_anywhere_each_message_is_there_once(bucket: str, tmp_path: Path, point: str) -> None:
    settings = settings_of(tmp_path, f"{bucket}/lake")
    child = subprocess.run(
        [sys.executable, "-m", "harness.bronze_run", str(tmp_path), f"{bucket}/lake"],
        env=os.environ | {"VENTES_FAILPOINTS": f"{point}@3:kill9", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=PROJECT,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    before = tables.snapshot(settings, BRONZE).rows
    assert before == (60 if point in ("store.published", "bronze.after_commit") else 40)
    bronze_run.run(settings, 109)
    far = settings_of(tmp_path / "elsewhere", f"{bucket}/lake")
    offsets = tables.snapshot(far, BRONZE).arrow()["offset"].to_pylist()
    assert sorted(offsets) == list(range(110))
