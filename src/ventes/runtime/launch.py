"""Runs the root scripts with the project's Python, whichever Python starts them.

A root script puts src/ on sys.path, calls `ensure_environment()`, and only then imports what needs packages.
This module therefore imports only the standard library, and Python 3.7+ can run it far enough to print the error.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
OLDEST = (3, 10)
EVERY_PART = ("pydantic", "psutil", "typer")
"""Packages without which no part of the pipeline starts."""


def ensure_environment(*packages: str) -> None:
    """Return if this Python can import `packages` (and what every part needs); else exec the project's Python.

    `.venv/bin/python` then runs with the same arguments in the same process: pid, signals, environment and terminal
    stay. Exits with 1 and the next step on stderr if there is no such Python, or if it lacks packages too.
    """
    # Arrow reads this when it is imported. jemalloc returns what was freed; Arrow's default keeps it for each thread,
    # which made the embedded Bronze job's peak 465 MB instead of 430 on a backlog of 3 million sales.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    lacking = _lacking(EVERY_PART + packages)
    if not lacking:
        return
    ours = PROJECT / ".venv"
    python = ours / "bin" / "python"
    script = Path(sys.argv[0]).name
    if Path(sys.prefix).resolve() == ours.resolve():
        sys.exit(f"{script}: {ours} is incomplete, it lacks {lacking} → bash {PROJECT}/start_pipeline.sh installs it")
    if not os.access(python, os.X_OK):
        sys.exit(
            f"{script}: this Python ({sys.executable}) lacks {lacking} and there is no {ours} yet"
            f" → run first: bash {PROJECT}/start_pipeline.sh"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(str(python), [str(python), *_arguments()])


def _lacking(packages: tuple[str, ...]) -> str:
    """What this Python lacks, as text; '' if nothing."""
    if sys.version_info < OLDEST:
        return "Python {}.{} or newer".format(*OLDEST)
    return ", ".join(name for name in packages if find_spec(name) is None)


def _arguments() -> list[str]:
    """The command line after the interpreter, with its own flags (-u, -W …) if Python reports them."""
    original: list[str] | None = getattr(sys, "orig_argv", None)
    return original[1:] if original else sys.argv
