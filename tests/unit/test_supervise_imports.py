"""The supervisor imports little, and none of its services imports it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ventes.config import PROJECT

SOURCE = PROJECT / "src" / "ventes"


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, module) for each import in the files of a folder, those inside functions too."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file.name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((file.name, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize(
    ("package", "unknown"),
    [
        *(
            (package, "ventes.supervise")
            for package in ("engines", "dashboard", "producer", "broker", "lake", "runtime")
        ),
        ("supervise", "ventes.broker"),
    ],
)
def test_forbidden_imports(package: str, unknown: str) -> None:
    assert list(imported(SOURCE / package))
    assert [found for found in imported(SOURCE / package) if found[1].startswith(unknown)] == []


def test_the_supervisor_loads_nothing_heavy() -> None:
    code = "import sys, ventes.supervise.daemon; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    heavy = {"confluent_kafka", "pyarrow", "duckdb", "deltalake", "numpy", "pandas", "pyspark", "streamlit", "typer"}
    heavy |= {"prometheus_client"}  # only when somebody asks for metrics
    assert heavy & set(done.stdout.split()) == set()
