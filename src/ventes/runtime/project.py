"""Command lines of this project's processes, with paths that stand relative to the project."""

from __future__ import annotations

import sys
from pathlib import Path

from ventes.config import PROJECT


def from_project(path: Path) -> str:
    """`path` relative to the project, which every service runs in.

    `pkill -f 'producer|spark_streaming|streamlit'` must not end more than it names, although the project's own folder
    may be called streamlit-demo.
    """
    return f"./{path.relative_to(PROJECT)}" if path.is_relative_to(PROJECT) else str(path)


def own_python() -> str:
    """This process's interpreter, as `from_project` writes it."""
    return from_project(Path(sys.executable))
