"""A small, fixed part of `make chaos`. A failure prints the command that repeats it. Start long runs by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.chaos.report import Report
from harness.chaos.run import Options, run

SEED = 2
"""Its first 20 steps have nine kinds: a topic created anew, a rebuild, full disks, commands that overlap, kills …"""


@pytest.mark.timeout(600)
def test_twenty_steps_of_chaos(tmp_path: Path) -> None:
    report = Report(tmp_path / "results")
    assert run(Options(SEED, "embedded", minutes=0, steps=20, out=report.folder), report), report.problems
