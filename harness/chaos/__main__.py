"""The command line: `python -m harness.chaos`, or `make chaos ARGS="…"`."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from harness.chaos.report import Report
from harness.chaos.run import Options, run
from harness.chaos.schedule import ENGINES, kinds

ABOUT = """A whole pipeline under load and a random sequence of faults that a seed repeats.

The real `ventes start`, a real broker, both jobs and the page run in a separate folder and on separate ports, under a
constant load with a ledger of the messages that the broker acknowledged. Steps depend only on the seed. After every
ten of them all faults are ended, and then checked: lag 0, `ventes verify`, the ledger compared with Bronze, no leftover
process, port, lock or temporary file, no flood of log lines, and no wrong answer of `ventes status`. See docs/chaos.md.

As root the disks of lake and state are file systems of limited size (tmpfs) that steps fill; otherwise those steps are
skipped. Ctrl-C ends a run and cleans up. Exit code: 0 no problem was found, 1 there was one.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.chaos", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="determines the sequence of steps (default: random, printed)")
    parser.add_argument("--minutes", type=float, default=5.0, help="time after which no new step begins (default 5)")
    parser.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    parser.add_argument("--engine", choices=ENGINES, default="embedded", help="both: steps switch between the two")
    parser.add_argument("--rate", type=float, default=100.0, help="messages per second of the load (default 100)")
    parser.add_argument("--out", type=Path, help="folder for the results (default: in the temporary folder)")
    parser.epilog = "kinds of steps: " + ", ".join(kinds("both"))
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    default = Path(tempfile.gettempdir()) / f"ventes-chaos-results-{os.getuid()}" / f"{options.engine}-{seed}"
    asked = Options(seed, options.engine, options.minutes, options.steps, options.out or default, options.rate)
    return until_interrupted(asked, run)


def until_interrupted(asked: Options, work: Callable[[Options, Report], bool]) -> int:
    """Carry a run out; the exit code. SIGTERM and Ctrl-C end it, and it cleans up."""
    signal.signal(signal.SIGTERM, _interrupted)
    report = Report(asked.out)
    try:
        return 0 if work(asked, report) else 1
    except KeyboardInterrupt:
        report.say(f"interrupted; to repeat it: {asked.command}")
        return 130


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
