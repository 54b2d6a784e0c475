"""The command line: `python -m harness.cluster_chaos`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.chaos.__main__ import until_interrupted
from harness.chaos.run import Options
from harness.cluster_chaos.run import run
from harness.cluster_chaos.schedule import CARDS, ROUND

ABOUT = f"""Everything at once, and a random sequence of faults that a seed repeats.

Three Kafka brokers, a Spark master with two workers, an S3 server and a pipeline with the Spark engine run on this
machine, under a constant load with a ledger of what the brokers acknowledged. After every {ROUND} steps all
faults are ended, and then checked: lag 0, `ventes verify`, the ledger compared with Bronze as another program reads it
from the store, and what `make chaos` checks of processes, files, logs and `ventes status`. See docs/chaos.md.

It needs some 6 GB of memory. Ctrl-C ends a run and cleans up. Exit code: 0 no problem was found, 1 there was one.
"""


@dataclass(frozen=True)
class ClusterOptions(Options):
    @property
    def command(self) -> str:
        until = f"--minutes {self.minutes:g}" if self.steps is None else f"--steps {self.steps}"
        return f"python -m harness.cluster_chaos --seed {self.seed} {until} --rate {self.rate:g}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.cluster_chaos",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kinds of steps: " + ", ".join(CARDS),
    )
    parser.add_argument("--seed", type=int, default=1, help="determines the sequence of steps (default 1)")
    parser.add_argument("--minutes", type=float, default=10.0, help="time after which no new step begins (default 10)")
    parser.add_argument("--steps", type=int, help="number of steps, instead of --minutes")
    parser.add_argument("--rate", type=float, default=50.0, help="messages per second of the load (default 50)")
    parser.add_argument("--out", type=Path, help="folder for the results (default: in the temporary folder)")
    asked = parser.parse_args(arguments)
    default = Path(tempfile.gettempdir()) / f"ventes-chaos-results-{os.getuid()}" / f"cluster-{asked.seed}"
    options = ClusterOptions(asked.seed, "spark", asked.minutes, asked.steps, asked.out or default, asked.rate)
    return until_interrupted(options, run)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
