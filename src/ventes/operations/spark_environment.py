"""One file with the packages that tasks of the Spark jobs import, for workers that do not have them.

pex makes it of the packages that are installed here, so the workers get exactly those, without asking an index. Spark
sends the file to each executor (spark.environment), which runs it as its Python. Python itself is not in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ventes.engines.spark.worker_probe import PACKAGES, version_of
from ventes.errors import InstallError, UsageError
from ventes.install import spark

ALSO = ("numpy", "tzdata")
"""What those packages import only if it is there: Arrow's batches from Spark, the names of time zones."""
SUFFIX = ".pex"


def export(to: Path) -> None:
    """Write the file. Takes 10 s of CPU and some 90 MB.

    Raises UsageError for another suffix, InstallError if a package is missing or pex fails.
    """
    if to.suffix != SUFFIX:
        raise UsageError(f"{to} is not named *{SUFFIX}", f"-o {to.with_suffix(SUFFIX)}")
    if not to.parent.is_dir():
        raise UsageError(f"{to.parent} is not a folder", "choose another file")
    missing = [name for name in ("pex", *PACKAGES) if find_spec(name) is None]
    if missing:
        raise InstallError(
            f"not installed here: {', '.join(missing)}", f"`{spark.ADD}` adds what the Spark engine needs"
        )
    partial = to.with_name(f".{to.stem}-{os.getpid()}{SUFFIX}")
    try:
        done = subprocess.run(
            [sys.executable, *command(partial)], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise InstallError(
                f"pex failed: {said[-1] if said else f'exit code {done.returncode}'}", "is the disk full?"
            )
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)


def command(to: Path) -> Sequence[str]:
    """Arguments of Python that write the file."""
    pinned = [f"{name}=={found}" for name in (*PACKAGES, *ALSO) if (found := version_of(name)) is not None]
    return (
        "-m",
        "pex",
        # of the packages that are installed here, not of an index
        f"--venv-repository={sys.prefix}",
        # Spark puts its own Python files, and this package, on PYTHONPATH
        "--inherit-path=fallback",
        f"--output-file={to}",
        *pinned,
    )
