"""A small, fixed part of `make chaos`. A failure prints the command that repeats it. Start long runs by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.chaos.report import Report
from harness.chaos.run import Options, run

SEED = 2
"""Its first 20 steps have nine kinds: a topic created anew, a rebuild, full disks, commands that overlap, kills …"""
STEPS = [10, pytest.param(20, marks=pytest.mark.long)]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.timeout(600)
def test_steps_of_chaos(tmp_path: Path, steps: int) -> None:
    report = Report(tmp_path / "results")
    assert run(Options(SEED, "embedded", minutes=0, steps=steps, out=report.folder), report), report.problems
